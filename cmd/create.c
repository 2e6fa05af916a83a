/* warmpack create: packs the paths named, and tells the state of their caches. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache_dirs.h"
#include "format_choice.h"
#include "json_document.h"
#include "message.h"
#include "owner.h"
#include "show.h"
#include "signals.h"
#include "string_list.h"
#include "text.h"
#include "verbs.h"

/* What the options point to. */
struct inputs {
    struct string_list strings; /* directories and paths of the members */
    struct wp_member *members;
    size_t count;
    struct string_list exclude;
    struct string_list cache_dirs;
    struct owners owners;
};

static void inputs_clear(struct inputs *in)
{
    string_list_clear(&in->strings);
    string_list_clear(&in->exclude);
    string_list_clear(&in->cache_dirs);
    free(in->members);
    owners_clear(&in->owners);
}

static int add_member(struct inputs *in, const char *dir, const char *path)
{
    struct wp_member *more = reallocarray(in->members, in->count + 1, sizeof *more);

    if (more)
        in->members = more;
    if (!more || string_list_add(&in->strings, path))
        return message_no_memory();
    in->members[in->count].dir = dir;
    in->members[in->count++].path = in->strings.v[in->strings.count - 1];
    return 0;
}

static int add_listed(struct inputs *in, const char *dir, const char *file, bool null)
{
    _cleanup_(string_list_clear) struct string_list listed = {0};
    int rc = string_list_read(&listed, file, null ? LIST_NUL : LIST_LINES);

    for (size_t i = 0; i < listed.count && !rc; i++)
        rc = add_member(in, dir, listed.v[i]);
    return rc;
}

/* The directory for what follows -C TO where it was *DIR before. */
static int change_dir(struct inputs *in, const char **dir, const char *to)
{
    char *joined = *dir ? text_join(*dir, to) : strdup(to);
    int rc = joined ? string_list_add(&in->strings, joined) : -ENOMEM;

    free(joined);
    if (rc)
        return message_no_memory();
    *dir = in->strings.v[in->strings.count - 1];
    return 0;
}

/* -C holds for what follows it, and a second one is relative to the first, as in GNU tar. */
static int add_members(struct inputs *in, const struct args *a)
{
    const char *dir = NULL;
    int rc = 0;

    for (size_t i = 0; i < a->operand_count && !rc; i++) {
        const struct operand *o = a->operands + i;

        switch (o->kind) {
        case OPERAND_NAME:
            rc = add_member(in, dir, o->text);
            break;
        case OPERAND_FILES:
            rc = add_listed(in, dir, o->text, a->null);
            break;
        case OPERAND_DIR:
            rc = change_dir(in, &dir, o->text);
            break;
        case OPERAND_COMMAND: /* of other verbs */
            break;
        }
    }
    return rc;
}

static int check_options(const struct args *a, const struct wp_format *f)
{
    const bool is_image = strcmp(wp_format_name(f), "oci") == 0;
    int rc = format_check_options(a, f);

    if (rc)
        return rc;
    if (!is_image && (a->image_base || a->image_ref || a->image_platform))
        return message_usage("--base, --ref and --platform are for oci, not for %s",
                             wp_format_name(f));
    if (a->egg_info && strcmp(wp_format_name(f), "egg") != 0)
        return message_usage("--egg-info is for egg, not for %s", wp_format_name(f));
    if (strcmp(a->archive, "-") == 0 && isatty(STDOUT_FILENO))
        return message_usage("an archive is not written to a terminal");
    return 0;
}

static void print_json(const struct args *a, const struct wp_create_result *r)
{
    document_begin();
    document_name("archive", a->archive);
    document_name("id", r->id);
    document_member("entries", document_count(r->entries));
    document_member("bytes", document_count(r->bytes_written));
    document_member("bytes_read", document_count(r->bytes_read));
    document_member("cache_dirs", document_count(r->cache_dirs));
    document_verify(&r->verify);
    document_end();
}

static void print_summary(const struct args *a, const struct wp_create_result *r)
{
    struct show_line line;

    show_begin(&line);
    show_add_archive(&line, a->archive, r);
    show_add_count(&line, r->cache_dirs, "cache directory", "cache directories", NULL);
    show_end(&line);
}

static int pack(const struct wp_context *context, const struct args *a,
                const struct wp_create_options *o)
{
    _cleanup_(wp_create_result_clear) struct wp_create_result result = {0};
    struct wp_error err = {0};
    int rc;

    signals_install();
    rc = message_outcome(wp_create(context, o, &result, &err), &err);
    if (rc)
        return rc;
    if (result.changed)
        message_raise(STATUS_LOST);
    if (a->json)
        print_json(a, &result);
    print_summary(a, &result);
    return message_status();
}

static int prepare(const struct args *a, struct inputs *in, struct wp_create_options *o)
{
    int rc = format_choose(a, a->archive, &o->format);

    if (!rc)
        rc = check_options(a, o->format);
    if (!rc)
        rc = owners_take(&in->owners, a);
    if (!rc)
        rc = add_members(in, a);
    if (!rc)
        rc = args_exclude(a, &in->exclude);
    if (!rc)
        rc = cache_dirs_add(&in->cache_dirs, a);
    return rc;
}

int create_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_(inputs_clear) struct inputs in = {0};
    struct wp_create_options o = {
        .archive = a->archive,
        .source_roots = string_list_values(&a->source_roots),
        .follow = a->dereference,
        .record_env = string_list_values(&a->record_env),
        .caches_only = a->caches_only,
        .with_locator = a->with_locator,
        .strict = a->strict,
        .sync = a->sync,
        .numeric_owner = a->numeric_owner,
        .level = a->level,
        .level_set = a->seen[OPT_LEVEL],
        .gzip_one_member = args_one_member(a),
        .egg_info = a->egg_info,
        .sign = a->sign,
        .python = a->python,
        .image = {.base = a->image_base, .ref = a->image_ref, .platform = a->image_platform},
    };
    int rc = prepare(a, &in, &o);

    if (rc)
        return rc;
    o.owner = in.owners.owner;
    o.group = in.owners.group;
    o.members = in.members;
    o.member_count = in.count;
    o.exclude = string_list_values(&in.exclude);
    o.cache_dirs = string_list_values(&in.cache_dirs);
    return pack(context, a, &o);
}
