#pragma once
/* What compresses the stream of a tar: gzip, zstd, or nothing. bzip2 and xz are read only.
 *
 * A codec packs each block into a piece that can be unpacked alone (a gzip member, a zstd frame),
 * and a last, empty piece says where the piece with the manifest begins. A plain tar has none. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/format.h"
#include "base/buf.h"
#include "base/error.h"
#include "stream/pool.h"
#include "stream/source.h"

/* Bytes of content from which on an archive is large. */
#define CODEC_LARGE ((uint64_t)512 << 20)

enum { CODEC_MAP_ITEM = 8 /* bytes */ };

struct codec {
    const char *name;                        /* "gzip" */
    size_t block_size;                       /* bytes of plain stream a block */
    size_t large_block_size;                 /* in an archive of CODEC_LARGE; 0: the same */
    int default_level, min_level, max_level; /* all 0: no levels */

    /* Writing; NULL where read only. pack: plain to packed, on any pool thread; b->codec holds the
     * compressor between calls. pointer: appends the last, empty piece; NULL: there is none. */
    int (*pack)(struct format_block *b, int level, struct wp_error *err);
    int (*pointer)(struct buf *out, uint64_t manifest_offset, struct wp_error *err);

    /* Appends empty pieces that say how long each of the COUNT pieces before the manifest's is, and
     * what it unpacks to, by two numbers of four bytes each in MAP, little-endian; they stand
     * before the pointer. NULL: there are none. */
    int (*add_map)(struct buf *out, const unsigned char *map, size_t count, struct wp_error *err);

    /* Reading. recognises: do the first N bytes (at most 16) of an archive begin with this
     * codec's magic? NULL: it has none, as a tar's first bytes are a name. begins: could a piece
     * with a manifest (of a plain tar: an entry)? */
    bool (*recognises)(const unsigned char *start, size_t n);
    bool (*begins)(const unsigned char *start, size_t n);
    /* Where the codec has pointers: are these, the last POINTER_SIZE bytes of an archive, one, made
     * as `pointer` makes it? Then *OFFSET is what it stored. */
    size_t pointer_size; /* 0: it has none */
    bool (*read_pointer)(const unsigned char *bytes, uint64_t *offset);
    /* How long is the piece that begins AT in FD's file, as it says itself: 1, *SIZE and *PLAIN,
     * which it unpacks to; 0: it does not say; negative errno. FD's position stays. NULL: there are
     * none. */
    int (*measure)(int fd, uint64_t at, uint64_t *size, uint64_t *plain);
    /* Appends what `add_map` put into the piece of SIZE bytes that begins AT: 1; 0: it is none of
     * those; negative errno. */
    int (*read_map)(int fd, uint64_t at, uint64_t size, struct buf *map);
    const struct piece_ops *pieces; /* how they are unpacked; NULL: they are not packed */
};

extern const struct codec codec_none, codec_gzip, codec_gzip_one, codec_zstd;
/* codec_gzip_one: the whole archive as one gzip member (raw deflate blocks made independently and
 * joined); has two more calls, used by the tar writer in order. */
struct gzip_one { /* of the plain bytes so far */
    uint32_t crc;
    uint64_t size;
};
int gzip_one_head(struct buf *out);
int gzip_one_add(struct gzip_one *g, const struct format_block *b); /* a sealed block, in order */
int gzip_one_tail(struct gzip_one *g, struct buf *out);

/* -1 becomes C's default level; one that C does not have is refused. 0 or -EINVAL. */
int codec_level(const struct codec *c, int *level, struct wp_error *err);

/* Decompresses what FD gives from where it stands (taken over, also on failure), PREFIX being bytes
 * already read from it; by POOL, in parallel where the pieces say how long they are. Cut or damaged
 * input is an error (-EBADMSG or -EINVAL) that says so and names NAME. */
int codec_open(struct source **out, const struct codec *c, int fd, const void *prefix,
               size_t prefix_size, const char *name, struct pool *pool, struct wp_error *err);
/* The first bytes of the plain stream of FD's file: their number, at most N, or negative errno.
 * FD's position stays. */
ssize_t codec_peek(const struct codec *c, int fd, void *out, size_t n);

/* The codec that recognises the start of an archive; NULL: none of ours (libarchive's filters may
 * know it: bzip2, xz). */
const struct codec *codec_recognise(const unsigned char *start, size_t n);

/* Where FD's file says that its manifest lies: 1 and *OFFSET, where something can begin that has
 * one; 0 where it does not say, is no regular file, or damaged. */
int codec_find_manifest(const struct codec *c, int fd, uint64_t *offset);
