#pragma once
/* Bytes pulled from somewhere: a file, a pipe, or another source through a decompressor.
 * Sources stack: each owns the one below it. */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "chunk.h"

/* Pieces that are not wanted; of what is not packed in any, a run of bytes. */
struct source_gap {
    uint64_t at, end; /* in the archive: where the first begins, and the last ends */
    uint64_t plain;   /* bytes that they say they unpack to */
};

struct source {
    /* The next run of bytes, as long as is convenient: their number, with *DATA pointing at
     * them until the next call; 0 at the end; negative errno with ERR filled. */
    ssize_t (*pull)(struct source *s, const void **data, struct wp_error *err);
    void (*free)(struct source *s); /* frees the sources below, too */
    /* Of a source that unpacks, may be NULL: the chunk in which the last run lies, kept for the
     * caller (chunk_drop). */
    struct chunk *(*share)(struct source *s);
    /* Of one that reads a file, below a prefix, too: pulling fails with -EINTR once it is set. May
     * be given before the first pull. NULL: never looked at. */
    const volatile sig_atomic_t *interrupted;
    /* Of a source that unpacks pieces (gzip members, zstd frames): where in the archive the piece
     * begins with which the last run begins; SOURCE_NO_PLACE where it begins within one. */
    uint64_t place;
    /* Of a source that reads a file, unpacking pieces or not: parts can be left out. */
    bool has_gaps;
    struct source_gap *gaps; /* owned; see source_leave_out */
    size_t gap_count, gaps_done;
    uint64_t gap; /* bytes of the stream that were left out before the last run */
    /* Of such a source, may be NULL: copies the last N bytes read of the archive, which has *SIZE
     * up to here. False: it does not have that many, or they are not kept. */
    bool (*ending)(struct source *s, void *out, size_t n, uint64_t *size);
};
#define SOURCE_NO_PLACE UINT64_MAX

static inline ssize_t source_pull(struct source *s, const void **data, struct wp_error *err)
{
    return s->pull(s, data, err);
}
/* NULL: the source cannot. */
static inline struct chunk *source_share(struct source *s)
{
    return s->share ? s->share(s) : NULL;
}
void source_free(struct source *s); /* NULL is fine */

/* The N GAPS (copied), in their order, are not needed of a source that `has_gaps`; before the first
 * pull. 0 or -ENOMEM. */
int source_leave_out(struct source *s, const struct source_gap *gaps, size_t n);

/* Reads FD from where it stands to its end (takes FD over, also on failure). NAME is for messages
 * (copied). */
int source_file(struct source **out, int fd, const char *name, struct wp_error *err);

/* Gives the first bytes again: what has been looked at to recognise a format, and then the
 * rest of BELOW (taken over on success; NULL: nothing). PREFIX is copied. */
int source_with_prefix(struct source **out, const void *prefix, size_t n, struct source *below,
                       struct wp_error *err);
