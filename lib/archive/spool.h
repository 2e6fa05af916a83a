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
};

struct spool {
    int fd;                /* owned; -1: none */
    struct spooled *items; /* in the archive's order, without warmpack's own; owned */
    size_t count;
    uint64_t size; /* of the file */
};

/* Reads all of A into S, which is empty. Names are safe, hard links lead to files that are there,
 * and what a manifest says of content is held against it. What no archive of ours can hold is
 * refused. */
int spool_read(struct spool *s, struct wp_archive *a, struct wp_error *err);
void spool_clear(struct spool *s);
