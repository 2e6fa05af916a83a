#pragma once
/* The indexes of a tree as they were before they were retargeted, for who asks what the code was
 * compiled for. */

#include "manifest/originals.h"
#include "numba/index.h"
#include "trees.h"

struct tree_original {
    const char *name; /* of its file; borrowed */
    char *source;     /* in the tree; owned; NULL: it has none there */
    struct index index;
};
struct trees_originals {
    struct manifest_originals *read; /* of each tree; owned */
    size_t read_count;
    struct tree_original *list; /* owned */
    size_t count;
};

/* Fills OUT from what the states of TREES keep. What cannot be read is left out: it is told by who
 * takes it back. Clear in any case. 0 or -ENOMEM. */
int trees_originals_read(struct trees_originals *out, const struct trees *trees);
/* The key that the overload in DATA had, of index INDEX (a path of any place) of SOURCE in the
 * tree; NULL: it was not retargeted. */
const struct pickle_value *trees_originals_key(const struct trees_originals *o, const char *index,
                                               const char *source, const char *data);
void trees_originals_clear(struct trees_originals *o);
