/* Finds the manifest without reading what stands before it. */

#include "tar_pointer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "manifest/manifest.h"
#include "tar.h"
#include "tar_look_back.h"
#include "tar_read.h"

static void free_reader(struct format_reader **r)
{
    if (*r)
        (*r)->ops->free(*r);
}

/* With MUST_SAY, the entry itself must say that it begins where it does. With SEEK others may stand
 * before it. */
static int read_manifest(struct format_reader *r, bool must_say, bool seek, struct buf *path,
                         struct buf *text, struct wp_error *err)
{
    const struct entry *e;
    const void *data;
    uint64_t offset;
    size_t n;
    int rc;

    do {
        rc = r->ops->next(r, &e, err);
        if (rc <= 0)
            return rc;
    } while (seek && (!r->mark || strcmp(e->path, r->mark) != 0));
    if (!r->mark || e->type != ENTRY_FILE || strcmp(e->path, r->mark) != 0 ||
        !own_is_manifest(e->path))
        return 0;
    if (must_say && !tar_manifest_says_its_place((const struct tar_reader *)r))
        return 0; /* of another archive that was joined to it */
    if (e->size > MANIFEST_LARGEST)
        return error_set(err, EFBIG, e->path, "the manifest is too large");
    if (buf_add_str(path, e->path) < 0)
        return error_nomem(err);
    while ((rc = r->ops->data(r, &data, &n, &offset, err)) == 1) {
        if (offset != text->size)
            return 0; /* a sparse one is not of our making */
        if (buf_add(text, data, n) < 0)
            return error_nomem(err);
        if (!manifest_may_grow(text, n))
            return 0; /* nor is this, which may have any size */
    }
    if (rc < 0 || text->size != e->size)
        return rc;
    rc = r->ops->next(r, &e, err);
    return rc < 0 ? rc : rc == 0; /* it is the last entry */
}

/* A reader of FD's file from OFFSET on. */
static int open_at(struct format_reader **out, const struct codec *codec, int fd, uint64_t offset,
                   const char *mark, const struct format_open_options *o, struct wp_error *err)
{
    _cleanup_close_ int again = file_open_again(fd);
    struct tar_input in = {.fd = -1, .mark = mark, .offset = offset};
    int rc;

    if (again < 0 || lseek(again, (off_t)offset, SEEK_SET) < 0)
        return -EIO;
    rc = codec_open(&in.plain, codec, take_fd(&again), NULL, 0, o->name, o->pool, err);
    return rc < 0 ? rc : tar_open_reader(out, &in, o, err);
}

int tar_read_mark(const struct codec *codec, int fd, const struct format_open_options *o,
                  char **name, bool *is_rounded, struct wp_error *err)
{
    enum { ENOUGH = 16 << 10 }; /* bytes, for the header and the longest name */
    /* Whoever reads the archive hears what is odd in it. */
    const struct format_open_options quiet = {.name = o->name, .pool = o->pool};
    _cleanup_(free_reader) struct format_reader *r = NULL;
    _cleanup_free_ unsigned char *start = malloc(ENOUGH);
    struct tar_input in = {.fd = -1};
    const struct entry *e;
    ssize_t n = start ? codec_peek(codec, fd, start, ENOUGH) : -ENOMEM;
    int rc;

    if (n < 0)
        return (int)n;
    rc = source_with_prefix(&in.plain, start, (size_t)n, NULL, err);
    if (rc == 0)
        rc = tar_open_reader(&r, &in, &quiet, err);
    if (rc != 0)
        return rc;
    rc = r->ops->next(r, &e, NULL); /* the first entry may be cut off: it is not looked at */
    if (rc == -ENOMEM || !r->mark)
        return rc == -ENOMEM ? rc : 0;
    *name = take_ptr(r->mark);
    *is_rounded = r->is_rounded;
    return 1;
}

int tar_is_rounded(const struct codec *codec, int fd, const struct format_open_options *o)
{
    _cleanup_free_ char *mark = NULL;
    bool is_rounded = false;
    int rc = tar_read_mark(codec, fd, o, &mark, &is_rounded, NULL);

    return rc == -ENOMEM ? rc : rc == 1 && is_rounded;
}

/* RC of reading it, with WHY: 1, or 0, as after a pointer that leads astray: reading in order finds
 * what is there, or the damage. */
static int finding(int rc, const struct wp_error *why, struct buf *path, struct buf *text,
                   struct wp_error *err)
{
    if (rc == 1)
        return 1;
    buf_clear(path);
    buf_clear(text);
    if (rc != -ENOMEM && rc != -EFBIG)
        return 0;
    if (err)
        *err = *why;
    return rc;
}

int tar_pointed_manifest(const struct codec *codec, int fd, const char *name, struct pool *pool,
                         struct buf *path, struct buf *text, struct wp_error *err)
{
    _cleanup_(free_reader) struct format_reader *r = NULL;
    _cleanup_free_ char *marked = NULL;
    const struct format_open_options o = {.name = name, .pool = pool};
    struct wp_error ignored = {0};
    bool is_rounded;
    uint64_t offset;
    const bool is_pointed = codec_find_manifest(codec, fd, &offset) == 1 && offset <= INT64_MAX;
    int rc;

    if (!is_pointed && codec != &codec_none)
        return 0;
    rc = tar_read_mark(codec, fd, &o, &marked, &is_rounded, &ignored);
    if (rc == 1 && !is_pointed)
        rc = tar_look_back(fd, MANIFEST_LARGEST, &offset);
    if (rc == 1)
        rc = open_at(&r, codec, fd, offset, marked, &o, &ignored) < 0 ? -EIO : 1;
    if (rc == 1)
        rc = read_manifest(r, !is_pointed, false, path, text, &ignored);
    return finding(rc, &ignored, path, text, err);
}

int tar_sought_manifest(const struct codec *codec, int fd, const char *name, struct pool *pool,
                        struct buf *path, struct buf *text, struct wp_error *err)
{
    _cleanup_(free_reader) struct format_reader *r = NULL;
    const struct format_open_options o = {.name = name, .pool = pool};
    struct wp_error ignored = {0};
    int rc = open_at(&r, codec, fd, 0, NULL, &o, &ignored);

    if (rc == 0)
        rc = read_manifest(r, false, true, path, text, &ignored);
    return finding(rc, &ignored, path, text, err);
}
