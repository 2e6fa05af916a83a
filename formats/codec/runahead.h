#pragma once
/* Runs a producer of bytes a few buffers ahead of its consumer, on a strand of the pool. With a
 * pool of one thread it runs when bytes are asked for. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stream/chunk.h"
#include "stream/pool.h"

struct runahead;

/* FILL: see piece_ops.stream_fill. PLACE, or NULL: what FILL leaves there is kept with the bytes,
 * for runahead_place. NULL: no memory. */
struct runahead *runahead_new(struct pool *pool,
                              int (*fill)(void *arg, unsigned char *out, size_t room, size_t *n,
                                          const char **what),
                              void *arg, const uint64_t *place);

/* What was kept with the bytes that runahead_next gave last. */
uint64_t runahead_place(const struct runahead *r);

/* The next bytes, valid until the next call: their number; 0 at the end; negative errno, and *WHAT
 * as FILL said. Owner's thread. */
ssize_t runahead_next(struct runahead *r, const void **data, const char **what);

/* The chunk that holds these bytes, kept for the caller. NULL: there are none. */
struct chunk *runahead_share(const struct runahead *r);

void runahead_free(struct runahead *r); /* waits for the producer; NULL is fine */
