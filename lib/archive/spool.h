#pragma once
/* All that an archive holds, kept while another one is made of it: the entries in memory, their
 * content in a temporary file. */

#include "archive.h"
#include "base/entry.h"
#include "manifest/manifest.h"

struct spooled {
    struct entry entry;          /* as the manifest has it, where there is one; owned */
    struct timespec header_time; /* as the archive has it */
    uint64_t at;                 /* where its content begins in the file */
    uint64_t file;               /* hard links and what they lead to have the same number */
    bool linked;                 /* it has other names */
    /* Of an index that is put together from several: what its line in the manifest is to say
     * (struct manifest_index); owned. */
    uint32_t *builds;
    size_t build_count;
};

struct spool {
    int fd;                /* owned; -1: none */
    struct spooled *items; /* in the archive's order; owned */
    size_t count;
    uint64_t size;     /* of the file */
    struct buf script; /* stands before the archive; empty: nothing does */
    bool was_signed;   /* the archive has a manifest with signatures */
};

/* Reads all of A into S, which is empty. Names are safe, hard links lead to files that are there,
 * and what a manifest says of content is held against it. What no archive of ours can hold is
 * refused. RECORDED: NULL, and what is warmpack's own is left out; else it becomes the manifest,
 * zeros where there is none, and only that itself is left out. */
int spool_read(struct spool *s, struct wp_archive *a, struct manifest *recorded,
               struct wp_error *err);
/* Is E one of warmpack's own, such as a manifest or a cache beside it? */
bool spool_is_own(const struct entry *e);
/* Turns hard links into files with the content of what they lead to. */
int spool_resolve_links(struct spool *s, struct wp_error *err);
/* Appends the content of ITEM, a file, to OUT. WRONG says in a message that it cannot be read. */
int spool_content(const struct spool *s, const struct spooled *item, struct buf *out,
                  const char *wrong, struct wp_error *err);
/* Adds an item with the entry *E, which is taken over, without content; NULL: no memory. */
struct spooled *spool_add(struct spool *s, struct entry *e, struct wp_error *err);
/* Appends N bytes to the content of ITEM, the last one. */
int spool_append(struct spool *s, struct spooled *item, const void *data, size_t n,
                 struct wp_error *err);
void spool_clear(struct spool *s);
