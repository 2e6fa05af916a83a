#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

/* An EVP context per running digest. The one-shot calls below fetch nothing anew: OpenSSL 3
 * caches the implicit fetch of EVP_sha256() in the default library context. */
struct sha256 {
    EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *s = malloc(sizeof *s);

    if (!s)
        return NULL;
    s->ctx = EVP_MD_CTX_new();
    if (!s->ctx || !EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL)) {
        sha256_free(s);
        return NULL;
    }
    return s;
}

void sha256_add(struct sha256 *s, const void *data, size_t n)
{
    if (!EVP_DigestUpdate(s->ctx, data, n))
        abort(); /* only a broken libcrypto gets here */
}

void sha256_end(struct sha256 *s, unsigned char out[SHA256_SIZE])
{
    if (!EVP_DigestFinal_ex(s->ctx, out, NULL) || !EVP_DigestInit_ex(s->ctx, NULL, NULL))
        abort();
}

void sha256_free(struct sha256 *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

static void digest_of(const EVP_MD *md, const void *data, size_t n, unsigned char *out)
{
    if (!EVP_Digest(data, n, out, NULL, md, NULL))
        abort();
}

void sha256_of(const void *data, size_t n, unsigned char out[SHA256_SIZE])
{
    digest_of(EVP_sha256(), data, n, out);
}

int sha256_of_file(int fd, unsigned char out[SHA256_SIZE])
{
    struct sha256 *sha = sha256_new();
    char block[65536];
    ssize_t n;

    if (!sha)
        return -ENOMEM;
    while ((n = read(fd, block, sizeof block)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            sha256_add(sha, block, (size_t)n);
    sha256_end(sha, out);
    sha256_free(sha);
    return n < 0 ? -errno : 0;
}

void sha1_of(const void *data, size_t n, unsigned char out[SHA1_SIZE])
{
    digest_of(EVP_sha1(), data, n, out);
}

void hex_encode(const unsigned char *data, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}

/* Of each character its value as a digit and 1, or 0. */
static const unsigned char hex_digits[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

int hex_decode(const char *text, unsigned char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned high = hex_digits[(unsigned char)text[2 * i]];
        unsigned low = high ? hex_digits[(unsigned char)text[2 * i + 1]] : 0;

        if (!low)
            return -EINVAL;
        out[i] = (unsigned char)((high - 1) << 4 | (low - 1));
    }
    return text[2 * n] ? -EINVAL : 0;
}
