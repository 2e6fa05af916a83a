#pragma once
/* Judges whether an index is older than a file that its code can come from. Numba compares its own
 * source alone. */

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "warmpack.h"

enum outdated {
    NOT_OUTDATED,
    OUTDATED,
    OUTDATED_UNKNOWN /* times were set after it was compiled: they say nothing */
};

/* STAMP: of the index. One of content says nothing of whether its source kept its time: KEPT tells
 * that something else does. COMPILED: when its oldest data file was written; SOURCE and NEWEST:
 * when its source and the newest of all files that it depends on were modified. */
enum outdated outdated_by_times(const struct wp_stamp *stamp, bool kept, struct timespec compiled,
                                struct timespec source, struct timespec newest);

/* Does one of the .pyc files in directory DIRFD, beside the source called NAME, say that the source
 * has had its time, as in ST, since before its code was compiled? A copy's source has another time;
 * a .pyc that was made after copying is newer than the code. */
bool outdated_time_is_kept(int dirfd, const char *name, const struct stat *st,
                           struct timespec compiled);

/* Says so of S: PATH is the file that has changed. 0 or -ENOMEM. */
int outdated_set(struct wp_index_status *s, const char *path);
