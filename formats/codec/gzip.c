/* Writes gzip members that say how long they are. */

#include "gzip.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "codec.h"
#include "crc.h"

enum {
    POINTER_SIZE = 42,   /* of the last member, all told */
    POINTER_OFFSET = 24, /* where in it the offset stands */
};

/* A block's compressor, kept from block to block. */
struct gzip_packer {
    struct libdeflate_compressor *compressor;
    int level;
};

static void free_packer(void *state)
{
    struct gzip_packer *p = state;

    libdeflate_free_compressor(p->compressor);
    free(p);
}

static struct libdeflate_compressor *compressor_for(struct format_block *b, int level)
{
    struct gzip_packer *p = b->codec;

    b->free_codec = free_packer;
    if (!p)
        p = b->codec = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    if (!p->compressor || p->level != level) {
        libdeflate_free_compressor(p->compressor);
        p->compressor = libdeflate_alloc_compressor(level);
        p->level = level;
    }
    return p->compressor;
}

/* The first 20 bytes of a member. No time, no system, no hint of the level: nothing but the content
 * decides the bytes. */
static void put_header(unsigned char *h, uint32_t deflated)
{
    static const unsigned char start[16] = {GZIP_MAGIC_0,
                                            GZIP_MAGIC_1,
                                            GZIP_DEFLATE,
                                            GZIP_FEXTRA,
                                            0,
                                            0,
                                            0,
                                            0,
                                            0,
                                            255,
                                            8,
                                            0,
                                            'M',
                                            'Z',
                                            4,
                                            0};

    memcpy(h, start, sizeof(start));
    put_le(h + 16, 4, deflated);
}

int gzip_check(const struct format_block *b, int *level, struct wp_error *err)
{
    int r = codec_level(&codec_gzip, level, err);
    if (r < 0)
        return r;
    if (b->plain.size > UINT32_MAX / 2)
        return error_set(err, EFBIG, NULL, "a block of %zu bytes", b->plain.size);
    return 0;
}

static int gzip_pack(struct format_block *b, int level, struct wp_error *err)
{
    int r = gzip_check(b, &level, err);
    if (r < 0)
        return r;

    struct libdeflate_compressor *c = compressor_for(b, level);
    if (!c)
        return error_nomem(err);
    size_t bound = libdeflate_deflate_compress_bound(c, b->plain.size);
    buf_clear(&b->packed);
    if (buf_reserve(&b->packed, GZIP_HEADER_SIZE + bound + GZIP_TRAILER_SIZE) < 0)
        return error_nomem(err);

    unsigned char *out = b->packed.data;
    size_t n =
        libdeflate_deflate_compress(c, b->plain.data, b->plain.size, out + GZIP_HEADER_SIZE, bound);
    if (n == 0 || n > UINT32_MAX)
        return error_set(err, EIO, NULL, "cannot compress");
    put_header(out, (uint32_t)n);
    put_le(out + GZIP_HEADER_SIZE + n, 4, crc_add(0, b->plain.data, b->plain.size));
    put_le(out + GZIP_HEADER_SIZE + n + 4, 4, (uint32_t)b->plain.size);
    b->packed.size = GZIP_HEADER_SIZE + n + GZIP_TRAILER_SIZE;
    return 0;
}

/* ---- The last member --------------------------------------------------------------------- */

static void make_pointer(unsigned char member[POINTER_SIZE], uint64_t offset)
{
    static const unsigned char subfield[4] = {'W', 'P', 8, 0};

    memset(member, 0, POINTER_SIZE); /* the trailer of nothing is zeros */
    put_header(member, 2);
    member[10] = 20; /* bytes of extra field: both subfields */
    memcpy(member + GZIP_HEADER_SIZE, subfield, sizeof(subfield));
    put_le(member + POINTER_OFFSET, 8, offset);
    member[POINTER_SIZE - GZIP_TRAILER_SIZE - 2] = 3; /* an empty, final block of deflate */
}

static int gzip_pointer(struct buf *out, uint64_t manifest_offset, struct wp_error *err)
{
    unsigned char member[POINTER_SIZE];

    make_pointer(member, manifest_offset);
    return buf_add(out, member, sizeof(member)) < 0 ? error_nomem(err) : 0;
}

/* ---- The members before it, which say how long all others are ----------------------------- */

enum {
    MAP_EXTRA = 12,                                       /* bytes of extra field before the map */
    MAP_MOST = (UINT16_MAX - MAP_EXTRA) / CODEC_MAP_ITEM, /* items in one member */
};

static int gzip_add_map(struct buf *out, const unsigned char *map, size_t count,
                        struct wp_error *err)
{
    while (count > 0) {
        const size_t n = count < MAP_MOST ? count : MAP_MOST, size = n * CODEC_MAP_ITEM;
        const size_t extra = MAP_EXTRA + size;
        unsigned char h[GZIP_HEADER_SIZE + 4], end[2 + GZIP_TRAILER_SIZE] = {3};

        put_header(h, 2);
        put_le(h + 10, 2, extra);
        memcpy(h + GZIP_HEADER_SIZE, "WM", 2);
        put_le(h + GZIP_HEADER_SIZE + 2, 2, size);
        if (buf_add(out, h, sizeof(h)) < 0 || buf_add(out, map, size) < 0 ||
            buf_add(out, end, sizeof(end)) < 0)
            return error_nomem(err);
        map += size;
        count -= n;
    }
    return 0;
}

static int gzip_read_map(int fd, uint64_t at, uint64_t size, struct buf *map)
{
    unsigned char h[GZIP_HEADER_SIZE + 4];
    ssize_t n = file_read_at(fd, h, sizeof(h), at);
    size_t length = n < (ssize_t)sizeof(h) ? 0 : get_le16(h + 22);

    if (n < 0)
        return (int)n;
    if (!length || memcmp(h + GZIP_HEADER_SIZE, "WM", 2) != 0 || length % CODEC_MAP_ITEM ||
        get_le16(h + 10) != MAP_EXTRA + length || sizeof(h) + length > size)
        return 0;
    if (buf_reserve(map, length) < 0)
        return -ENOMEM;
    n = file_read_at(fd, map->data + map->size, length, at + sizeof(h));
    if (n < (ssize_t)length)
        return n < 0 ? (int)n : 0;
    map->size += length;
    return 1;
}

static bool gzip_read_pointer(const unsigned char *bytes, uint64_t *offset)
{
    unsigned char expected[POINTER_SIZE];

    *offset = get_le64(bytes + POINTER_OFFSET);
    make_pointer(expected, *offset);
    return memcmp(bytes, expected, POINTER_SIZE) == 0;
}

static bool gzip_recognises(const unsigned char *start, size_t n)
{
    return n >= 3 && start[0] == GZIP_MAGIC_0 && start[1] == GZIP_MAGIC_1 &&
           start[2] == GZIP_DEFLATE;
}

const struct codec codec_gzip = {
    .name = "gzip",
    .block_size = GZIP_BLOCK_SIZE,
    .default_level = GZIP_LEVEL_DEFAULT,
    .min_level = GZIP_LEVEL_MIN,
    .max_level = GZIP_LEVEL_MAX,
    .pack = gzip_pack,
    .pointer = gzip_pointer,
    .add_map = gzip_add_map,
    .recognises = gzip_recognises,
    .begins = gzip_recognises,
    .pointer_size = POINTER_SIZE,
    .read_pointer = gzip_read_pointer,
    .measure = gzip_measure,
    .read_map = gzip_read_map,
    .pieces = &gzip_pieces,
};
