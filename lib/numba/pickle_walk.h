#pragma once
/* Goes once through every value of a pickle, however often it is shared. */

#include "numba/pickle.h"

/* Hands every value that ROOT leads to, itself included, to FN, each once, until FN returns less
 * than 0, which is returned then. -ENOMEM. */
int pickle_walk(const struct pickle_value *root, int (*fn)(void *arg, const struct pickle_value *v),
                void *arg);
