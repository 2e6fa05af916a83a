#pragma once
/* The manifest without what stands before it: the codec says where its piece begins; in a plain tar
 * it is the last entry. */

#include "base/buf.h"
#include "codec/codec.h"

struct format_open_options;

/* Reads it from the archive that FD is, whose position stays where it is: 1 with PATH and TEXT
 * filled; 0 where there is no pointer or nothing of ours where it points; negative errno. */
int tar_pointed_manifest(const struct codec *codec, int fd, const char *name, struct pool *pool,
                         struct buf *path, struct buf *text, struct wp_error *err);

/* The same by reading all that stands before it, where there is no pointer. */
int tar_sought_manifest(const struct codec *codec, int fd, const char *name, struct pool *pool,
                        struct buf *path, struct buf *text, struct wp_error *err);

/* The name that the header at the beginning of FD's archive gives its manifest: 1, *NAME, the
 * caller's, and *IS_ROUNDED as below; 0: it gives none. */
int tar_read_mark(const struct codec *codec, int fd, const struct format_open_options *o,
                  char **name, bool *is_rounded, struct wp_error *err);
/* Does it say that in the header of an entry, as a layer does, whose times are rounded? 1, 0 or
 * -ENOMEM. */
int tar_is_rounded(const struct codec *codec, int fd, const struct format_open_options *o);
