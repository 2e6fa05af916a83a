#include "archive.h"

#include <errno.h>

#include "base/buf.h"
#include "base/error.h"

int archive_pull(struct wp_archive *a, const struct entry *e, struct buf *text,
                 bool (*may_grow)(const struct buf *text, size_t n), struct wp_error *err)
{
    const void *data;
    uint64_t offset;
    size_t n;
    int r;

    while ((r = a->reader->ops->data(a->reader, &data, &n, &offset, err)) > 0) {
        if (offset != text->size || n > e->size - text->size)
            return error_set(err, EBADMSG, e->path, "has another size than its header says");
        if (buf_add(text, data, n) < 0)
            return error_nomem(err);
        if (may_grow && !may_grow(text, n))
            return error_set(err, 0, e->path, "is no manifest");
    }
    return r;
}
