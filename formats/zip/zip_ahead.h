#pragma once
/* Small contents, read and inflated ahead by the pool while they are asked for entry after entry.
 * Who picks only some entries has only those read. */

#include <stdbool.h>

#include "zip_content.h"

struct pool;

struct zip_ahead {
    const struct zip_archive *a; /* borrowed */
    struct pipeline *line;       /* of batches */
    struct chunks *chunks;       /* what they inflate to */
    size_t budget;               /* bytes of it at which nothing further is read ahead */
    size_t next;                 /* the first entry that is in no batch yet */
    struct zip_batch single;     /* for what is not read ahead */
};

/* A is borrowed and need not be filled yet; 0 or -ENOMEM; zip_ahead_clear in any
 * case. */
int zip_ahead_init(struct zip_ahead *z, const struct zip_archive *a, struct pool *pool);
void zip_ahead_clear(struct zip_ahead *z);

/* All entries will be wanted: begins with the first ones. Before the first zip_ahead_get. */
void zip_ahead_begin(struct zip_ahead *z);

/* The batch that holds entry I, which is small; it stays until the next call. With MORE, the
 * entries that follow will be wanted, too. */
const struct zip_batch *zip_ahead_get(struct zip_ahead *z, size_t i, bool more);
