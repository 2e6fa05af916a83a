/* Reads zstd frames in parallel. A frame does not say how long it is, but each of its blocks does:
 * walking them finds its end without decoding, in pipes too, and in files of other programs that
 * have several frames. */

#include <zstd.h>

#include "base/file.h"
#include "zstd_frame.h"

enum {
    MAX_SKIPPED = 1024 * 1024, /* bytes of a skippable frame that is read into memory */
    MAX_BLOCK = 128 * 1024,    /* bytes of a block, by the format */
    SLACK = 4096,              /* bytes of headers, and of empty blocks, that a frame may have */
};

/* How many bytes of a frame header follow its DESCRIPTOR, of which the last *N are the content's
 * size; 0: that is not told. */
static size_t rest_of_header(unsigned descriptor, size_t *n)
{
    static const size_t id_sizes[4] = {0, 1, 2, 4};
    static const size_t size_sizes[4] = {0, 2, 4, 8};
    const bool is_single = descriptor & 0x20;

    *n = size_sizes[descriptor >> 6];
    if (*n == 0 && is_single)
        *n = 1;
    if (*n == 0 || descriptor & 0x08) /* a reserved bit */
        return 0;
    return (is_single ? 0 : 1) + id_sizes[descriptor & 3] + *n;
}

/* The number in the N bytes before END. */
static uint64_t content_size(const unsigned char *end, size_t n)
{
    return get_le(end - n, n) + (n == 2 ? 256 : 0);
}

/* Appends the rest of a frame header, of which magic number and descriptor are there, and sets
 * *SIZE to the content's size: 1; 0: it is not told. */
static int scan_header(struct input *in, struct buf *raw, uint64_t *size)
{
    size_t n, rest = rest_of_header(raw->data[4], &n);
    int r = rest ? input_take(in, raw, rest) : 0;

    if (r == 1)
        *size = content_size(raw->data + raw->size, n);
    return r;
}

/* Appends the blocks of a frame, and its checksum. */
static int scan_blocks(struct input *in, struct buf *raw, size_t limit)
{
    bool has_checksum = raw->data[4] & 0x04, is_last = false;

    while (!is_last) {
        int r = input_take(in, raw, 3);
        if (r != 1)
            return r;
        uint32_t header = (uint32_t)get_le(raw->data + raw->size - 3, 3);
        enum { RAW, RLE, COMPRESSED, RESERVED } type = header >> 1 & 3;
        size_t size = type == RLE ? 1 : header >> 3;
        is_last = header & 1;
        if (type == RESERVED || size > MAX_BLOCK || raw->size + size > limit)
            return 0;
        r = input_take(in, raw, size);
        if (r != 1)
            return r;
    }
    return has_checksum ? input_take(in, raw, 4) : 1;
}

static int scan_frame(struct input *in, struct piece *p)
{
    struct buf *raw = &p->raw;
    uint64_t size;
    int r = input_take(in, raw, 5);

    if (r != 1)
        return r;
    if (is_skippable(get_le32(raw->data))) {
        r = input_take(in, raw, 3);
        if (r != 1)
            return r;
        uint32_t skip = get_le32(raw->data + 4);
        return skip > MAX_SKIPPED ? 0 : input_take(in, raw, skip);
    }
    if (get_le32(raw->data) != FRAME_MAGIC)
        return 0;
    r = scan_header(in, raw, &size);
    if (r != 1)
        return r;
    if (size > PIECE_MAX_PLAIN)
        return 0;
    p->plain_size = (size_t)size;
    r = scan_blocks(in, raw, ZSTD_compressBound(p->plain_size) + SLACK);
    if (r != 1)
        p->plain_size = 0;
    return r;
}

static bool unpack_frame(struct piece *p)
{
    if (is_skippable(get_le32(p->raw.data)))
        return true;
    if (!p->state)
        p->state = ZSTD_createDCtx();
    if (!p->state)
        return false;
    return ZSTD_decompressDCtx(p->state, p->plain->data, p->plain_size, p->raw.data, p->raw.size) ==
           p->plain_size;
}

static void drop_decompressor(void *state)
{
    ZSTD_freeDCtx(state);
}

const struct piece_ops zstd_pieces = {
    .typical = 8 * 1024 * 1024,
    .scan = scan_frame,
    .unpack = unpack_frame,
    .drop_state = drop_decompressor,
    .stream_new = zstd_stream_new,
    .stream_place = zstd_stream_place,
    .stream_fill = zstd_stream_fill,
    .stream_free = zstd_stream_free,
};

/* The size of the blocks of a frame, which begin AT, with their headers: 1; 0: they are none. */
static int measure_blocks(int fd, uint64_t at, uint64_t *size)
{
    unsigned char h[3];
    bool is_last = false;

    for (*size = 0; !is_last;) {
        ssize_t n = file_read_at(fd, h, sizeof(h), at + *size);
        uint32_t header = (uint32_t)get_le(h, sizeof(h));

        if (n < (ssize_t)sizeof(h))
            return n < 0 ? (int)n : 0;
        is_last = header & 1;
        if ((header >> 1 & 3) == 3 || header >> 3 > MAX_BLOCK)
            return 0;
        *size += sizeof(h) + ((header >> 1 & 3) == 1 ? 1 : header >> 3);
    }
    return 1;
}

int zstd_measure(int fd, uint64_t at, uint64_t *size, uint64_t *plain)
{
    unsigned char start[18]; /* the longest header */
    ssize_t n = file_read_at(fd, start, sizeof(start), at);
    size_t digits, rest;
    int r;

    if (n < 8)
        return n < 0 ? (int)n : 0;
    if (is_skippable(get_le32(start))) {
        *size = 8 + (uint64_t)get_le32(start + 4);
        *plain = 0;
        return 1;
    }
    rest = get_le32(start) == FRAME_MAGIC ? rest_of_header(start[4], &digits) : 0;
    if (rest == 0 || (size_t)n < 5 + rest)
        return 0;
    *plain = content_size(start + 5 + rest, digits);
    r = measure_blocks(fd, at + 5 + rest, size);
    *size += 5 + rest + (start[4] & 0x04 ? 4 : 0); /* with a checksum */
    return r;
}
