#pragma once
/* Whether an index in a tree is the one that a manifest tells of, which may have been given the
 * time of another place since. */

#include "base/buf.h"
#include "manifest/manifest.h"
#include "numba/index.h"

/* Is the index TEXT, which INDEX was read from, but for its stamp byte for byte what M's LINE tells
 * of? 1, 0 or -ENOMEM. */
int as_packed_index(const struct index *index, const struct buf *text, const struct manifest *m,
                    const struct manifest_index *line);
/* Are its data files, beside PATH beneath FD, those that were packed with LINE? Indexes of two
 * versions of a source may differ in their stamps alone. 1, 0 or negative errno. */
int as_packed_data(int fd, const char *path, const struct index *index, const struct manifest *m,
                   const struct manifest_index *line);
