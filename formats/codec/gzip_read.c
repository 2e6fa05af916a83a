/* Reads gzip members, in parallel where they say how long they are. */

#include "gzip.h"

#include <libdeflate.h>

#include "base/file.h"
#include "crc.h"

enum {
    MAX_EXTRA = 1024,                /* bytes of extra field in which a size is looked for */
    MAX_DEFLATED = 16 * 1024 * 1024, /* bytes of a member that is unpacked in memory */
    BEST_RATIO = 1032,               /* deflate cannot expand further than this */
    FIXED_HEADER = 10,               /* bytes before the optional fields */
};

/* The size that the MZ subfield of an extra field gives; 0: there is none. */
static uint32_t find_size(const unsigned char *extra, size_t n)
{
    while (n >= 4) {
        size_t length = get_le16(extra + 2);
        if (length > n - 4)
            return 0;
        if (extra[0] == 'M' && extra[1] == 'Z' && length == 4)
            return get_le32(extra + 4);
        extra += 4 + length;
        n -= 4 + length;
    }
    return 0;
}

static int scan_member(struct input *in, struct piece *p)
{
    struct buf *raw = &p->raw;
    int r = input_take(in, raw, FIXED_HEADER + 2);

    if (r != 1)
        return r;
    const unsigned char *h = raw->data;
    if (h[0] != GZIP_MAGIC_0 || h[1] != GZIP_MAGIC_1 || h[2] != GZIP_DEFLATE || h[3] != GZIP_FEXTRA)
        return 0;
    size_t extra = get_le16(h + 10);
    if (extra > MAX_EXTRA)
        return 0;
    r = input_take(in, raw, extra);
    if (r != 1)
        return r;
    uint32_t deflated = find_size(raw->data + FIXED_HEADER + 2, extra);
    if (deflated == 0 || deflated > MAX_DEFLATED)
        return 0;
    p->body = raw->size;
    r = input_take(in, raw, (size_t)deflated + GZIP_TRAILER_SIZE);
    if (r != 1)
        return r;
    uint32_t size = get_le32(raw->data + raw->size - 4);
    if (size > PIECE_MAX_PLAIN || size / BEST_RATIO > deflated)
        return 0;
    p->plain_size = size;
    return 1;
}

static bool unpack_member(struct piece *p)
{
    size_t deflated = p->raw.size - p->body - GZIP_TRAILER_SIZE;
    const unsigned char *trailer = p->raw.data + p->body + deflated;
    size_t used, got;

    if (!p->state)
        p->state = libdeflate_alloc_decompressor();
    if (!p->state)
        return false;
    enum libdeflate_result r = libdeflate_deflate_decompress_ex(
        p->state, p->raw.data + p->body, deflated, p->plain->data, p->plain_size, &used, &got);
    return r == LIBDEFLATE_SUCCESS && used == deflated && got == p->plain_size &&
           crc_add(0, p->plain->data, p->plain_size) == get_le32(trailer);
}

static void drop_decompressor(void *state)
{
    libdeflate_free_decompressor(state);
}

const struct piece_ops gzip_pieces = {
    .typical = 2 * 1024 * 1024,
    .scan = scan_member,
    .unpack = unpack_member,
    .drop_state = drop_decompressor,
    .stream_new = gzip_stream_new,
    .stream_place = gzip_stream_place,
    .stream_fill = gzip_stream_fill,
    .stream_free = gzip_stream_free,
};

int gzip_measure(int fd, uint64_t at, uint64_t *size, uint64_t *plain)
{
    unsigned char h[FIXED_HEADER + 2 + MAX_EXTRA], length[4];
    ssize_t n = file_read_at(fd, h, sizeof(h), at);
    size_t extra = n < FIXED_HEADER + 2 ? 0 : get_le16(h + 10);
    uint32_t deflated;

    if (n < FIXED_HEADER + 2)
        return n < 0 ? (int)n : 0;
    if (h[0] != GZIP_MAGIC_0 || h[1] != GZIP_MAGIC_1 || h[2] != GZIP_DEFLATE || h[3] != GZIP_FEXTRA)
        return 0;
    /* Ours stands first; a map of the archive behind it may be longer. */
    n -= FIXED_HEADER + 2;
    deflated = find_size(h + FIXED_HEADER + 2, extra < (size_t)n ? extra : (size_t)n);
    *size = FIXED_HEADER + 2 + extra + deflated + GZIP_TRAILER_SIZE;
    n = deflated ? file_read_at(fd, length, sizeof(length), at + *size - sizeof(length)) : 0;
    if (n < (ssize_t)sizeof(length))
        return n < 0 ? (int)n : 0;
    *plain = get_le32(length);
    return 1;
}
