/* Takes SHA-1 and SHA-256 digests. The functions used here are deprecated for what takes any
 * algorithm of any provider, which allocates memory for each digest that it begins, and crashes
 * where it finds none the first time. These cannot fail: a digest is in the midst of jobs that have
 * no way to say so. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "base/digest.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sha256 {
    SHA256_CTX ctx;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *s = malloc(sizeof *s);

    if (s)
        SHA256_Init(&s->ctx);
    return s;
}

void sha256_add(struct sha256 *s, const void *data, size_t n)
{
    SHA256_Update(&s->ctx, data, n);
}

void sha256_end(struct sha256 *s, unsigned char out[SHA256_SIZE])
{
    SHA256_Final(out, &s->ctx);
    SHA256_Init(&s->ctx);
}

void sha256_peek(const struct sha256 *s, unsigned char out[SHA256_SIZE])
{
    SHA256_CTX ctx = s->ctx;

    SHA256_Final(out, &ctx);
}

void sha256_free(struct sha256 *s)
{
    free(s);
}

void sha256_of(const void *data, size_t n, unsigned char out[SHA256_SIZE])
{
    struct sha256 s;

    SHA256_Init(&s.ctx);
    sha256_add(&s, data, n);
    SHA256_Final(out, &s.ctx);
}

bool sha256_is(const void *data, size_t n, const unsigned char want[SHA256_SIZE])
{
    unsigned char digest[SHA256_SIZE];

    sha256_of(data, n, digest);
    return memcmp(digest, want, SHA256_SIZE) == 0;
}

int sha256_of_file(int fd, unsigned char out[SHA256_SIZE])
{
    struct sha256 s;
    char block[65536];
    ssize_t n;

    SHA256_Init(&s.ctx);
    while ((n = read(fd, block, sizeof block)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            sha256_add(&s, block, (size_t)n);
    if (n < 0)
        return -errno;
    SHA256_Final(out, &s.ctx);
    return 0;
}

int sha256_file_is(int fd, const unsigned char want[SHA256_SIZE])
{
    unsigned char digest[SHA256_SIZE];
    int r = sha256_of_file(fd, digest);

    return r < 0 ? r : memcmp(digest, want, SHA256_SIZE) == 0;
}

void sha1_of(const void *data, size_t n, unsigned char out[SHA1_SIZE])
{
    SHA_CTX ctx;

    SHA1_Init(&ctx);
    SHA1_Update(&ctx, data, n);
    SHA1_Final(out, &ctx);
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

/* The value of each character as a digit, and 1; 0 where it is none. */
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
