#pragma once
/* An archive that is read, held against the manifest that somebody signed. */

#include "archive.h"
#include "base/digest.h"
#include "manifest/manifest.h"
#include "manifest/signature.h"

/* The manifest of an archive as it was met. */
struct archive_signed {
    const struct trust *trust;         /* NULL, or without keys: nothing is checked */
    char *path;                        /* of it in the archive; owned; NULL: there was none */
    unsigned char sha256[SHA256_SIZE]; /* of its text */
    uint64_t size;
};

/* Refuses a manifest that no trusted key has signed. It has just been read from TEXT at PATH. */
int archive_signed_meet(struct archive_signed *s, const struct manifest *m, const char *path,
                        const struct buf *text, struct wp_error *err);
/* Refuses an archive without one, and one whose ENTRIES, sorted, with the digests of all files, are
 * not what the manifest says: -EBADMSG. */
int archive_signed_check(const struct archive_signed *s, const struct manifest *m,
                         const struct entry *entries, size_t count, const char *name,
                         struct wp_error *err);
void archive_signed_clear(struct archive_signed *s);
