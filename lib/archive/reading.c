/* Reads the entries of an archive in their order, and tells which of them is the manifest. */

#include "reading.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

/* A file with the name of another manifest is one like any other. */
static bool is_manifest(const struct archive_reading *in)
{
    const char *mark = in->a->reader->mark;

    return mark && own_is_manifest(mark) && strcmp(mark, in->e->path) == 0;
}

static int meet_manifest(struct archive_reading *in, struct wp_error *err)
{
    if (in->has_manifest)
        return error_set(err, EBADMSG, in->e->path, "the archive has a second manifest");
    if (in->e->size > MANIFEST_LARGEST)
        return error_set(err, EFBIG, in->e->path, "is too large for a manifest");
    in->has_manifest = true;
    return ARCHIVE_MANIFEST;
}

int archive_next(struct archive_reading *in, struct wp_error *err)
{
    struct format_reader *reader = in->a->reader;
    int r;

    if (in->e && in->tells_progress)
        report_progress(in->a->context, reader->consumed, in->a->size);
    r = context_check(in->a->context, err);
    if (r < 0)
        return r;
    r = reader->ops->next(reader, &in->e, err);
    if (r == 0 && reader->mark && !in->has_manifest)
        return error_set(err, EBADMSG, in->a->name,
                         "the archive is truncated: its manifest is missing");
    if (r <= 0)
        return r < 0 ? r : ARCHIVE_END;
    if (!*in->e->path)
        return ARCHIVE_TOP;
    return is_manifest(in) ? meet_manifest(in, err) : ARCHIVE_ENTRY;
}

int archive_content(struct archive_reading *in, struct buf *text, struct wp_error *err)
{
    struct format_reader *reader = in->a->reader;
    const bool manifest = is_manifest(in);
    const struct entry *e = in->e;
    const void *data;
    uint64_t offset;
    size_t n;
    int r;

    while ((r = reader->ops->data(reader, &data, &n, &offset, err)) > 0) {
        if (offset != text->size || n > e->size - text->size)
            return error_set(err, EBADMSG, e->path, "has another size than its header says");
        if (buf_add(text, data, n) < 0)
            return error_nomem(err);
        if (manifest && !manifest_may_grow(text, n))
            return error_set(err, 0, e->path, "is no manifest");
    }
    return r;
}

int archive_digest_hole(const struct archive_reading *in, struct sha256 *sha, uint64_t n,
                        struct wp_error *err)
{
    static const unsigned char zeros[64 << 10];
    int r = 0;

    while (n && r == 0) {
        const size_t some = n < sizeof zeros ? (size_t)n : sizeof zeros;

        sha256_add(sha, zeros, some);
        n -= some;
        r = context_check(in->a->context, err);
    }
    return r;
}

int archive_read_manifest(struct archive_reading *in, struct manifest *m, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    int r = archive_content(in, &text, err);

    return r < 0 ? r : manifest_read_once(m, &text, in->e->path, in->a->pool, err);
}
