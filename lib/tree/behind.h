#pragma once
/* Looking at the file that a path beneath a directory leads to through symbolic links, wherever it
 * lies, as Python does: to read it, never to change it. Only regular files are there: nothing else
 * is opened. */

#include <stddef.h>
#include <sys/stat.h>

#include "base/digest.h"

struct buf;

/* As stat(2). 1; 0: no regular file is there; negative errno. */
int behind_look(int dirfd, const char *path, struct stat *st);
/* Opens it for reading; -ENOENT where no regular file is there, other negative errnos. */
int behind_open(int dirfd, const char *path);
/* Has it the content of that digest? 1; 0: it has another, or no regular file is there; negative
 * errno. */
int behind_has_content(int dirfd, const char *path, const unsigned char sha256[SHA256_SIZE]);
/* *T becomes the time of the latest of the symbolic links that PATH beneath DIRFD leads through,
 * itself included, unless it is later; of those that lie there, too. 0 or -ENOMEM. */
int behind_newest_link(int dirfd, const char *path, struct timespec *t);
/* Is it a symbolic link with that target? 1, 0 or negative errno. */
int behind_is_link_to(int dirfd, const char *path, const char *target);
/* As beneath_read. */
int behind_read(int dirfd, const char *path, size_t max, struct buf *out, struct stat *st);
