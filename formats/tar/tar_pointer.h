#pragma once
/* The manifest without what stands before it: the codec says where its piece begins; in a plain tar
 * it is the last entry. */

#include "base/buf.h"
#include "codec/codec.h"

struct format_open_options;

/* The name that the first header of the archive that FD is gives its manifest: 1 and *NAME,
 * allocated; 0: it gives none. */
int tar_read_mark(const struct codec *codec, int fd, const struct format_open_options *o,
                  char **name, struct wp_error *err);
/* Reads it from the archive that FD is, whose position stays where it is: 1 with PATH and TEXT
 * filled; 0 where there is no pointer or nothing of ours where it points; negative errno. */
int tar_pointed_manifest(const struct codec *codec, int fd, const char *name, struct pool *pool,
                         struct buf *path, struct buf *text, struct wp_error *err);
