#include "tar_pointer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "manifest/manifest.h"
#include "tar.h"

/* A manifest has some 200 bytes a file; this one would speak of ten million. */
static const uint64_t max_manifest = UINT64_C(2) << 30;

/* FD's file, open a second time: a duplicate would share the position with who is reading. */
static int open_again(int fd)
{
    char self[64];

    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    return open(self, O_RDONLY | O_CLOEXEC);
}

static void free_reader(struct format_reader **r)
{
    if (*r)
        (*r)->ops->free(*r);
}

static int read_manifest(struct format_reader *r, struct buf *path, struct buf *text,
                         struct wp_error *err)
{
    const struct entry *e;
    const void *data;
    uint64_t offset;
    size_t n;
    int rc = r->ops->next(r, &e, err);

    if (rc <= 0)
        return rc;
    if (e->type != ENTRY_FILE || !manifest_is_path(e->path))
        return 0;
    if (e->size > max_manifest)
        return error_set(err, EFBIG, e->path, "the manifest is too large");
    if (buf_add_str(path, e->path) < 0)
        return error_nomem(err);
    while ((rc = r->ops->data(r, &data, &n, &offset, err)) == 1) {
        if (offset != text->size)
            return 0; /* a sparse one is not of our making */
        if (buf_add(text, data, n) < 0)
            return error_nomem(err);
    }
    return rc < 0 ? rc : text->size == e->size;
}

int tar_pointed_manifest(const struct codec *codec, int fd, const char *name, struct pool *pool,
                         struct buf *path, struct buf *text, struct wp_error *err)
{
    _cleanup_(free_reader) struct format_reader *r = NULL;
    _cleanup_close_ int again = -1;
    const struct format_open_options o = {.name = name, .pool = pool};
    struct tar_input in = {.fd = -1};
    struct wp_error ignored = {0};
    uint64_t offset;
    int rc;

    if (codec->find_manifest(fd, &offset) != 1 || offset > INT64_MAX)
        return 0;
    again = open_again(fd);
    if (again < 0 || lseek(again, (off_t)offset, SEEK_SET) < 0)
        return 0;
    rc = codec->open(&in.plain, take_fd(&again), NULL, 0, name, pool, &ignored);
    if (rc == 0)
        rc = tar_open_reader(&r, &in, &o, &ignored);
    if (rc == 0)
        rc = read_manifest(r, path, text, &ignored);
    if (rc == 1)
        return 1;
    buf_clear(path);
    buf_clear(text);
    if (rc == -ENOMEM || rc == -EFBIG) {
        if (err)
            *err = ignored;
        return rc;
    }
    return 0; /* a pointer that leads astray: reading in order finds what is there, or the damage */
}
