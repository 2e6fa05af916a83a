#pragma once
/* A growable run of bytes. Zero-initialise; free with buf_free. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    unsigned char *data; /* owned */
    size_t size;         /* bytes in use */
    size_t room;         /* bytes allocated */
};

/* Do they have the same bytes? Empty ones have no data. */
bool buf_equals(const struct buf *a, const struct buf *b);

/* All return 0 or -ENOMEM. */
int buf_reserve(struct buf *b, size_t more);            /* room for MORE further bytes */
int buf_add(struct buf *b, const void *data, size_t n); /* append */
int buf_add_zeros(struct buf *b, size_t n);
int buf_add_str(struct buf *b, const char *s); /* without the NUL */
/* Also terminates. */
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_terminate(struct buf *b); /* a NUL behind the bytes, not counted in size */
void buf_free(struct buf *b);     /* also resets to empty */
static inline void buf_clear(struct buf *b)
{
    b->size = 0;
}
