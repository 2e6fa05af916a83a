#pragma once
/* The plain bytes of a tar archive, in blocks or in runs as long as the source gives them. */

#include <stdbool.h>
#include <stdint.h>

#include "stream/source.h"
#include "tar_header.h"

struct tar_stream {
    struct source *source; /* owned */
    const char *name;      /* of the archive, for messages; borrowed */
    int seek_fd;           /* what the source reads, where that can be stepped over; -1 */
    const unsigned char *run;
    size_t size;     /* bytes of the run */
    size_t left;     /* of them, not yet handed out */
    uint64_t gap;    /* bytes before the run that were left out, and can only be skipped */
    uint64_t offset; /* bytes handed out so far */
    size_t pulls;    /* runs that the source has given, and steps over its bytes */
};

/* At most MAX bytes, as the source has them at hand: their number, or 0 at the end. */
ssize_t tar_stream_some(struct tar_stream *s, uint64_t max, const void **data,
                        struct wp_error *err);
/* Exactly N bytes: 1; 0 where the stream ends right here; an end within them is an error. */
int tar_stream_read(struct tar_stream *s, void *to, size_t n, struct wp_error *err);
/* Steps over N bytes; an end before that is an error. */
int tar_stream_skip(struct tar_stream *s, uint64_t n, struct wp_error *err);
/* The error for a stream that ends too early. */
int tar_stream_cut(const struct tar_stream *s, struct wp_error *err);
/* Where in the archive the piece begins that the next byte begins; SOURCE_NO_PLACE where it begins
 * none, or that is not known. */
int tar_stream_place(struct tar_stream *s, uint64_t *place, struct wp_error *err);

/* What stands behind the end of the archive. */
struct tar_rest {
    unsigned char last[TAR_BLOCK]; /* the last bytes, with zeros before them where there are less */
    bool is_more;                  /* other than zeros before those, or not read to its end */
};
/* Reads to the end, so that the decompressor checks its last bytes; but not for ever, as from
 * /dev/zero. */
int tar_stream_drain(struct tar_stream *s, struct tar_rest *rest, struct wp_error *err);
