#pragma once
/* What the files that an index's code can come from say of it. Each file is asked about once, and
 * each set of a manifest looked at once, however many indexes lead to them. */

#include <time.h>

#include "manifest/manifest.h"

/* For each index of M (by number) a file that its code can come from and that is no longer what was
 * compiled: the path, M's own; NULL: there is none. SAME says of a path of the archive 1 where the
 * file has the content that M records, 0 where it has not or is not there; a negative errno ends
 * all. An index that does not say what it depends on depends on every .py of its source's topmost
 * package, or of its directory where it lies in none. *OUT is the caller's to free. */
int manifest_changed(const struct manifest *m, int (*same)(void *ctx, const char *path), void *ctx,
                     const char ***out, struct wp_error *err);

/* The target of the symbolic link to a directory that PATH, of a set of M, is; NULL: it is none.
 * Code came from files behind it, which the set names where they lie: it must lead there still. */
const char *manifest_dirlink(const struct manifest *m, const char *path);

/* Warns that COUNT indexes of ALL are left out: CHANGED, which is sorted, are the files, one for
 * each. */
void manifest_tell_left_out(const struct wp_context *context, const char **changed, size_t count,
                            size_t all);

struct manifest_newest {
    const char *path; /* M's own; NULL: no file is there */
    struct timespec time;
};

/* For each index of M the file, of those that its code can come from, that was modified last. MTIME
 * fills *T for a path of the archive: 1; 0: there is no such file; a negative errno ends all. *OUT
 * is the caller's to free. Indexes that do not say what they depend on have no path. */
int manifest_newest(const struct manifest *m,
                    int (*mtime)(void *ctx, const char *path, struct timespec *t), void *ctx,
                    struct manifest_newest **out, struct wp_error *err);
