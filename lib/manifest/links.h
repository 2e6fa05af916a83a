#pragma once
/* Following links among the entries of an archive: Python stamps a linked source by what it leads
 * to. */

#include "base/entry.h"

struct manifest;

/* The entry of PATH, or NULL: there is none. Asked for each path on the way; where it sets *IS_END,
 * which is false before, the entry is not followed further. */
typedef const struct entry *links_lookup(void *ctx, const char *path, bool *is_end);

/* *OUT becomes the entry that PATH leads to, which is no link but where LOOKUP ends the way; of
 * PATH in a zip, "lib.zip/k.py", that of the zip. 0; -ENOENT: there is no entry of PATH; -EXDEV: a
 * link leads to where there is none, directories that are links followed; -ELOOP; -ENOMEM. Then
 * *OUT is NULL. */
int links_follow(links_lookup *lookup, void *ctx, const char *path, const struct entry **out);
/* Likewise among the entries of M. */
int links_follow_in(const struct manifest *m, const char *path, const struct entry **out);
