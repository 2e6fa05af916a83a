/* One gzip member for a whole archive, for readers that stop at the end of the first.
 *
 * Each block is compressed by itself with libdeflate, which ends it with a block marked as final.
 * That mark is taken away, an empty stored block fills the last byte up, and then the next block
 * may follow. To find the mark zlib goes over the compressed data once and says where the blocks of
 * deflate begin: far cheaper than compressing with zlib, and the data are proved on the way. */

#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "codec.h"
#include "gzip.h"

enum {
    LEVEL_DEFAULT = 5,
    LEVEL_MIN = 1,
    LEVEL_MAX = 12,
    JOINT = 6,                /* bytes at most that joining adds to a block */
    SCRATCH_SIZE = 64 * 1024, /* what zlib inflates into; nobody looks at it */
};

/* A block's state, kept from block to block. */
struct one_packer {
    struct libdeflate_compressor *compressor;
    int level;
    z_stream inflater;
    bool has_inflater;
    uint32_t crc;  /* of the block sealed last */
    uint64_t size; /* its plain bytes */
    unsigned char scratch[SCRATCH_SIZE];
};

static void drop_packer(void *state)
{
    struct one_packer *p = state;

    if (!p)
        return;
    libdeflate_free_compressor(p->compressor);
    if (p->has_inflater)
        inflateEnd(&p->inflater);
    free(p);
}

static struct one_packer *packer_for(struct format_block *b, int level)
{
    struct one_packer *p = b->codec;

    if (!p)
        p = b->codec = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    if (!p->compressor || p->level != level) {
        libdeflate_free_compressor(p->compressor);
        p->compressor = libdeflate_alloc_compressor(level);
        p->level = level;
    }
    if (!p->has_inflater)
        p->has_inflater = inflateInit2(&p->inflater, -MAX_WBITS) == Z_OK;
    return p->compressor && p->has_inflater ? p : NULL;
}

/* Where in DATA, in bits, the last block of deflate begins, and where it ends. False: zlib finds
 * these N bytes wrong. */
static bool find_last_block(struct one_packer *p, unsigned char *data, size_t n, size_t *begin,
                            size_t *end)
{
    z_stream *z = &p->inflater;

    if (inflateReset(z) != Z_OK)
        return false;
    z->next_in = data;
    z->avail_in = (uInt)n;
    *begin = 0;
    while (true) {
        z->next_out = p->scratch;
        z->avail_out = SCRATCH_SIZE;
        if (inflate(z, Z_BLOCK) != Z_OK)
            return false;
        if (!(z->data_type & 128))
            continue; /* in the midst of a block */
        size_t at = (n - z->avail_in) * 8 - (size_t)(z->data_type & 7);
        if (z->data_type & 64) {
            *end = at;
            return true;
        }
        *begin = at;
    }
}

/* Takes the mark of the last block away and brings the N bytes of DATA, which has room for JOINT
 * more, to a byte's end. Their new number. */
static size_t open_end(unsigned char *data, size_t begin, size_t end)
{
    static const unsigned char empty_stored[4] = {0, 0, 0xff, 0xff};
    size_t used = (end + 7) / 8;
    size_t header_end = (end + 3 + 7) / 8; /* the stored block's header has three bits, all 0 */

    data[begin / 8] &= (unsigned char)~(1u << begin % 8);
    if (end % 8)
        data[used - 1] &= (unsigned char)((1u << end % 8) - 1);
    if (header_end > used)
        data[used] = 0;
    memcpy(data + header_end, empty_stored, sizeof(empty_stored));
    return header_end + sizeof(empty_stored);
}

static int one_pack(struct format_block *b, int level, struct wp_error *err)
{
    size_t begin, end;

    if (level < 0)
        level = LEVEL_DEFAULT;
    if (level < LEVEL_MIN || level > LEVEL_MAX)
        return error_set(err, 0, NULL, "gzip has no compression level %d", level);
    if (b->plain.size > UINT32_MAX / 2)
        return error_set(err, EFBIG, NULL, "a block of %zu bytes", b->plain.size);

    struct one_packer *p = packer_for(b, level);
    if (!p)
        return error_nomem(err);
    size_t bound = libdeflate_deflate_compress_bound(p->compressor, b->plain.size);
    buf_clear(&b->packed);
    if (buf_reserve(&b->packed, bound + JOINT) < 0)
        return error_nomem(err);
    p->crc = libdeflate_crc32(0, b->plain.data, b->plain.size);
    p->size = b->plain.size;
    if (p->size == 0)
        return 0;
    size_t n = libdeflate_deflate_compress(p->compressor, b->plain.data, b->plain.size,
                                           b->packed.data, bound);
    if (n == 0 || !find_last_block(p, b->packed.data, n, &begin, &end))
        return error_set(err, EIO, NULL, "cannot compress");
    b->packed.size = open_end(b->packed.data, begin, end);
    return 0;
}

/* ---- The member around the blocks --------------------------------------------------------- */

struct gzip_one {
    uLong crc;
    uint64_t size;
};

struct gzip_one *gzip_one_new(void)
{
    return calloc(1, sizeof(struct gzip_one));
}

int gzip_one_head(struct buf *out)
{
    static const unsigned char header[10] = {
        GZIP_MAGIC_0, GZIP_MAGIC_1, GZIP_DEFLATE, 0, 0, 0, 0, 0, 0, 255};

    return buf_add(out, header, sizeof(header));
}

int gzip_one_add(struct gzip_one *g, const struct format_block *b)
{
    const struct one_packer *p = b->codec;

    if (!p)
        return -EINVAL; /* never sealed */
    g->crc = crc32_combine(g->crc, p->crc, (z_off_t)p->size);
    g->size += p->size;
    return 0;
}

int gzip_one_tail(struct gzip_one *g, struct buf *out)
{
    unsigned char tail[2 + GZIP_TRAILER_SIZE] = {3, 0}; /* an empty, final block of deflate */

    put_le32(tail + 2, (uint32_t)g->crc);
    put_le32(tail + 6, (uint32_t)g->size);
    return buf_add(out, tail, sizeof(tail));
}

void gzip_one_free(struct gzip_one *g)
{
    free(g);
}

/* A single member has no place for a pointer. */
static int one_pointer(struct buf *out, uint64_t manifest_offset, struct wp_error *err)
{
    (void)out;
    (void)manifest_offset;
    (void)err;
    return 0;
}

static bool one_recognises(const unsigned char *start, size_t n)
{
    (void)start;
    (void)n;
    return false; /* reading makes no difference between the two: codec_gzip */
}

static int one_find_manifest(int fd, uint64_t *offset)
{
    (void)fd;
    (void)offset;
    return 0;
}

const struct codec codec_gzip_one = {
    .name = "gzip",
    .block_size = 2 * 1024 * 1024,
    .default_level = LEVEL_DEFAULT,
    .min_level = LEVEL_MIN,
    .max_level = LEVEL_MAX,
    .pack = one_pack,
    .drop = drop_packer,
    .pointer = one_pointer,
    .recognises = one_recognises,
    .find_manifest = one_find_manifest,
    .open = gzip_open,
};
