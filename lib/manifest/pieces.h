#pragma once
/* What the two halves of reading a manifest share: its frame, and its records in pieces. */

#include <stdatomic.h>

#include "json_read.h"
#include "manifest.h"
#include "read_text.h"

struct pool;

struct reading {
    const char *name; /* of the manifest, for messages */
    struct read_text text;
    size_t body, end_line; /* offsets of the records and of the end line */
    size_t tail;           /* offset from which on the end has been loaded, to look for that line */
    struct piece *pieces;
    size_t piece_count;
    size_t lines;          /* in and before the pieces */
    struct entry *entries; /* each piece has room here for its own */
    size_t entry_room;     /* of that, what the pieces have */
    size_t most_ahead;     /* pieces */
    bool counts;           /* a wrong last line shall be told by its number */
    atomic_size_t unfinished;
};

/* The line at TEXT, with BEFORE others before it. */
struct json_line reading_line(const struct reading *r, const char *text, size_t before,
                              struct wp_error *err);
size_t reading_count_lines(const char *text, size_t size);
/* Fills ERR for what read_text_load returned. */
int reading_cannot_load(const struct reading *r, int error, struct wp_error *err);
void reading_clear(struct reading *r);

/* All between the header and the end line, and the digest of what stands before the end line, into
 * M. What is wrong with the records is told by pieces_join, after the digest has been compared. */
int pieces_read(struct manifest *m, struct reading *r, struct pool *pool, struct wp_error *err);
/* Moves the records into M. */
int pieces_join(struct manifest *m, struct reading *r, struct wp_error *err);
