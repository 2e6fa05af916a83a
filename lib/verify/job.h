#pragma once
/* What the steps of verifying a tree share. Private to lib/verify. */

#include "judge/notes.h"
#include "judge/on_disk.h"
#include "numba/caches.h"
#include "tree/walk.h"
#include "trees/trees.h"

/* A __pycache__ that is a symbolic link to a directory. */
struct cache_link {
    const char *path; /* in the tree; borrowed */
    char *sources;    /* the directory that it lies in; owned */
    const char *real; /* the directory that it leads to, if that is in the tree; borrowed */
    dev_t dev;        /* of that directory */
    ino_t ino;
};

struct verify_tree {
    const struct wp_context *context;
    const char *dir;
    const struct wp_verify_options *o;
    const char *cache_dir; /* NUMBA_CACHE_DIR of who will load, or NULL */
    struct walk walk;
    struct caches *was;    /* as KNOWN, by the paths that they had earlier */
    struct caches *known;  /* hashed names of the tree's directories */
    struct caches *zipped; /* and of those in its zips, which have caches in the user-wide place */
    char **bases;          /* absolute paths by which Python may see the tree; owned */
    struct verify verify;
    struct path_list leftovers; /* other files of caches */
    char *dir_path;             /* of the tree: absolute; owned */
    struct trees trees;         /* what its manifests say */
    struct trust trust;         /* whose manifests are taken */
    struct cache_link *links;   /* owned */
    size_t link_count;
    struct wp_verify_report *out;
};

/* ---- known.c */
/* Fills TREE->bases, known, zipped, was and trees, after the walk. */
int verify_know_directories(struct verify_tree *tree, struct wp_error *err);

/* ---- locator.c */
/* Asks the interpreter what it would load through warmpack.locator. When all else is judged. */
int verify_locator(struct verify_tree *tree, struct wp_error *err);

/* ---- places.c */
/* Judges E, which is called like an index. */
int verify_judge_in_tree(struct verify_tree *tree, const struct entry *e, struct wp_error *err);
/* Judges the indexes of the tree's sources in cache root ROOT, outside of it. */
int verify_judge_root(struct verify_tree *tree, const char *root, bool user_wide,
                      struct wp_error *err);
/* Is the file in a directory such as Numba makes? */
bool verify_is_in_cache(const char *path);
/* Judges the index at path INDEX, reported as SHOWN, whose sources lie in directory SOURCES of the
 * tree (NULL: not known); MISPLACED: why Numba does not look there, or NULL. */
int verify_judge_one(struct verify_tree *tree, const char *index, const char *shown,
                     const char *sources, const char *misplaced, struct wp_error *err);

/* Why Numba does not look in the tree, or NULL. */
const char *verify_not_in_tree(const struct verify_tree *tree);
/* Is the source of the index called NAME in directory SOURCES? 1, 0 or -ENOMEM. */
int verify_has_source(struct verify_tree *tree, const char *sources, const char *name);
/* Does Numba look for it in directory DIR of the tree, by DIR's own name? 1, 0 or -ENOMEM. */
int verify_is_own(struct verify_tree *tree, const char *dir, const char *name);

/* ---- links.c */
/* Fills TREE->links, after the walk. */
int verify_links_find(struct verify_tree *tree, struct wp_error *err);
void verify_links_clear(struct verify_tree *tree);
/* Do any of them lead to directory DIR of the tree? */
bool verify_links_lead_to(const struct verify_tree *tree, const char *dir);
/* Judges the indexes behind them, but for those that are where Numba looks without. */
int verify_links(struct verify_tree *tree, struct wp_error *err);

/* ---- outdated.c */
/* Judges once more those found valid, by what their code came from. */
int verify_outdated(struct verify_tree *tree, struct wp_error *err);

/* ---- absent.c */
/* Judges the indexes that the manifests record as valid and that were not found where Numba looks;
 * takes a note of those that are nowhere. */
int verify_absent(struct verify_tree *tree, struct wp_error *err);

/* ---- signed.c */
/* With keys that are trusted: refuses a tree whose files and caches are not what was signed. */
int verify_signed(struct verify_tree *tree, struct wp_error *err);

/* ---- compiled.c */
/* Fills OUT's builds, where E knows what an interpreter compiles for. TREES: the manifests that may
 * say what keys were before; may be NULL. 0 or -ENOMEM. */
int verify_compiled(struct wp_verify_report *out, const struct judge_expect *e,
                    const struct trees *trees, struct wp_error *err);
