#pragma once
/* What the steps of comparing share. Private to lib/diff. */

#include "archive/indexes.h"
#include "pack/job.h"
#include "warmpack.h"

/* Something that is compared. */
struct diff_item {          /* sorted by its first member: path_compare */
    char *key;              /* the same on both sides for what is the same thing; owned */
    const struct entry *e;  /* what the manifest or the walk says of it; borrowed */
    const struct buf *text; /* of an index, borrowed; NULL: not at hand */
    bool is_cache;
};

/* One of the two. Zero-initialise; free with diff_side_clear. */
struct diff_side {
    const struct wp_diff_side *given;
    struct pack pack;              /* a directory: what packing it would take */
    struct archive_indexes packed; /* an archive, or a manifest alone; indexes sorted by path */
    bool caches_only;              /* of the sources there are only the digests */
    struct diff_item *items;       /* sorted by key; owned */
    size_t count;
};

/* ---- read.c */
/* Reads what SIDE->given names: all of an archive, with the digests of its content; a directory, as
 * packing it would; or a manifest. */
int diff_read(struct diff_side *side, const struct wp_context *context,
              const struct wp_diff_options *o, struct pool *pool, struct wp_error *err);
void diff_side_clear(struct diff_side *side);

/* ---- items.c */
/* Fills both sides' items. */
int diff_list(struct diff_side *a, struct diff_side *b, struct wp_error *err);
void diff_forget_items(struct diff_side *side);

/* ---- overloads.c */
/* Holds the indexes A and B (NULL: there is none) against each other, and sets what D gained and
 * lost. 1: they differ in more than their stamps, or cannot be read; 0: in nothing else. Negative
 * errno. */
int diff_overloads(const struct diff_item *a, const struct diff_item *b, struct wp_difference *d,
                   struct wp_error *err);
