#pragma once
/* An archive opened for reading: what formats/ makes and the jobs use. */

#include "format.h"
#include "stream/pool.h"
#include "warmpack.h"

struct wp_archive {
    char *name;                     /* for messages; owned */
    struct pool *pool;              /* owned */
    struct format_reader *reader;   /* owned */
    const struct wp_report *report; /* the caller's */
    uint64_t size;                  /* bytes, for progress; 0: not known */
};

/* Appends the content of the current entry, which is E, to TEXT. MAY_GROW (or NULL) is asked after
 * each N bytes that came whether TEXT can still become a manifest. */
int archive_pull(struct wp_archive *a, const struct entry *e, struct buf *text,
                 bool (*may_grow)(const struct buf *text, size_t n), struct wp_error *err);
