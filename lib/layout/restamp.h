#pragma once
/* Making indexes fit a source whose time cannot be, or must not be, the one that
 * they remember. Only for a source whose content is known to be the one that was compiled: the
 * stamp of an index that belongs to other code would make Numba run that code. */

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/entry.h"
#include "manifest/manifest.h"

/* A source whose content is what was packed. */
struct restamp_source {
    struct timespec now;
    struct timespec before; /* its time before this run: what fitted it then was made from this
                               very content */
    const struct entry *packed;
};

/* Lets the index PATH beneath FD fit its source. LINE is its line in the manifest M, or NULL where
 * it was not packed but made here; M may be NULL. 1: changed (or, on a dry run, would be); 0: it
 * fits, or is not known to belong to this content, and is left as it is; negative errno. */
int restamp_index(int fd, const char *path, const struct restamp_source *source,
                  const struct manifest *m, const struct manifest_index *line, bool dry_run,
                  struct wp_error *err);
/* Is the index not known to belong to this content, though it is called like that of LINE? 1, 0 or
 * negative errno. */
int restamp_is_other(int fd, const char *path, const struct restamp_source *source,
                     const struct manifest *m, const struct manifest_index *line);
/* Is it, but for its stamp, the one of LINE, with its data? Likewise. */
int restamp_is_packed(int fd, const char *path, const struct manifest *m,
                      const struct manifest_index *line);

/* Reads PATH; where a symbolic link stands there, what that leads to: the changed file then takes
 * the link's place. 0 or negative errno. */
int restamp_read(int fd, const char *path, struct buf *out, struct stat *st);
/* Writes a new file beside PATH and renames it over it: mode, owner and, unless MTIME is given, the
 * time are those of LIKE. 0 or negative errno. */
int restamp_replace(int fd, const char *path, const void *data, size_t n, const struct stat *like,
                    const struct timespec *mtime);
/* Likewise, in place of what was read when READ was taken: -EBUSY where another file is there by
 * now, which a program that runs or a new release has put. */
int restamp_replace_read(int fd, const char *path, const void *data, size_t n,
                         const struct stat *read, const struct timespec *mtime);
/* As restamp_replace TEXT, also where there is no file yet, with the time MTIME, or NULL: that of
 * now. */
int restamp_put(int fd, const char *path, const struct buf *text, const struct timespec *mtime);
