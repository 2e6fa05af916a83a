#pragma once
/* Reading what is packed in pieces (gzip members, zstd frames).
 *
 * As long as the pieces say how long they are, they are read one after the other and unpacked by
 * the pool, a bounded number at a time. From the first one that does not, is too large, or turns
 * out to be other than it says, everything is given back and read as one stream, ahead of the
 * consumer by a few buffers. So a size in an archive is never more than a hint: what comes out,
 * and what is an error, is decided by reading the stream alone. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "input.h"
#include "stream/chunk.h"
#include "stream/pool.h"
#include "stream/source.h"

struct piece {
    struct buf raw;      /* all of it, as it stands in the archive */
    uint64_t place;      /* where in the archive it begins */
    uint64_t gap;        /* bytes of the stream that were left out before it */
    size_t body;         /* where in RAW its payload begins */
    size_t plain_size;   /* as the piece says; set by scan */
    struct chunk *plain; /* PLAIN_SIZE bytes; kept while the piece is in flight */
    void *state;         /* the decompressor, kept while the slot is reused */
    void (*drop_state)(void *state);
    bool is_bad; /* unpack could not make sense of it */
};

/* What a piece may be long at most to be unpacked in memory; longer ones are streamed: of ours the
 * manifest of a hundred thousand files. */
enum { PIECE_MAX_PLAIN = 24 * 1024 * 1024 };

struct piece_ops {
    size_t typical; /* bytes of plain data that a piece of ours has */

    /* Reads the next piece into P->raw (empty before) and sets P->plain_size: 1; 0: what comes is
     * for the stream (P->raw holds what was read of it); negative errno. Owner's thread. */
    int (*scan)(struct input *in, struct piece *p);
    /* RAW to PLAIN's data. False: it is not what it says. Any thread. */
    bool (*unpack)(struct piece *p);
    void (*drop_state)(void *state); /* never called with NULL */

    /* The same as a stream. HAD_PIECES: some stood before. NULL: no memory. */
    void *(*stream_new)(struct input *in, bool had_pieces);
    /* Where in the archive the piece begins with which the bytes of the last fill begin;
     * SOURCE_NO_PLACE where they begin within one. A fill ends where a piece does. */
    const uint64_t *(*stream_place)(const void *stream);
    /* Fills OUT, *N saying how far: 1 if there is more to come, 0 at the end, negative errno; and
     * *WHAT says what is wrong with the data, if it is that. Bytes before a fault count. One call
     * at a time, on any thread. */
    int (*stream_fill)(void *stream, unsigned char *out, size_t room, size_t *n, const char **what);
    void (*stream_free)(void *stream);
};

/* *WHAT is TEXT: what is wrong with the data. -EBADMSG. */
static inline int pieces_damaged(const char **what, const char *text)
{
    *what = text;
    return -EBADMSG;
}

/* FD is taken over, also on failure. */
int pieces_open(struct source **out, const struct piece_ops *ops, int fd, const void *prefix,
                size_t prefix_size, const char *name, struct pool *pool, struct wp_error *err);

/* The first bytes that FD's file unpacks to, from its first byte on: their number, at most N, or
 * negative errno. FD's position stays. */
ssize_t pieces_peek(const struct piece_ops *ops, int fd, void *out, size_t n);

/* What *WHAT says where the end comes too early. */
#define TEXT_CUT "the archive is truncated"
