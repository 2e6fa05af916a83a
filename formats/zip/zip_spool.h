#pragma once
/* A zip is read from its end: one that comes through a pipe is kept in a file first. */

#include "archive/format.h"

/* An unlinked temporary file (in $TMPDIR, else /tmp) with the N bytes of START and what FD still
 * gives; FD stays the caller's. Its descriptor, or negative errno. */
int zip_spool(int fd, const void *start, size_t n, const struct format_open_options *o,
              struct wp_error *err);
