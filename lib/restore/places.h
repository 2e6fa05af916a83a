#pragma once
/* Where caches may lie, for caches.c. */

#include "job.h"

/* A cache root, and a directory in it where caches may lie. */
struct restore_place {
    enum layout_kind kind;
    enum layout_root root;
    int fd;
    const char *below; /* of the cache root beneath FD */
    bool old;          /* names are of earlier times: nobody looks there any more */
    bool doubted;      /* a state.jsonl alone names it: only what fits the tree is taken */
};

/* Adds the directory NAME in a cache root, for source directory DIR, if caches lie there. */
int restore_place_add(struct restore *restore, struct repair *repair, const struct restore_place *p,
                      const char *name, size_t dir, struct wp_error *err);
/* The names that DIR's caches have in root P, by each of BASES. RELATIVE is DIR below them. */
int restore_place_add_hashed(struct restore *restore, struct repair *repair,
                             const struct restore_place *p, char **bases, const char *relative,
                             size_t dir, struct wp_error *err);
/* Is PATH a source in the tree of CTX, a struct restore? */
bool restore_is_source(void *ctx, const char *path);
