#pragma once
/* Gzip members (RFC 1952) as this program writes them, and what reading and writing share.
 *
 * Each member carries its size in the extra field, in the subfield that MiGz defined: 'M' 'Z', four
 * bytes long, little-endian: the bytes of the deflate data alone, between the header and the
 * trailer. MiGz's own reader takes any 20 bytes for such a header, so ours has exactly its form.
 *
 * The last member is empty and has a second subfield, 'W' 'P', eight bytes long, little-endian: the
 * offset in the archive of the member in which the manifest begins. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/little_endian.h"
#include "pieces.h"

enum {
    GZIP_MAGIC_0 = 0x1f,
    GZIP_MAGIC_1 = 0x8b,
    GZIP_DEFLATE = 8,
    GZIP_FHCRC = 0x02, /* flags */
    GZIP_FEXTRA = 0x04,
    GZIP_FNAME = 0x08,
    GZIP_FCOMMENT = 0x10,
    GZIP_RESERVED = 0xe0,
    GZIP_HEADER_SIZE = 20, /* of a member of ours */
    GZIP_TRAILER_SIZE = 8,
    GZIP_BLOCK_SIZE = 2 * 1024 * 1024, /* half of it costs 0.1 % in size; twice as much gains
                                        * 0.06 %, and memory in flight doubles */
    GZIP_LEVEL_DEFAULT = 5,
    GZIP_LEVEL_MIN = 1,
    GZIP_LEVEL_MAX = 12,
};

/* Can the block be packed at *LEVEL? -1 becomes the default. 0 or negative errno. */
struct format_block;
int gzip_check(const struct format_block *b, int *level, struct wp_error *err);

extern const struct piece_ops gzip_pieces;
int gzip_measure(int fd, uint64_t at, uint64_t *size, uint64_t *plain); /* codec.measure */

/* Any gzip data as a stream; see struct piece_ops. */
void *gzip_stream_new(struct input *in, bool had_pieces);
const uint64_t *gzip_stream_place(const void *stream);
int gzip_stream_fill(void *stream, unsigned char *out, size_t room, size_t *n, const char **what);
void gzip_stream_free(void *stream);
