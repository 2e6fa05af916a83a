#pragma once
/* Headers of an archive being written, appended to the plain stream. */

#include "base/buf.h"
#include "base/entry.h"
#include "base/error.h"

/* A comment for the whole archive. 0 or -ENOMEM. */
int tar_add_global(struct buf *b, const char *comment);

/* All headers of E, which may have a COMMENT, or NULL. 0; -EINVAL for what is neither file,
 * directory nor link; -EFBIG; -ENOMEM. */
int tar_add_header(struct buf *b, const struct entry *e, const char *comment, struct wp_error *err);
