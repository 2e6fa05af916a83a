#pragma once
/* A zip is read from its end: one that comes through a pipe is kept in a file first. */

#include "archive/format.h"

/* Bytes of a program that may stand in front of what comes through a pipe: not all of what is no
 * zip is kept. */
enum { ZIP_LONGEST_PROGRAM = 64 << 20 };

/* An unlinked temporary file (in $TMPDIR, else /tmp) with the N bytes of START and what FD still
 * gives; FD stays the caller's. Its descriptor, or negative errno. With PREFIXED, -ENOMSG and no
 * message where there is more than ZIP_LONGEST_PROGRAM in which no entry begins. */
int zip_spool(int fd, const void *start, size_t n, bool prefixed,
              const struct format_open_options *o, struct wp_error *err);
