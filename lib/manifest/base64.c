/* Encodes and decodes names that are not UTF-8. */

#include "manifest/base64.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

int base64_add(struct buf *out, const void *data, size_t n)
{
    int r = n < INT32_MAX / 2 ? buf_reserve(out, (n + 2) / 3 * 4 + 1) : -ENOMEM;

    if (r == 0)
        out->size += (size_t)EVP_EncodeBlock(out->data + out->size, data, (int)n);
    return r;
}

/* Is TEXT how base64_add writes the SIZE bytes of DATA? A name has one spelling only. */
static int is_spelling(const char *data, size_t size, const char *text, size_t n)
{
    _cleanup_buf_ struct buf again = {0};
    int r = base64_add(&again, data, size);

    return r < 0 ? r : again.size == n && (n == 0 || memcmp(again.data, text, n) == 0);
}

char *base64_decode(const char *text, size_t n)
{
    _cleanup_free_ char *out = n < INT32_MAX ? malloc(n / 4 * 3 + 1) : NULL;
    int size = 0, is;

    if (!out) {
        errno = ENOMEM;
        return NULL;
    }
    if (n % 4 == 0 && n)
        size = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)n);
    for (size_t i = n; size > 0 && i > n - 2 && text[i - 1] == '='; i--)
        size--; /* EVP_DecodeBlock counts what pads the end */
    out[size < 0 ? 0 : size] = '\0';
    is = size < 0 || memchr(out, '\0', (size_t)size) ? 0 : is_spelling(out, (size_t)size, text, n);
    if (is > 0)
        return take_ptr(out);
    errno = is < 0 ? ENOMEM : EINVAL;
    return NULL;
}
