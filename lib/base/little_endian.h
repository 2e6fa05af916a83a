#pragma once
/* Numbers with their lowest byte first, as archives and pickles store them. */

#include <stddef.h>
#include <stdint.h>

/* Of N bytes, at most eight. */
static inline uint64_t get_le(const unsigned char *p, size_t n)
{
    uint64_t v = 0;

    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

static inline uint16_t get_le16(const unsigned char *p)
{
    return (uint16_t)get_le(p, 2);
}

static inline uint32_t get_le32(const unsigned char *p)
{
    return (uint32_t)get_le(p, 4);
}

static inline uint64_t get_le64(const unsigned char *p)
{
    return get_le(p, 8);
}

/* Puts V, N bytes long, and returns what follows. */
static inline unsigned char *put_le(unsigned char *p, size_t n, uint64_t v)
{
    for (size_t i = 0; i < n; i++)
        *p++ = (unsigned char)(v >> 8 * i);
    return p;
}
