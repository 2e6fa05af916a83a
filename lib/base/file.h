#pragma once
/* Reading whole files by path, through symlinks, as Python would. */

#include <stddef.h>
#include <sys/stat.h>

struct buf;

/* Reads the regular file PATH of at most MAX bytes into OUT (appended). ST may be NULL. 0, or a
 * negative errno: -EFBIG where it is larger, -EINVAL where it is no regular file. */
int file_read(const char *path, size_t max, struct buf *out, struct stat *st);
