#pragma once
/* Reading an archive from its first entry to its last. All that do so go through here, so that they
 * see the same archive: which entry is the manifest, and whether the archive is whole. */

#include "archive.h"
#include "base/digest.h"
#include "manifest/manifest.h"

/* What archive_next has come to. */
enum archive_step {
    ARCHIVE_END,
    ARCHIVE_TOP,      /* "./", the directory that all else lies in */
    ARCHIVE_MANIFEST, /* the entry that the archive's mark names */
    ARCHIVE_ENTRY,    /* any other */
};

struct archive_reading {
    struct wp_archive *a;
    bool tells_progress;
    const struct entry *e; /* the current entry; the format's, until the next step */
    bool has_manifest;     /* it has been met */
};

/* Steps to the next entry: an enum archive_step, or negative errno. A second manifest is refused,
 * and the end where the manifest that the archive's mark names has not been met: it is truncated.
 */
int archive_next(struct archive_reading *in, struct wp_error *err);
/* Appends the content of the current entry to TEXT; of the manifest, no more than may become one.
 */
int archive_content(struct archive_reading *in, struct buf *text, struct wp_error *err);
/* Adds the N zeros of a hole to SHA: a few bytes of an archive can tell of more than are ever
 * hashed. 0, or -EINTR. */
int archive_digest_hole(const struct archive_reading *in, struct sha256 *sha, uint64_t n,
                        struct wp_error *err);
/* Reads the current entry, the manifest, into M. */
int archive_read_manifest(struct archive_reading *in, struct manifest *m, struct wp_error *err);
