#pragma once
/* Values of a pickle's graph, or pairs of them, that have been met. For lib/numba/pickle*.c. */

#include "numba/pickle.h"

/* Zero-initialise; PAIRS is the caller's to free. */
struct pickle_seen {
    struct pickle_pair {
        const struct pickle_value *a, *b;
    } * pairs; /* a power of two, half full at most; owned */
    size_t count, room;
};

/* 1: A and B have been met together; 0: they are from now on; -ENOMEM. */
int pickle_seen_add(struct pickle_seen *s, const struct pickle_value *a,
                    const struct pickle_value *b);
