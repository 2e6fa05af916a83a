#pragma once
/* The registry of formats: found by name, suffix or content. A new format is a new file and one
 * line in registry.c. */

#include "archive/format.h"
#include "warmpack.h"

/* Opens a reader for what FD gives (taken over, also on failure), recognised by its content:
 * gzip, zstd, bzip2, xz or nothing around a tar. An empty input and one that is no archive are
 * refused (-EINVAL). */
int formats_open_reader(struct format_reader **out, int fd, const struct format_open_options *o,
                        struct wp_error *err);

extern const struct wp_format format_tar, format_tgz, format_tar_zst, format_zip;
