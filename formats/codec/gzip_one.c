/* Writes one gzip member for a whole archive, for readers that stop at the end of the first. Its
 * blocks are deflated independently and joined. */

#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <zlib.h>

#include "codec.h"
#include "crc.h"
#include "gzip.h"
#include "open_deflate.h"

/* A block's state, kept from block to block. */
struct one_packer {
    struct open_deflate *deflate;
    int level;
    uint32_t crc;  /* of the block sealed last */
    uint64_t size; /* its plain bytes */
};

static void free_packer(void *state)
{
    struct one_packer *p = state;

    open_deflate_free(p->deflate);
    free(p);
}

static struct one_packer *packer_for(struct format_block *b, int level)
{
    struct one_packer *p = b->codec;

    b->free_codec = free_packer;
    if (!p)
        p = b->codec = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    if (!p->deflate || p->level != level) {
        open_deflate_free(p->deflate);
        p->deflate = open_deflate_new(level);
        p->level = level;
    }
    return p->deflate ? p : NULL;
}

static int one_pack(struct format_block *b, int level, struct wp_error *err)
{
    int r = gzip_check(b, &level, err);
    if (r < 0)
        return r;

    struct one_packer *p = packer_for(b, level);
    if (!p)
        return error_nomem(err);
    buf_clear(&b->packed);
    p->crc = crc_add(0, b->plain.data, b->plain.size);
    p->size = b->plain.size;
    r = open_deflate_add(p->deflate, b->plain.data, b->plain.size, &b->packed);
    if (r == -ENOMEM)
        return error_nomem(err);
    return r < 0 ? error_set(err, EIO, NULL, "cannot compress") : 0;
}

/* ---- The member around the blocks --------------------------------------------------------- */

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
    g->crc = (uint32_t)crc32_combine(g->crc, p->crc, (z_off_t)p->size);
    g->size += p->size;
    return 0;
}

int gzip_one_tail(struct gzip_one *g, struct buf *out)
{
    unsigned char trailer[GZIP_TRAILER_SIZE];

    put_le(trailer, 4, g->crc);
    put_le(trailer + 4, 4, (uint32_t)g->size);
    return open_deflate_end(out) < 0 ? -ENOMEM : buf_add(out, trailer, sizeof(trailer));
}

/* A single member has no place for a pointer, and reading it is codec_gzip's. */
const struct codec codec_gzip_one = {
    .name = "gzip",
    .block_size = GZIP_BLOCK_SIZE,
    .default_level = GZIP_LEVEL_DEFAULT,
    .min_level = GZIP_LEVEL_MIN,
    .max_level = GZIP_LEVEL_MAX,
    .pack = one_pack,
    .pieces = &gzip_pieces,
};
