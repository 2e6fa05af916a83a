#pragma once
/* An archive opened for reading: what formats/ makes and the jobs use. */

#include "format.h"
#include "stream/pool.h"
#include "warmpack.h"

struct wp_archive {
    char *name;                       /* for messages; owned */
    struct pool *pool;                /* owned */
    struct format_reader *reader;     /* owned */
    const struct wp_context *context; /* the caller's */
    uint64_t size;                    /* bytes, for progress; 0: not known */
};
