/* Encodes and decodes names that are not UTF-8. */

#include "manifest/base64.h"

#include <errno.h>
#include <stdlib.h>

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_add(struct buf *out, const void *data, size_t n)
{
    const unsigned char *in = data;
    unsigned char *to;
    int r;

    if (n > SIZE_MAX / 2)
        return -ENOMEM;
    r = buf_reserve(out, (n + 2) / 3 * 4);
    if (r < 0)
        return r;
    to = out->data + out->size;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)in[i] << 16;

        if (left > 1)
            bits |= (uint32_t)in[i + 1] << 8;
        if (left > 2)
            bits |= in[i + 2];
        *to++ = (unsigned char)ALPHABET[bits >> 18];
        *to++ = (unsigned char)ALPHABET[bits >> 12 & 63];
        *to++ = left > 1 ? (unsigned char)ALPHABET[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? (unsigned char)ALPHABET[bits & 63] : '=';
    }
    out->size = (size_t)(to - out->data);
    return 0;
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The 1 to 3 bytes of one group of four; their number, or -1. Bits that no byte uses must be
 * zero, so that a name has one spelling only. */
static int decode_group(const char *text, char out[3])
{
    int length = text[3] != '=' ? 3 : text[2] != '=' ? 2 : 1;
    uint32_t bits = 0;

    for (int i = 0; i < 4; i++) {
        int v = i <= length ? digit_value(text[i]) : 0;

        if (v < 0)
            return -1;
        bits = bits << 6 | (uint32_t)v;
    }
    if (bits & ((UINT32_C(1) << (8 * (3 - length))) - 1))
        return -1;
    for (int i = 0; i < length; i++) {
        out[i] = (char)(bits >> (16 - 8 * i) & 0xFF);
        if (!out[i])
            return -1;
    }
    return length;
}

char *base64_decode(const char *text, size_t n)
{
    char *out, *to;

    if (n % 4) {
        errno = EINVAL;
        return NULL;
    }
    to = out = malloc(n / 4 * 3 + 1);
    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i += 4) {
        int length = decode_group(text + i, to);

        if (length < 0 || (length < 3 && i + 4 < n)) {
            free(out);
            errno = EINVAL;
            return NULL;
        }
        to += length;
    }
    *to = '\0';
    return out;
}
