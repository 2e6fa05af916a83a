#pragma once
/* What of our own lies in trees: it is not packed again. */

#include <sys/stat.h>

/* What type things of ours called NAME in the directory called WITHIN have: manifests, staging,
 * locks. 0: none of ours is called that. */
mode_t walk_own_type(const char *within, const char *name);
