#pragma once
/* What the steps of verifying a tree share. Private to lib/verify*.c. */

#include "caches.h"
#include "tree/walk.h"
#include "verify.h"
#include "verify_notes.h"
#include "verify_remembered.h"

struct verify_tree {
    const char *dir;
    const struct wp_verify_options *o;
    const char *cache_dir; /* NUMBA_CACHE_DIR of who will load, or NULL */
    struct walk walk;
    struct caches *was;    /* as KNOWN, by the paths that they had earlier */
    struct caches *known;  /* hashed names of the tree's directories */
    struct caches *zipped; /* and of those in its zips, which have caches in the user-wide place */
    char **bases;          /* absolute paths by which Python may see the tree; owned */
    struct verify v;
    struct leftovers leftovers;   /* other files of caches */
    struct remembered remembered; /* of the packing */
    struct wp_verify_report *out;
};

/* ---- verify.c */
/* Judges the index at path INDEX, reported as SHOWN, whose sources lie in directory SOURCES of the
 * tree (NULL: not known); MISPLACED: why Numba does not look there, or NULL. */
int verify_judge_one(struct verify_tree *t, const char *index, const char *shown,
                     const char *sources, const char *misplaced, struct wp_error *err);

/* ---- verify_absent.c */
/* Judges the indexes that the manifests record as valid and that were not met where Numba looks;
 * takes a note of those that are nowhere. */
int verify_absent(struct verify_tree *t, struct wp_error *err);
