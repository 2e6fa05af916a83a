/* Makes deflate data that other deflate data may follow. */

#include "open_deflate.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    JOINT = 6,                /* bytes at most that joining adds to a run */
    SCRATCH_SIZE = 64 * 1024, /* what zlib inflates into; nobody looks at it */
};

struct open_deflate {
    struct libdeflate_compressor *compressor;
    z_stream inflater;
    bool has_inflater;
    unsigned char scratch[SCRATCH_SIZE];
};

struct open_deflate *open_deflate_new(int level)
{
    struct open_deflate *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    j->compressor = libdeflate_alloc_compressor(level);
    j->has_inflater = inflateInit2(&j->inflater, -MAX_WBITS) == Z_OK;
    if (j->compressor && j->has_inflater)
        return j;
    open_deflate_free(j);
    return NULL;
}

void open_deflate_free(struct open_deflate *j)
{
    if (!j)
        return;
    libdeflate_free_compressor(j->compressor);
    if (j->has_inflater)
        inflateEnd(&j->inflater);
    free(j);
}

/* Where in DATA, in bits, the last block of deflate begins, and where it ends. False: zlib finds
 * these N bytes wrong. */
static bool find_last_block(struct open_deflate *j, unsigned char *data, size_t n, size_t *begin,
                            size_t *end)
{
    z_stream *z = &j->inflater;

    if (inflateReset(z) != Z_OK)
        return false;
    z->next_in = data;
    z->avail_in = (uInt)n;
    *begin = 0;
    while (true) {
        z->next_out = j->scratch;
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

int open_deflate_add(struct open_deflate *j, const void *data, size_t size, struct buf *out)
{
    size_t bound, n, begin, end;

    if (size == 0)
        return 0;
    bound = libdeflate_deflate_compress_bound(j->compressor, size);
    if (bound > UINT32_MAX)
        return -EIO;
    if (buf_reserve(out, bound + JOINT) < 0)
        return -ENOMEM;
    n = libdeflate_deflate_compress(j->compressor, data, size, out->data + out->size, bound);
    if (n == 0 || !find_last_block(j, out->data + out->size, n, &begin, &end))
        return -EIO;
    out->size += open_end(out->data + out->size, begin, end);
    return 0;
}

int open_deflate_end(struct buf *out)
{
    static const unsigned char final[2] = {3, 0};

    return buf_add(out, final, sizeof(final));
}
