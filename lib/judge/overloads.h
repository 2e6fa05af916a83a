#pragma once
/* The overloads of an index, for reports. */

#include "base/error.h"
#include "numba/index.h"
#include "warmpack.h"

/* Fills S->overloads from INDEX. SIZE_OF gives the bytes of data file NAME: 1 and *SIZE filled, 0
 * where it is not there, or negative errno; may be NULL. 0, -ENOMEM, or -EINVAL where the texts are
 * too long to be told (ERR filled). */
int overloads_fill(struct wp_index_status *s, const struct index *index,
                   int (*size_of)(void *ctx, const char *name, uint64_t *size), void *ctx,
                   struct wp_error *err);
void overloads_clear(struct wp_index_status *s);

/* Are these two the same function for the same arguments, whatever CPU they are for? */
bool overloads_are_alike(const struct wp_overload *a, const struct wp_overload *b);
