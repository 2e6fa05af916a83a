#pragma once
/* Packing without an archive: the job reads, digests and judges a tree as ever, and what it would
 * write is handed to a sink. */

#include "archive/format.h"
#include "job.h"

struct pack_sink;

/* On the job's thread, but for `wants`. */
struct pack_sink_ops {
    /* Begins afresh, also after an attempt that was given up. MANIFEST: its path. */
    int (*begin)(struct pack_sink *sink, const char *manifest, struct wp_error *err);
    /* Is the entry of that path wanted? NULL: all are. On any thread. */
    bool (*wants)(const char *path);
    /* Entry E begins; what it holds may be taken over. Content until its end belongs to it. */
    int (*entry)(struct pack_sink *sink, struct entry *e, struct wp_error *err);
    int (*content)(struct pack_sink *sink, const void *data, size_t size, struct wp_error *err);
    int (*end)(struct pack_sink *sink, struct wp_error *err);
};

struct pack_sink {
    struct wp_format format; /* in the place of an archive's; filled by pack_sink_init */
    const struct pack_sink_ops *ops;
};

void pack_sink_init(struct pack_sink *sink, const struct pack_sink_ops *ops, const char *name,
                    enum format_home home);
/* The whole job of packing, with O's format replaced by the sink. */
int pack_into(struct pack_sink *sink, const struct wp_context *context,
              const struct wp_create_options *o, struct pool *pool, struct wp_create_result *result,
              struct wp_error *err);

/* Reads and digests all items of the walk, whose content goes nowhere. -EAGAIN as pack_blocks. */
int pack_read_all(struct pack *p, struct wp_error *err);
