#pragma once
/* The cache directories that create and amend look into. */

#include "args.h"

/* Those of --cache-dir, else $NUMBA_CACHE_DIR and the user-wide one; none with --no-cache-dir. Says
 * what is wrong; returns 0 or the exit status. */
int cache_dirs_add(struct string_list *dirs, const struct args *a);
