#pragma once
/* Steps of repairing, for who puts the caches of an archive onto a tree that came another way: its
 * sources get the times of the archive's, or indexes fit those that they have, and caches that the
 * tree has already stay of use. All is staged first; the tree changes in the end alone. */

#include "layout/layout.h"
#include "manifest/manifest.h"
#include "warmpack.h"

struct graft; /* one such run */

/* What it is about; borrowed. */
struct graft_options {
    const struct wp_context *context;
    const struct wp_restore_options *o;
    const struct manifest *m;
    const char *home; /* of the manifest, in the tree */
    unsigned strip;   /* --strip-components */
    const char *dir_path;
    char **roots;
    int fd;        /* of the tree */
    bool apart;    /* which is only read */
    int staged_fd; /* of what is staged for it; -1: it is apart */
    struct pool *pool;
};

/* Compares the sources of the tree with those of the manifest. Free *OUT in any case. */
int graft_begin(struct graft **out, const struct graft_options *o, struct wp_error *err);
void graft_free(struct graft *g); /* NULL is fine */
/* The number of the archive's entry that SOURCE, which may be NULL, is or leads to; -1: there is
 * none. *IS_SAME: it has the same content in the tree. *IS_USABLE: so has all that the code of its
 * caches came from. */
ptrdiff_t graft_source(const struct graft *g, const char *source, bool *is_same, bool *is_usable);
/* Was there memory for all of these answers? *LEFT_OUT: the number of indexes left out for them. */
int graft_check(const struct graft *g, size_t *left_out, struct wp_error *err);
/* Adds to L, whose records are all staged ones, the caches that the tree has for those sources. */
int graft_add_caches(struct graft *g, struct layout *l, struct wp_error *err);
/* Before the commit: lets what is staged fit the sources. */
int graft_fit_staged(struct graft *g, struct wp_error *err);
/* After it: sets times, lets what the tree had before fit, and counts in *RESTAMPED and *LOST. */
int graft_finish(struct graft *g, size_t *restamped, size_t *lost, struct wp_error *err);
