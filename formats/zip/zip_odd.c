/* Reads bzip2, LZMA, zstd and whatever else libarchive knows: it is shown an archive of one entry,
 * whose header we write. What comes out is checked like everything else. */

#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "libarchive/libarchive.h"
#include "zip_content.h"

enum { CHUNK = 64 * 1024, LONGEST_HEADER = 64 };

struct zip_odd {
    const struct zip_archive *a;
    const struct libarchive *la;
    struct archive *archive;
    uint64_t at, left;                    /* packed bytes to be read */
    unsigned char header[LONGEST_HEADER]; /* comes first */
    size_t header_size;                   /* 0: it has been given */
    int failed;                           /* negative errno of reading */
    bool is_open, ended;
    unsigned char in[CHUNK];
};

static void put_header(struct zip_odd *o, const struct zip_entry *e)
{
    const unsigned lzma_flags = 6; /* among them: an end mark follows the data */
    unsigned char *p = put_le(o->header, 4, ZIP_LOCAL);

    p = put_le(p, 2, 45);
    p = put_le(p, 2, e->flags & lzma_flags);
    p = put_le(p, 2, e->method);
    p = put_le(p, 4, 0); /* time */
    p = put_le(p, 4, e->crc);
    p = put_le(p, 4, ZIP_MAX32);
    p = put_le(p, 4, ZIP_MAX32);
    p = put_le(p, 2, 1);
    p = put_le(p, 2, 20);
    p = put_le(p, 1, 'x');
    p = put_le(p, 2, ZIP_EXTRA_64);
    p = put_le(p, 2, 16);
    p = put_le(p, 8, e->size);
    p = put_le(p, 8, e->packed_size);
    o->header_size = (size_t)(p - o->header);
}

static la_ssize_t pull(struct archive *archive, void *arg, const void **data)
{
    struct zip_odd *o = arg;
    size_t n = o->left < CHUNK ? (size_t)o->left : CHUNK;
    ssize_t got;

    if (o->header_size) {
        n = o->header_size;
        o->header_size = 0;
        *data = o->header;
        return (la_ssize_t)n;
    }
    got = file_read_at(o->a->fd, o->in, n, o->at);
    if (got < 0) {
        o->failed = (int)got;
        o->la->set_error(archive, -(int)got, "cannot read");
        return ARCHIVE_FATAL;
    }
    o->at += (uint64_t)got;
    o->left -= (uint64_t)got;
    *data = o->in;
    return got;
}

int zip_odd_new(struct zip_odd **out, const struct zip_archive *a, const struct zip_entry *e,
                uint64_t at, const char **what)
{
    const struct libarchive *la = libarchive_load();
    struct zip_odd *o = la ? calloc(1, sizeof(*o)) : NULL;

    if (!la)
        *what = LIBARCHIVE_MISSING;
    if (!o)
        return la ? -ENOMEM : -EBADMSG;
    o->la = la;
    o->a = a;
    o->at = at;
    o->left = e->packed_size;
    put_header(o, e);
    o->archive = la->read_new();
    if (o->archive && la->read_support_format_zip_streamable(o->archive) == ARCHIVE_OK) {
        *out = o;
        return 0;
    }
    zip_odd_free(o);
    return -ENOMEM;
}

void zip_odd_free(struct zip_odd *o)
{
    if (!o)
        return;
    if (o->archive)
        o->la->read_free(o->archive);
    free(o);
}

static ssize_t failure(const struct zip_odd *o, const char **what)
{
    *what = "its compression method is not known, or its compressed data are damaged";
    return o->failed < 0 ? o->failed : -EBADMSG;
}

ssize_t zip_odd_read(struct zip_odd *o, unsigned char *out, size_t room, const char **what)
{
    struct archive_entry *e;
    la_ssize_t n;

    if (!o->is_open) {
        o->is_open = true;
        if (o->la->read_open(o->archive, o, NULL, pull, NULL) != ARCHIVE_OK ||
            o->la->read_next_header(o->archive, &e) != ARCHIVE_OK)
            return failure(o, what);
    }
    if (o->ended)
        return 0;
    n = o->la->read_data(o->archive, out, room);
    o->ended = n == 0;
    return n < 0 ? failure(o, what) : (ssize_t)n;
}
