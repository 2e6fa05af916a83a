#pragma once
/* What the steps of packing share: plan, blocks, records. Private to lib/pack*.c. */

#include "base/buf.h"
#include "format.h"
#include "manifest/manifest.h"
#include "output.h"
#include "tree/walk.h"
#include "warmpack.h"

enum { PACK_ID_LENGTH = 16 };

/* An index in the walk, and its bytes as they were packed. */
struct packed_index {
    size_t item; /* its number in the walk */
    struct buf text;
};

struct pack {
    const struct wp_create_options *o;
    struct walk walk;         /* sorted; entries take on what was really read */
    struct manifest manifest; /* roots and caches; entries and indexes at the end */
    char *home;               /* "TOP/.warmpack/ID"; owned */
    char id[PACK_ID_LENGTH + 1];
    struct packed_index *indexes; /* sorted by item; owned */
    size_t index_count;
    uint64_t total; /* bytes of content, for progress */
};

/* Walks members and cache roots, finds which hashed directories belong to the tree, and names
 * everything. */
int pack_plan(struct pack *p, struct wp_error *err);

/* --caches-only: drops from the finished walk what is no cache, and marks the sources as absent. */
int pack_keep_caches(struct pack *p, struct wp_error *err);

/* Writes all entries of the walk through W to OUT. -EAGAIN: a source or cache file changed while
 * it was read, twice (ERR names it). */
int pack_blocks(struct pack *p, struct format_writer *w, struct pool *pool, struct output *out,
                bool *changed, struct wp_error *err);

/* Judges the packed indexes by what was packed, into VERIFY and the manifest's index lines.
 * -EAGAIN where an index or its data files changed since they were read. */
int pack_judge(struct pack *p, struct wp_verify_report *verify, struct wp_error *err);

/* The source directory of cache directory DIR of the archive; *MISPLACED says why that is not one
 * where Numba looks, or is NULL. Allocated; NULL on no memory. */
char *pack_source_dir(const struct pack *p, const char *dir, const char **misplaced);

void pack_clear(struct pack *p);
