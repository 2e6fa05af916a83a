#pragma once
/* Sources in a zip, from which Python imports without unpacking it (zipimport). Numba 0.61 and
 * later caches them in the user-wide place alone, under the hash of the whole path,
 * "/srv/app/lib.zip/pkg", and stamps them with time and size of the zip file; since 0.68 with the
 * digest of the source in it. Source: numba/core/caching.py, ZipCacheLocator. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Length of the part of PATH that names a zip, where more of PATH lies in that: Numba takes the
 * first component that ends in ".zip". 0: there is none. Looks at the name only. */
size_t zipped_length(const char *path);
/* That part. Allocated; NULL with errno ENOENT where there is none, or ENOMEM. */
char *zipped_file(const char *path);

/* Calls EACH with the name of every .py file in the zip FD, a regular file. -EBADMSG: it is none
 * from which Python could import; otherwise 0, or the first negative value of EACH. */
int zipped_sources(int fd, int (*each)(void *ctx, const char *member), void *ctx);

/* Appends the content of every .py file in the zip FD to OUT, each with an end of line behind it:
 * together they import what one of them does. Errors as below; -EFBIG where they have more than
 * MOST bytes. */
int zipped_text(int fd, size_t most, struct buf *out);

/* SHA-256 of MEMBER's content. -ENOENT: there is none; -EBADMSG: damaged; -ENOTSUP: compressed in
 * a way that Python cannot import from; -EFBIG. */
int zipped_digest(int fd, const char *member, unsigned char out[32]);

/* Likewise where the zip is the part of FD that begins AT and has SIZE bytes. */
int zipped_digest_within(int fd, uint64_t at, uint64_t size, const char *member,
                         unsigned char out[32]);

/* Likewise of the source at PATH, "/srv/app/lib.zip/pkg/k.py", on disk. */
int zipped_digest_at(const char *path, unsigned char out[32]);
