#pragma once
/* Making .pyc files fit a source whose time is another than the one that they remember. */

#include <dirent.h>

#include "base/path.h"
#include "restamp.h"

/* The __pycache__ that was listed last: most sources of a directory come one behind the other.
 * Zero-initialise; free with pyc_listing_clear. */
struct pyc_listing {
    char *place;            /* beneath the tree; NULL: none yet; owned */
    DIR *dir;               /* NULL: it is not there; owned */
    struct path_list names; /* of its .pyc files, sorted */
};
void pyc_listing_clear(struct pyc_listing *l);

/* Lets the .pyc files of SOURCE, at PATH beneath FD, fit it. Adds the number of those that were
 * changed (or, on a dry run, would be) to *COUNT. L is for one FD. */
int pyc_restamp(struct pyc_listing *l, int fd, const char *path,
                const struct restamp_source *source, bool dry_run, size_t *count,
                struct wp_error *err);
