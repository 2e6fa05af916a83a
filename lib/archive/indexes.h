#pragma once
/* The indexes of an archive, met while it is read from end to end. */

#include "archive.h"
#include "base/path.h"
#include "manifest/manifest.h"
#include "manifest/signature.h"

struct archive_index { /* to be sorted by its first member: path_compare */
    char *path;
    const char *unread; /* static: why TEXT is not there; else NULL */
    struct buf text;
};

struct archive_indexes {
    struct manifest m; /* entries as met, sorted; all else as recorded */
    bool has_manifest;
    bool caches_only;            /* its sources are not there: the manifest alone tells of them */
    struct archive_index *items; /* in the archive's order */
    size_t count;
    uint64_t held;         /* bytes of their texts */
    struct path_list svml; /* data files whose code calls Intel's SVML library, sorted */
};

/* Of which files the digest is taken. */
enum archive_digests { ARCHIVE_SOURCE_DIGESTS, ARCHIVE_ALL_DIGESTS };

/* Reads the whole archive; clear *OUT in any case. One that is known to be truncated is refused,
 * and with all digests what TRUST (NULL: nothing is checked) does not let pass. */
int archive_indexes_read(struct archive_indexes *out, struct wp_archive *a,
                         enum archive_digests digests, const struct trust *trust,
                         struct wp_error *err);
void archive_indexes_clear(struct archive_indexes *v);

/* *E becomes the file that PATH leads to, or NULL. -EXDEV: a symlink leads out of the archive;
 * -ENOMEM; or what links_follow returns. */
int archive_indexes_find(const struct archive_indexes *v, const char *path, const struct entry **e);
/* The file that PATH leads to, through links within the archive: Python stamps a linked source by
 * its target. NULL where there is none; then *OUTSIDE (may be NULL) says whether a symlink leads
 * out of the archive. */
const struct entry *archive_indexes_file(const struct archive_indexes *v, const char *path,
                                         bool *outside);

/* The source file that index I belongs to, *FOUND: it is in the archive. *MISPLACED: why Numba
 * would not look here, or NULL. Allocated; NULL on no memory. */
char *archive_indexes_source(const struct archive_indexes *v, const struct archive_index *i,
                             const char **misplaced, bool *found);
