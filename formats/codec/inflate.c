/* Inflates deflate data in pieces. */

#include "inflate.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* Both libraries count in 32 bits. */
static size_t at_most(size_t n)
{
    return n < INT32_MAX ? n : INT32_MAX;
}

#ifdef WARMPACK_ISAL

#include <isa-l/igzip_lib.h>

struct inflater {
    struct inflate_state isal;
};

struct inflater *inflater_new(void)
{
    struct inflater *i = calloc(1, sizeof(*i));

    if (!i)
        return NULL;
    isal_inflate_init(&i->isal);
    i->isal.crc_flag = ISAL_DEFLATE;
    return i;
}

void inflater_reset(struct inflater *i)
{
    isal_inflate_reset(&i->isal);
    i->isal.crc_flag = ISAL_DEFLATE;
}

void inflater_free(struct inflater *i)
{
    free(i);
}

/* Release 2.30 keeps the bytes that it read beyond the end in its bit buffer; later ones move
 * next_in back, even to before what they were given. */
static size_t read_beyond(const struct inflate_state *isal, size_t given)
{
    size_t beyond = (size_t)(isal->read_in_length > 0 ? isal->read_in_length / 8 : 0);

    if (isal->avail_in > given)
        beyond += isal->avail_in - given;
    return beyond < INFLATE_BEYOND ? beyond : INFLATE_BEYOND;
}

int inflater_run(struct inflater *i, const unsigned char *in, size_t n, unsigned char *out,
                 size_t room, struct inflated *done)
{
    const size_t given = at_most(n), wanted = at_most(room);

    i->isal.next_in = (uint8_t *)in; /* it is only read */
    i->isal.avail_in = (uint32_t)given;
    i->isal.next_out = out;
    i->isal.avail_out = (uint32_t)wanted;
    const int r = isal_inflate(&i->isal);

    *done = (struct inflated){
        .used = i->isal.avail_in < given ? given - i->isal.avail_in : 0,
        .made = wanted - i->isal.avail_out,
        .ended = r == ISAL_DECOMP_OK && i->isal.block_state == ISAL_BLOCK_FINISH,
    };
    if (done->ended)
        done->beyond = read_beyond(&i->isal, given);
    return r == ISAL_DECOMP_OK ? 0 : -EBADMSG;
}

#else

#include <zlib.h>

struct inflater {
    z_stream z;
};

struct inflater *inflater_new(void)
{
    struct inflater *i = calloc(1, sizeof(*i));

    if (i && inflateInit2(&i->z, -MAX_WBITS) != Z_OK) {
        free(i);
        return NULL;
    }
    return i;
}

void inflater_reset(struct inflater *i)
{
    inflateReset(&i->z);
}

void inflater_free(struct inflater *i)
{
    if (!i)
        return;
    inflateEnd(&i->z);
    free(i);
}

int inflater_run(struct inflater *i, const unsigned char *in, size_t n, unsigned char *out,
                 size_t room, struct inflated *done)
{
    static const unsigned char nothing;
    const size_t given = at_most(n), wanted = at_most(room);

    i->z.next_in = (Bytef *)(in ? in : &nothing); /* it is only read */
    i->z.avail_in = (uInt)given;
    i->z.next_out = out;
    i->z.avail_out = (uInt)wanted;
    const int r = inflate(&i->z, Z_NO_FLUSH);

    *done = (struct inflated){
        .used = given - i->z.avail_in,
        .made = wanted - i->z.avail_out,
        .ended = r == Z_STREAM_END,
    };
    /* Z_BUF_ERROR: there was nothing that it could do. The caller sees that by the numbers. */
    return r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR ? 0 : -EBADMSG;
}

#endif
