#pragma once
/* SHA-256 of many texts at once, which a processor does in less time than one after another: it
 * works on several where the first would wait for itself. */

#include <stddef.h>

#include "base/digest.h"

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
