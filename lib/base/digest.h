#pragma once
/* SHA-1 and SHA-256 of libcrypto, and hex. Once there, a digest cannot fail. */

#include <stdbool.h>
#include <stddef.h>

enum { SHA256_SIZE = 32, SHA1_SIZE = 20 };

struct sha256; /* opaque running digest */

struct sha256 *sha256_new(void); /* NULL on no memory */
void sha256_add(struct sha256 *s, const void *data, size_t n);
void sha256_end(struct sha256 *s, unsigned char out[SHA256_SIZE]); /* and starts anew */
/* The digest of what has been added so far; more may be added. */
void sha256_peek(const struct sha256 *s, unsigned char out[SHA256_SIZE]);
void sha256_free(struct sha256 *s);

void sha256_of(const void *data, size_t n, unsigned char out[SHA256_SIZE]);
/* Is WANT their digest? */
bool sha256_is(const void *data, size_t n, const unsigned char want[SHA256_SIZE]);
/* The digest of what can be read from FD, to its end. 0 or negative errno. */
int sha256_of_file(int fd, unsigned char out[SHA256_SIZE]);
/* Is WANT that digest? 1, 0 or negative errno. */
int sha256_file_is(int fd, const unsigned char want[SHA256_SIZE]);
void sha1_of(const void *data, size_t n, unsigned char out[SHA1_SIZE]);

/* Lower-case hex; OUT has 2*N+1 bytes. */
void hex_encode(const unsigned char *data, size_t n, char *out);
/* 0, or -EINVAL unless TEXT is exactly 2*N lower- or upper-case hex digits. */
int hex_decode(const char *text, unsigned char *out, size_t n);

/* SHA-256 of many texts at once, which a processor does in less time than one after another: it
 * works on several where the first would wait for itself. */

struct sha256_text {
    const void *data;
    size_t size;
    unsigned char *out; /* SHA256_SIZE bytes */
};

/* What it takes, kept from one call to the next. Any number of threads use it at once. */
struct sha256_many;

struct sha256_many *sha256_many_new(void); /* NULL on no memory */
/* The digest of each of the N texts, to its OUT. */
void sha256_many_of(struct sha256_many *m, const struct sha256_text *texts, size_t n);
void sha256_many_free(struct sha256_many *m); /* NULL is fine */
