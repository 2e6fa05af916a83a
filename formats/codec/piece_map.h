#pragma once
/* Where the pieces of an archive (gzip members, zstd frames) lie, found without unpacking them. */

#include <stddef.h>
#include <stdint.h>

#include "codec.h"

struct piece_place {
    uint64_t at, size;        /* in the archive: bytes */
    uint64_t plain_at, plain; /* of what they unpack to */
};

struct piece_map {
    struct piece_place *list; /* owned */
    size_t count;
};

/* The pieces of FD's file, one after the other, up to END, where one must begin: 1; 0 where one of
 * them does not say how long it is; negative errno. A hint, like everything that pieces say. Clear
 * *OUT in any case. */
int piece_map_read(struct piece_map *out, const struct codec *c, int fd, uint64_t end);
void piece_map_clear(struct piece_map *m);
