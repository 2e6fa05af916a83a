#pragma once
/* What the files that make blocks share. Private to blocks.c, read.c, large.c. */

#include <pthread.h>
#include <sys/stat.h>

#include "job.h"
#include "stream/pipeline.h"

enum { PACK_WHOLE_LIMIT = 64 << 20 }; /* sources and cache files up to this are read whole */

struct large; /* a file too large for one block, read piece by piece */

/* What a block holds of an item. */
struct segment {
    size_t item;
    uint64_t offset, size; /* of the content; planned */
    bool first, last;
    struct large *large; /* NULL: read whole */
};

/* A block, and what belongs to it while it is made. */
struct slot {
    struct format_block block;
    struct segment *segments;
    size_t count;
    size_t estimate; /* bytes of the plain stream */
    uint64_t content;
    bool changed;
    int status;
    struct wp_error err;
};

/* The job. */
struct blocks {
    struct pack *p;
    struct format_writer *w;
    struct pipeline *line;
    struct output *out;
    struct slot *open; /* being filled, or NULL */
    uint64_t done;
    bool changed;
    pthread_mutex_t lock;
    pthread_cond_t item_done; /* signalled when an item has been read, or is gone */
    bool *is_done;            /* by item, of those that may have further names */
};

/* ---- Reading files (read.c) --------------------------------------------------------- */

/* Is it covered by a stamp, as sources are, or a cache? Then it must not change while it is packed.
 */
bool pack_is_source_or_cache(const char *path);
/* Have the times and the size of a file stayed the same? */
bool pack_same_file(const struct stat *a, const struct stat *b);
/* Opens what the walk saw as a regular file. -ENOENT without a message: it is gone. */
int pack_open_item(const struct pack *p, const struct walk_item *item, struct stat *st,
                   struct wp_error *err);
/* What the header and the manifest say is what was really read. */
void pack_take_stat(struct pack *p, struct walk_item *item, const struct stat *st);
/* Adds an item's header to the block. */
int pack_add_header(struct blocks *b, struct slot *s, const struct walk_item *item,
                    struct wp_error *err);
/* Leaves an item out of the archive, and reports it. */
void pack_drop_item(struct blocks *b, struct walk_item *item);
/* Adds all of a file. */
int pack_add_whole(struct blocks *b, struct slot *s, const struct segment *g, struct wp_error *err);

/* ---- Large files (large.c) ---------------------------------------------------------- */

/* -ENOENT without a message: it is gone. */
int pack_large_open(struct blocks *b, struct walk_item *item, struct large **out,
                    struct wp_error *err);
/* Adds a piece, which must be the last thing in its block: its bytes are digested, maybe by
 * another thread, where they lie. */
int pack_large_add(struct blocks *b, struct slot *s, const struct segment *g, struct wp_error *err);
/* The last piece has been written: sets the digest. Was the file the same all the time? */
int pack_large_finish(struct blocks *b, const struct segment *g, struct wp_error *err);
void pack_large_free(struct large *l);
