#pragma once
/* Sources in zips, as a manifest tells of them: by a path that goes on behind an entry that is no
 * directory, "app/lib.zip/pkg/k.py". */

#include <stdbool.h>

#include "manifest.h"

/* Is source directory DIR of the archive one in a zip, or that itself? */
bool zipped_sources_dir(const struct manifest *m, const char *dir);
/* Does the source at PATH of the archive lie in a zip? */
bool zipped_sources_lies_in(const struct manifest *m, const char *path);
/* The entry that tells whether the source at PATH is still the same: PATH, or the zip in which it
 * lies. Allocated; NULL on no memory. */
char *zipped_sources_entry(const struct manifest *m, const char *path);
/* Is PATH beneath FD a file, or one in a zip there? What is in the zip is not looked at.
 * Where an error keeps it from being found out, it counts as there: whoever opens it says so. */
bool zipped_sources_exist(int fd, const char *path);
