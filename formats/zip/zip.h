#pragma once
/* What formats/zip offers to the registry. */

#include "archive/format.h"

enum { ZIP_LEVEL_MIN = 0, ZIP_LEVEL_MAX = 12 }; /* 0 stores */

int zip_open_writer(struct format_writer **out, const struct wp_format *f,
                    const struct format_write_options *o, struct wp_error *err);

/* Does an archive that begins with these N bytes look like a zip? */
bool zip_recognises(const void *start, size_t n);
/* Does FD, a regular file, end like a zip? So do one with a program in front
 * and the last of several volumes. */
bool zip_ends_here(int fd);

/* Reads FD (taken over, also on failure), of which the N bytes of START have been read. IS_FILE: FD
 * is a regular file and the archive begins at its first byte; everything else is copied to a
 * temporary file first. */
int zip_open_reader(struct format_reader **out, int fd, bool is_file, const void *start, size_t n,
                    const struct format_open_options *o, struct wp_error *err);
