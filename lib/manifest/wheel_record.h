#pragma once
/* RECORD, the list of a wheel's files with their digests (PEP 376 and 427). */

#include "base/buf.h"
#include "base/digest.h"
#include "manifest.h"

#define WHEEL_RECORD "RECORD"

/* "NAME.dist-info/RECORD" for a manifest in NAME.dist-info/warmpack/ID. Allocated; NULL: no memory,
 * or HOME lies elsewhere (errno 0). */
char *wheel_record_path(const char *home);

/* Appends the line of a file with its digest; SHA256 NULL: of one that changes, without. 0 or
 * -ENOMEM. */
int wheel_record_add(struct buf *out, const char *path, const unsigned char *sha256, uint64_t size);
/* Appends what RECORD says for the files of M, whose entries are sorted, and for the manifest
 * itself, whose text of SIZE bytes has DIGEST, and which lies in HOME. 0 or -ENOMEM. */
int wheel_record_write(const struct manifest *m, const char *home,
                       const unsigned char digest[SHA256_SIZE], uint64_t size, struct buf *out);
