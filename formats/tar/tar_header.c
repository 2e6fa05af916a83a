/* Reads and writes the 512-byte header of tar. */

#include "tar_header.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

bool tar_number_fits(unsigned width, int64_t value)
{
    return value >= 0 && (uint64_t)value >> (3 * (width - 1)) == 0;
}

void tar_put_number(char *field, unsigned width, int64_t value)
{
    if (tar_number_fits(width, value)) {
        field[width - 1] = '\0';
        for (unsigned i = width - 1; i-- > 0; value >>= 3)
            field[i] = (char)('0' + (value & 7));
        return;
    }
    /* Two's complement, big-endian, with the top bit set as the mark of this form. */
    for (unsigned i = width; i-- > 0; value >>= 8)
        field[i] = (char)(value & 0xff);
    field[0] = (char)(field[0] | 0x80);
}

static int get_base_256(const char *field, unsigned width, int64_t *value)
{
    unsigned char first = (unsigned char)field[0];
    int64_t v = (first & 0x3f) - (first & 0x40);

    for (unsigned i = 1; i < width; i++) {
        if (__builtin_mul_overflow(v, 256, &v) ||
            __builtin_add_overflow(v, (unsigned char)field[i], &v))
            return -EINVAL;
    }
    *value = v;
    return 0;
}

int tar_get_number(const char *field, unsigned width, int64_t *value)
{
    unsigned i = 0;
    int64_t v = 0;

    if ((unsigned char)field[0] & 0x80)
        return get_base_256(field, width, value);
    while (i < width && field[i] == ' ')
        i++;
    for (; i < width && field[i] >= '0' && field[i] <= '7'; i++)
        v = v << 3 | (field[i] - '0'); /* 12 digits at most: 36 bits */
    if (i < width && field[i] != ' ' && field[i] != '\0')
        return -EINVAL;
    *value = v;
    return 0;
}

/* The sum over all bytes, those of the checksum itself counted as spaces. */
static long sum(const struct tar_header *h, bool is_signed)
{
    const unsigned char *p = (const unsigned char *)h;
    const size_t at = offsetof(struct tar_header, checksum);
    long total = 0;

    for (size_t i = 0; i < TAR_BLOCK; i++) {
        const unsigned char c = i - at < sizeof(h->checksum) ? ' ' : p[i];

        total += is_signed ? (signed char)c : c;
    }
    return total;
}

void tar_put_checksum(struct tar_header *h)
{
    /* Six digits, NUL, space: as every tar has written it. */
    tar_put_number(h->checksum, 7, sum(h, false));
    h->checksum[7] = ' ';
}

bool tar_checksum_fits(const struct tar_header *h)
{
    int64_t said;

    return tar_get_number(h->checksum, sizeof(h->checksum), &said) == 0 &&
           (said == sum(h, false) || said == sum(h, true));
}

bool tar_is_zero_block(const void *block)
{
    const unsigned char *p = block;

    return p[0] == 0 && memcmp(p, p + 1, TAR_BLOCK - 1) == 0;
}
