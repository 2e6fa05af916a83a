#pragma once
/* Notes of packages that an interpreter has in another version than there was at packing. */

#include "manifest/manifest.h"
#include "warmpack.h"

/* Asks PYTHON, if not NULL, for the distributions that M records; a difference of one that needs
 * Numba itself is noted. 0 or negative errno. */
int note_distributions(struct wp_verify_report *r, const struct manifest *m,
                       const struct wp_context *context, const char *python, struct wp_error *err);
