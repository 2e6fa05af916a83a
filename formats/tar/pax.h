#pragma once
/* The records of a pax extended header: "LENGTH KEY=VALUE\n", LENGTH counting itself. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "sparse.h"

/* Appends a record. 0 or -ENOMEM. */
int pax_add(struct buf *b, const char *key, const void *value, size_t n);
int pax_add_str(struct buf *b, const char *key, const char *value);
int pax_add_number(struct buf *b, const char *key, int64_t value);
/* The time in full; the fraction has nine digits, or is left out where it is 0. */
int pax_add_time(struct buf *b, const char *key, struct timespec t);

/* A decimal number of seconds, of any precision; digits beyond the ninth round towards the past.
 * 0, or -EINVAL where it is malformed or beyond 64 bits. */
int pax_parse_time(const char *text, size_t n, struct timespec *out);

/* What the records of one or more headers said; all strings are owned. */
struct pax {
    char *path, *linkpath, *uname, *gname, *comment;
    bool has_size, has_uid, has_gid, has_mtime;
    uint64_t size;
    int64_t uid, gid;
    struct timespec mtime;

    /* GNU sparse files, in formats 0.0 and 0.1 (the map is here) and 1.0 (before the content) */
    bool sparse, sparse_map_follows, has_sparse_size;
    char *sparse_path; /* the true name, 0.1 and 1.0 */
    uint64_t sparse_size;
    uint64_t sparse_offset; /* 0.0: waits for its size */
    struct sparse_map map;
};

/* Adds the records of DATA to *P; a later one of the same key wins, an empty value takes it back.
 * Unknown keys are ignored. 0, -ENOMEM or -EINVAL. */
int pax_parse(struct pax *p, const void *data, size_t n);
/* TO is cleared first. Sparse maps are an entry's own and are not copied. 0 or -ENOMEM. */
int pax_copy(struct pax *to, const struct pax *from);
void pax_clear(struct pax *p);
