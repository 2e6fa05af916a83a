#pragma once
/* Runs of bytes that go from stage to stage without being copied. Whoever wants one for longer than
 * it is lent keeps it; the last to let go gives its memory back, for the next. Memory that was used
 * last is used next: it is still in the processor's cache.
 *
 * Any thread. */

#include <stddef.h>

struct chunks;

struct chunk {
    unsigned char *data; /* SIZE bytes; NULL until chunk_fill_begin */
    size_t size;
};

/* TYPICAL: bytes of a chunk. Larger ones are allowed. NULL: no memory. */
struct chunks *chunks_new(size_t typical);
void chunks_free(struct chunks *s); /* chunks that somebody keeps stay; NULL is fine */

/* Bytes of all chunks that somebody keeps, or is still to fill. */
size_t chunks_held(struct chunks *s);

/* A chunk of SIZE bytes, kept by the caller. It counts as held, but takes no memory until somebody
 * is about to fill it. NULL: no memory. */
struct chunk *chunk_new(struct chunks *s, size_t size);
/* Gives it its memory: 0 or -ENOMEM. */
int chunk_fill_begin(struct chunk *c);

struct chunk *chunk_keep(struct chunk *c); /* returns C */
void chunk_drop(struct chunk *c);          /* NULL is fine */
