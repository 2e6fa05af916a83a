/* warmpack list: prints the entries of an archive, as tar does or as JSON. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "json_document.h"
#include "message.h"
#include "operands.h"
#include "show.h"
#include "text.h"
#include "verbs.h"

/* Owner, group and size share a column that grows with what it holds, as in tar. */
static int column = 19;

static void print_mode(const struct wp_list_entry *e)
{
    char text[] = "?rwxrwxrwx";
    static const struct {
        unsigned bit, execute;
        int at;
        char with, without; /* the execute bit */
    } special[] = {
        {04000, 0100, 3, 's', 'S'}, {02000, 0010, 6, 's', 'S'}, {01000, 0001, 9, 't', 'T'}};

    text[0] = e->type;
    for (int i = 0; i < 9; i++) {
        if (!(e->mode & 0400u >> i))
            text[i + 1] = '-';
    }
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (e->mode & special[i].bit)
            text[special[i].at] =
                e->mode & special[i].execute ? special[i].with : special[i].without;
    }
    fputs(text, stdout);
}

static void print_owner_and_size(const struct wp_list_entry *e, bool numeric)
{
    _cleanup_free_ char *user = e->uname && *e->uname && !numeric ? wp_escape(e->uname) : NULL;
    _cleanup_free_ char *group = e->gname && *e->gname && !numeric ? wp_escape(e->gname) : NULL;
    char uid[16], gid[16], size[32];
    int width;

    snprintf(uid, sizeof uid, "%" PRIu32, e->uid);
    snprintf(gid, sizeof gid, "%" PRIu32, e->gid);
    if (e->type == 'c' || e->type == 'b')
        snprintf(size, sizeof size, "%" PRIu32 ",%" PRIu32, e->dev_major, e->dev_minor);
    else
        snprintf(size, sizeof size, "%" PRIu64, e->size);
    width = (int)(strlen(user ? user : uid) + strlen(group ? group : gid) + strlen(size) + 2);
    if (width > column)
        column = width;
    printf(" %s/%s %*s%s ", user ? user : uid, group ? group : gid, column - width, "", size);
}

/* "2026-11-22 18:36:33.123456789", local time; beyond the calendar, the bare number. */
static void print_mtime(const struct wp_list_entry *e)
{
    time_t sec = (time_t)e->mtime_sec;
    char text[48];
    struct tm tm;

    if (localtime_r(&sec, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) > 0) {
        printf("%s.%09" PRId32 " ", text, e->mtime_nsec);
        return;
    }
    wp_time_text(e->mtime_sec, e->mtime_nsec, text);
    printf("%s ", text);
}

static void print_line(const struct wp_list_entry *e, const struct args *a)
{
    size_t n = strlen(e->path);

    if (a->verbose) {
        print_mode(e);
        print_owner_and_size(e, a->numeric_owner);
        print_mtime(e);
    }
    printf("%s%s", n ? show_name(e->path) : ".",
           e->type == 'd' && (n == 0 || e->path[n - 1] != '/') ? "/" : "");
    if (a->verbose && e->target)
        printf("%s%s", e->type == 'h' ? " link to " : " -> ", show_name(e->target));
    putchar('\n');
}

static const char *type_name(char type)
{
    switch (type) {
    case '-':
        return "file";
    case 'd':
        return "dir";
    case 'l':
        return "symlink";
    case 'h':
        return "hardlink";
    default:
        return "other";
    }
}

static void print_object(const struct wp_list_entry *e)
{
    char mode[16], mtime[WP_NUMBER_SIZE], hex[TEXT_SHA256];
    json_t *o = json_object();

    snprintf(mode, sizeof mode, "%04o", e->mode & 07777);
    wp_time_text(e->mtime_sec, e->mtime_nsec, mtime);
    document_set_name(o, "path", e->path);
    json_object_set_new(o, "type", json_string(type_name(e->type)));
    json_object_set_new(o, "mode", json_string(mode));
    json_object_set_new(o, "uid", document_count(e->uid));
    json_object_set_new(o, "gid", document_count(e->gid));
    json_object_set_new(o, "size", document_count(e->size));
    json_object_set_new(o, "mtime", json_string(mtime));
    if (e->target)
        document_set_name(o, "target", e->target);
    if (e->sha256) {
        text_sha256(e->sha256, hex);
        json_object_set_new(o, "sha256", json_string(hex));
    }
    document_item(o);
}

static int each(void *ctx, const struct wp_list_entry *e)
{
    const struct args *a = ctx;

    if (a->json)
        print_object(e);
    else
        print_line(e, a);
    /* Nobody reads on: show_finish says why. */
    return ferror(stdout) ? -EIO : 0;
}

static int list(const struct args *a, struct wp_archive *archive, const char *const *patterns)
{
    struct wp_error err = {0};
    int rc;

    if (a->json) {
        document_begin();
        document_array("entries");
    }
    rc = wp_list(archive, patterns, each, (void *)a, &err);
    if (ferror(stdout))
        return STATUS_FAILED;
    if (rc < 0)
        show_flush();
    rc = message_outcome(rc, &err);
    if (rc)
        return rc;
    if (a->json) {
        document_array_end();
        document_end();
    }
    return message_status();
}

int list_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_(operands_clear) struct operands given = {0};
    _cleanup_archive_ struct wp_archive *archive = NULL;
    struct wp_error err = {0};
    int rc = operands_read(a, &given);

    if (rc)
        return rc;
    rc = message_outcome(wp_archive_open(context, a->archive, &archive, &err), &err);
    return rc ? rc : list(a, archive, string_list_values(&given.patterns));
}
