#pragma once
/* Judges whether an index is older than a file that its code can come from. Numba compares its own
 * source alone. */

#include <time.h>

#include "warmpack.h"

enum outdated {
    NOT_OUTDATED,
    OUTDATED,
    OUTDATED_UNKNOWN /* times were set after it was compiled: they say nothing */
};

/* STAMP: of the index; one of content says nothing of whether its source kept its time. COMPILED:
 * when its oldest data file was written; SOURCE and NEWEST: when its source and the
 * newest of all files that it depends on were modified. */
enum outdated outdated_by_times(const struct wp_stamp *stamp, struct timespec compiled,
                                struct timespec source, struct timespec newest);

/* Says so of S: PATH is the file that has changed. 0 or -ENOMEM. */
int outdated_set(struct wp_index_status *s, const char *path);
