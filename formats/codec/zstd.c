/* Writes zstd frames. */

#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "base/file.h"
#include "codec.h"
#include "zstd_frame.h"

enum {
    LEVEL_DEFAULT = 3,
    LEVEL_MIN = 1,
    LEVEL_MAX = 19,
    POINTER_SIZE = 24,   /* of the last, skippable frame, all told */
    POINTER_OFFSET = 16, /* where in it the offset stands */
};

static void free_packer(void *state)
{
    ZSTD_freeCCtx(state);
}

static ZSTD_CCtx *packer_for(struct format_block *b, int level)
{
    b->free_codec = free_packer;
    if (!b->codec)
        b->codec = ZSTD_createCCtx();
    ZSTD_CCtx *c = b->codec;
    if (!c || ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 1)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)))
        return NULL;
    return c;
}

static int zstd_pack(struct format_block *b, int level, struct wp_error *err)
{
    int r = codec_level(&codec_zstd, &level, err);
    if (r < 0)
        return r;

    ZSTD_CCtx *c = packer_for(b, level);
    size_t bound = ZSTD_compressBound(b->plain.size);
    buf_clear(&b->packed);
    if (!c || ZSTD_isError(bound) || buf_reserve(&b->packed, bound) < 0)
        return error_nomem(err);
    size_t n = ZSTD_compress2(c, b->packed.data, bound, b->plain.data, b->plain.size);
    if (ZSTD_isError(n))
        return error_set(err, 0, NULL, "cannot compress: %s", ZSTD_getErrorName(n));
    b->packed.size = n;
    return 0;
}

/* ---- The last frame ---------------------------------------------------------------------- */

/* A skippable frame: magic number, size of what follows, a tag, the offset; all little-endian. */
static void make_pointer(unsigned char frame[POINTER_SIZE], uint64_t offset)
{
    static const unsigned char start[POINTER_OFFSET + 1] = "\x57\x2a\x4d\x18\x10\0\0\0warmpack";

    memcpy(frame, start, POINTER_OFFSET);
    put_le(frame + POINTER_OFFSET, 8, offset);
}

static int zstd_pointer(struct buf *out, uint64_t manifest_offset, struct wp_error *err)
{
    unsigned char frame[POINTER_SIZE];

    make_pointer(frame, manifest_offset);
    return buf_add(out, frame, sizeof(frame)) < 0 ? error_nomem(err) : 0;
}

/* ---- The frame before it, which says how long all others are ------------------------------ */

enum { MAP_START = 16 /* bytes before the map: as a pointer's */ };
static const char map_tag[8] = {'w', 'a', 'r', 'm', 'p', 'm', 'a', 'p'};

static int zstd_add_map(struct buf *out, const unsigned char *map, size_t count,
                        struct wp_error *err)
{
    unsigned char start[MAP_START] = {0x57, 0x2a, 0x4d, 0x18};
    const size_t size = count * CODEC_MAP_ITEM;

    if (count == 0 || size > UINT32_MAX - sizeof(map_tag))
        return 0;
    put_le(start + 4, 4, (uint32_t)(size + sizeof(map_tag)));
    memcpy(start + 8, map_tag, sizeof(map_tag));
    return buf_add(out, start, sizeof(start)) < 0 || buf_add(out, map, size) < 0 ? error_nomem(err)
                                                                                 : 0;
}

static int zstd_read_map(int fd, uint64_t at, uint64_t size, struct buf *map)
{
    enum { LARGEST = 64 << 20 }; /* bytes, for 64 TiB of content */
    unsigned char start[MAP_START];
    ssize_t n = file_read_at(fd, start, sizeof(start), at);

    if (n < (ssize_t)sizeof(start))
        return n < 0 ? (int)n : 0;
    size -= sizeof(start);
    if (get_le32(start) != SKIPPABLE_MAGIC + 7 ||
        memcmp(start + 8, map_tag, sizeof(map_tag)) != 0 || size % CODEC_MAP_ITEM || size > LARGEST)
        return 0;
    if (buf_reserve(map, size) < 0)
        return -ENOMEM;
    n = file_read_at(fd, map->data + map->size, size, at + sizeof(start));
    if (n < (ssize_t)size)
        return n < 0 ? (int)n : 0;
    map->size += size;
    return 1;
}

static bool zstd_read_pointer(const unsigned char *bytes, uint64_t *offset)
{
    unsigned char expected[POINTER_SIZE];

    *offset = get_le64(bytes + POINTER_OFFSET);
    make_pointer(expected, *offset);
    return memcmp(bytes, expected, POINTER_SIZE) == 0;
}

static bool begins_frame(const unsigned char *start, size_t n)
{
    return n >= 4 && get_le32(start) == FRAME_MAGIC;
}

static bool zstd_recognises(const unsigned char *start, size_t n)
{
    return n >= 4 && (get_le32(start) == FRAME_MAGIC || is_skippable(get_le32(start)));
}

const struct codec codec_zstd = {
    .name = "zstd",
    /* All frames of 16 MiB are 0.3 % smaller, but then threads wait longer for the last one, and
     * half as much again is in memory; of 4 MiB, 1 % larger. */
    .block_size = 8 * 1024 * 1024,
    /* There the wait is little against the whole, and 0.3 % are saved. */
    .large_block_size = 12 * 1024 * 1024,
    .default_level = LEVEL_DEFAULT,
    .min_level = LEVEL_MIN,
    .max_level = LEVEL_MAX,
    .pack = zstd_pack,
    .pointer = zstd_pointer,
    .add_map = zstd_add_map,
    .recognises = zstd_recognises,
    .begins = begins_frame,
    .pointer_size = POINTER_SIZE,
    .read_pointer = zstd_read_pointer,
    .measure = zstd_measure,
    .read_map = zstd_read_map,
    .pieces = &zstd_pieces,
};
