#pragma once
/* The stamp: what an index remembers of its source file. */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "warmpack.h"

enum { STAMP_KINDS = WP_STAMP_NONE + 1 };
extern const char *const stamp_kind_names[STAMP_KINDS]; /* by enum wp_stamp_kind */

/* st_mtime as CPython's os.stat gives it: (double)sec + 1e-9*nsec, rounded at each step
 * (Modules/posixmodule.c, fill_time). Equal to the last bit. */
double stamp_mtime(struct timespec t);

/* Does a source with this time, size and digest (NULL: unknown) satisfy the stamp? Numbers are
 * compared by value, as Python does: a whole-second time satisfies both number kinds. CONTENT
 * without a digest: -ENODATA. Returns 1, 0 or -ENODATA. */
int stamp_matches(const struct wp_stamp *s, struct timespec mtime, uint64_t size,
                  const unsigned char *sha256);

/* The stamp of KIND that Numba would take of a source with this time, size and digest. UNKNOWN
 * stays what it is. */
struct wp_stamp stamp_of(enum wp_stamp_kind kind, struct timespec mtime, uint64_t size,
                         const unsigned char sha256[32]);

/* The same kind and values? Unknown stamps equal nothing. */
bool stamp_equal(const struct wp_stamp *a, const struct wp_stamp *b);
