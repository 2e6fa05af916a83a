/* Reads the entries of a zip archive, as its directory has them. */

#include "zip_archive.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/own_names.h"
#include "base/zip_directory.h"
#include "manifest/manifest.h"
#include "zip_extra.h"

void zip_archive_clear(struct zip_archive *a)
{
    if (a->fd >= 0)
        close(a->fd);
    free(a->name);
    free(a->entries);
    free(a->mark);
    buf_free(&a->names);
    *a = (struct zip_archive){.fd = -1};
}

/* A failure R of the parts that know no archive, WHAT saying why where that is -EBADMSG. */
static int unreadable(const struct zip_archive *a, int r, const char *what, struct wp_error *err)
{
    if (r == -ENOMEM)
        return error_nomem(err);
    return r == -EBADMSG && what ? error_set(err, 0, a->name, "%s", what)
                                 : error_set(err, -r, a->name, "cannot read");
}

static int damaged(const struct zip_archive *a, const char *what, struct wp_error *err)
{
    return error_set(err, 0, a->name, "the archive is damaged: %s", what);
}

/* ---- Records ----------------------------------------------------------------------------- */

static int add_text(struct zip_archive *a, const unsigned char *text, size_t n, size_t *at)
{
    *at = a->names.size;
    return buf_add(&a->names, text, n) < 0 ? -ENOMEM : buf_add(&a->names, "", 1);
}

static int add_name(struct zip_archive *a, struct zip_entry *e, const struct zip_central *c,
                    const struct zip_text *unicode, struct wp_error *err)
{
    const bool is_windows =
        e->host == ZIP_HOST_FAT || e->host == ZIP_HOST_NTFS || e->host == ZIP_HOST_VFAT;
    const unsigned char *name = unicode->data ? unicode->data : c->name;
    const size_t n = unicode->data ? unicode->size : c->name_size;
    const bool has_backslashes = is_windows && memchr(name, '\\', n) && !memchr(name, '/', n);

    if (memchr(c->name, 0, c->name_size))
        return damaged(a, "a name has a zero byte in it", err);
    if (add_text(a, c->name, c->name_size, &e->stored_name) < 0)
        return error_nomem(err);
    e->name = e->stored_name;
    if (name == c->name && !has_backslashes)
        return 0;
    if (add_text(a, name, n, &e->name) < 0)
        return error_nomem(err);
    /* Some programs of that system separate directories in its own way. */
    for (char *p = (char *)a->names.data + e->name; has_backslashes && *p; p++)
        if (*p == '\\')
            *p = '/';
    return 0;
}

static int add_entry(struct zip_archive *a, const struct zip_central *c, const struct zip_end *end,
                     struct wp_error *err)
{
    struct zip_text unicode = {0};
    struct zip_entry *e;
    int r;

    if (array_grow(a->entries, a->count) < 0)
        return error_nomem(err);
    e = &a->entries[a->count];
    *e = (struct zip_entry){.host = c->host,
                            .flags = c->flags,
                            .method = c->method,
                            .crc = c->crc,
                            .packed_size = c->packed_size,
                            .size = c->size,
                            .name_size = c->name_size,
                            .attributes = c->attributes,
                            .at = c->at};
    if (e->flags & ZIP_MASKED)
        return error_set(err, 0, a->name, "is encrypted: that cannot be read");
    if (!zip_extra_take(e, c, &unicode))
        return damaged(a, "malformed extra fields in its directory", err);
    r = add_name(a, e, c, &unicode, err);
    if (r < 0)
        return r;
    e->at += end->shift;
    if (e->at < end->shift || e->at >= end->directory)
        return damaged(a, "an entry lies outside of it", err);
    a->count++;
    return 0;
}

static int read_records(struct zip_archive *a, struct zip_directory *d, const struct zip_end *end,
                        struct wp_error *err)
{
    struct zip_central c;
    const char *what = NULL;
    int r;

    while ((r = zip_directory_next(d, &c, &what)) > 0) {
        r = add_entry(a, &c, end, err);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return unreadable(a, r, what, err);
    /* Old programs wrote more entries than the short record can count. */
    if (end->zip64 ? a->count != end->count : (a->count & ZIP_MAX16) != end->count)
        return damaged(a, "its directory has another number of entries than its end says", err);
    return 0;
}

/* ---- Where entries end ------------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
    uint64_t x = (*(struct zip_entry *const *)a)->at, y = (*(struct zip_entry *const *)b)->at;

    return (x > y) - (x < y);
}

/* Entries that share bytes are how a small file unpacks to any size. */
static int set_limits(struct zip_archive *a, uint64_t directory, struct wp_error *err)
{
    _cleanup_free_ struct zip_entry **sorted = malloc((a->count + 1) * sizeof(struct zip_entry *));

    if (!sorted)
        return error_nomem(err);
    for (size_t i = 0; i < a->count; i++)
        sorted[i] = &a->entries[i];
    qsort(sorted, a->count, sizeof *sorted, compare_places);
    a->before = a->count ? sorted[0]->at : 0;
    for (size_t i = 0; i < a->count; i++) {
        struct zip_entry *e = sorted[i];
        uint64_t room;

        e->limit = i + 1 < a->count ? sorted[i + 1]->at : directory;
        room = e->limit - e->at;
        if (room < (uint64_t)ZIP_LOCAL_SIZE + e->name_size ||
            e->packed_size > room - ZIP_LOCAL_SIZE - e->name_size) {
            _cleanup_free_ char *name = wp_escape(zip_name(a, e));

            return error_set(err, 0, a->name, "the archive is damaged: %s overlaps what follows it",
                             name ? name : "an entry");
        }
    }
    return 0;
}

static int take_mark(struct zip_archive *a, const struct zip_part *z, const struct zip_end *e,
                     struct wp_error *err)
{
    static const char mark[] = MANIFEST_MARK;
    const size_t start = sizeof mark - 1, n = e->comment_size;
    _cleanup_free_ char *comment = malloc(n + 1);
    ssize_t got = comment ? zip_part_read(z, comment, n, e->comment) : -ENOMEM;

    if (got < 0)
        return unreadable(a, (int)got, NULL, err);
    a->has_comment = n > 0;
    if (n <= start || (size_t)got < n || memcmp(comment, mark, start) != 0 || memchr(comment, 0, n))
        return 0;
    a->has_comment = false;
    a->mark = strndup(comment + start, n - start);
    return a->mark ? 0 : error_nomem(err);
}

/* Is NAME the path of a manifest with this ID? */
static bool is_manifest_of(const char *name, const char *id)
{
    const char *end = strrchr(name, '/');
    const size_t n = strlen(id);

    return own_is_manifest(name) && (size_t)(end - name) > n && end[-(ptrdiff_t)n - 1] == '/' &&
           strncmp(end - n, id, n) == 0;
}

/* The comment has the ID of the manifest, which earlier ones had the whole path of: the last entry
 * with it. Where there is none, the mark names one all the same: the archive lacks it. */
static int find_marked(struct zip_archive *a, struct wp_error *err)
{
    _cleanup_free_ char *id = a->mark;
    size_t i = a->count;

    a->mark = NULL;
    if (strchr(id, '/')) {
        a->mark = take_ptr(id);
        return 0;
    }
    while (i > 0 && !is_manifest_of(zip_name(a, &a->entries[i - 1]), id))
        i--;
    if (i > 0)
        a->mark = strdup(zip_name(a, &a->entries[i - 1]));
    else if (asprintf(&a->mark, MANIFEST_DIR "/%s/" MANIFEST_NAME, id) < 0)
        a->mark = NULL; /* not defined after a failure */
    return a->mark ? 0 : error_nomem(err);
}

int zip_archive_read(struct zip_archive *a, struct wp_error *err)
{
    const struct zip_part z = {.fd = a->fd, .size = a->size};
    struct zip_directory d = {0};
    const char *what = NULL;
    struct zip_end end;
    int r = zip_end_find(&z, ZIP_AS_UNZIP, &end, &what);

    if (r < 0)
        return unreadable(a, r, what, err);
    r = take_mark(a, &z, &end, err);
    if (r < 0)
        return r;
    if (a->mark && end.trailing)
        return error_set(
            err, 0, a->name,
            "something follows the end of the archive, at byte %llu: refused (are these "
            "archives joined together?)",
            (unsigned long long)(a->size - end.trailing));
    a->trailing = end.trailing;
    a->shift = end.shift;
    r = zip_directory_open(&d, &z, &end) < 0 ? error_nomem(err) : read_records(a, &d, &end, err);
    zip_directory_close(&d);
    if (r == 0 && a->mark)
        r = find_marked(a, err);
    return r < 0 ? r : set_limits(a, end.directory, err);
}
