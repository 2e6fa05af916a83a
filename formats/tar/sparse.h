#pragma once
/* Where the data of a sparse file lie: runs in ascending order, holes between them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sparse_run {
    uint64_t offset, size; /* bytes, in the file */
};

struct sparse_map {
    struct sparse_run *runs; /* owned */
    size_t count;
};

void sparse_clear(struct sparse_map *m);
/* Appends a run. 0, -EINVAL where it is not behind the one before it, -E2BIG or -ENOMEM. */
int sparse_add(struct sparse_map *m, uint64_t offset, uint64_t size);
/* Does the map lie within a file of REAL bytes, with at most STORED bytes of data? */
bool sparse_fits(const struct sparse_map *m, uint64_t real, uint64_t stored);

/* COUNT pairs of 12-byte numbers, of the old GNU format. An empty one ends the list. */
int sparse_add_old(struct sparse_map *m, const char *pairs, unsigned count);

/* GNU's pax format 1.0: decimal numbers, each with a newline, in front of the content: how many
 * runs, then offset and size of each, padded to a block. */
struct sparse_text {
    uint64_t left; /* numbers still to come */
    uint64_t value, offset;
    bool counted, digits, has_offset;
};
void sparse_text_begin(struct sparse_text *t);
/* Takes the next block: 1 where more are needed, 0 at the end of the map, or as sparse_add. */
int sparse_text_block(struct sparse_text *t, struct sparse_map *m, const char *block);
