#pragma once
/* Which format an archive is written in. */

#include "args.h"

/* By -z, --zstd, --format and the suffix of ARCHIVE. Says what is wrong; returns 0 or the exit
 * status. */
int format_choose(const struct args *a, const char *archive, const struct wp_format **out);
/* Does the format take --level and --gzip-members, where they are given? */
int format_check_options(const struct args *a, const struct wp_format *f);
