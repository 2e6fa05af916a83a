#pragma once
/* The manifests in a tree: where they lie, what they call the tree's files, what was done with them
 * there, and how far that is to be believed. Nothing here changes the tree. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/path.h"
#include "manifest/manifest.h"
#include "manifest/signature.h"

enum { TREES_MOST_STRIP = 32 };

/* A directory of sources. */
struct source_dir {
    char *archived; /* in the archive; the first member, for path_compare; owned */
    char *path;     /* in the tree; owned */
    bool zipped;    /* in a zip, or that itself */
};

/* What one manifest speaks of. */
struct tree_manifest {
    char *home;   /* beneath the tree; NULL: the manifest lies elsewhere; owned */
    char *name;   /* of the manifest, for messages; owned */
    bool info;    /* it lies in EGG-INFO or NAME.dist-info: the directory is shared with others */
    char *prefix; /* directory of the archive that its home lies in; owned */
    char *base;   /* directory of the tree that names of the archive, stripped, lie in; owned */
    unsigned strip;
    int foreign;        /* directory that holds an unpacked archive elsewhere, or -1; owned */
    char *foreign_home; /* home beneath it; owned */
    unsigned foreign_strip;
    struct manifest m;
    dev_t device; /* of the manifest, with its inode: is it still the one that was read? */
    ino_t inode;
    /* Its state. */
    bool has_state;
    struct manifest_state state;
    struct buf state_text;
    uid_t state_uid;  /* who wrote it */
    char **old_bases; /* absolute paths that the base had for Python earlier; owned, NULL-ended */
    char *old_root;   /* the cache root of earlier times, where it is now; owned */
    /* Found when they are asked for. */
    struct source_dir *dirs; /* sorted by archived; owned */
    size_t dir_count;
    struct path_list insides; /* cache roots inside the tree, as paths of it; owned */
    char *packed_root; /* "/srv/build/app/": where it was packed, if that is elsewhere; owned */
};

/* Those of one tree. Zero-initialise, give what is given; trees_clear. */
struct trees {
    /* Given; borrowed. */
    const char *dir;   /* the tree, as typed */
    int fd;            /* of it */
    struct pool *pool; /* or NULL */
    const struct wp_context *context;
    const struct trust *trust; /* whose manifests are taken; NULL: everybody's */
    /* Found. */
    struct tree_manifest *list; /* owned */
    size_t count;
    struct wp_error *damaged; /* what is wrong with manifests that are passed over; owned */
    size_t damaged_count;
    struct path_list staged; /* directories below with staging in them, as one would type them */
};

/* ---- find.c */
/* Finds them, at any depth; or the one MANIFEST (NULL: none is named), which may lie elsewhere.
 * -ENOENT: there is none. Those that are damaged or that we may not read are passed over, unless
 * there is no other; any other error ends the search. Clear in any case. */
int trees_find(struct trees *trees, const char *manifest, struct wp_error *err);
void trees_clear(struct trees *trees);
/* Completes or takes back what dead runs left in directories that the search has come by. 1: there
 * was something, and it is to be searched again; 0; negative errno. CONTEXT is told. */
int trees_recover(const struct trees *trees, const struct wp_context *context,
                  struct wp_error *err);
/* Does R, from finding manifests, say that there is none, or that one is damaged or may not be read
 * by us? */
bool trees_pass_over(int r);
/* Takes the manifest in directory HOME of the tree, where there is one. */
int trees_take_home(struct trees *trees, const char *home, struct wp_error *err);

/* ---- walk.c */
int trees_walk(struct trees *trees, struct wp_error *err);
/* Directories called like a manifest's own in directory PLACE beneath FD, as paths, sorted. 0 or
 * negative errno. */
int trees_homes(int fd, const char *place, struct path_list *homes);

/* ---- sweep.c */
/* Removes what a killed run that repaired the tree has left beside the manifest in HOME, and beside
 * the indexes of which that tells, also in the cache root that its state names: what was to take
 * the place of other files, and the lock, by which one sees that there is anything. A run that is
 * under way keeps what it has. What cannot be removed stays, and the lock with it. 0; negative
 * errno: there may be something yet. */
int trees_sweep(const struct trees *trees, const char *home);
/* Likewise for all manifests of the tree DIR, which FD is, or for the one MANIFEST (NULL: none is
 * named); before that, as trees_recover. What is wrong with one, or that CONTEXT stops the job, is
 * for others to tell. */
int trees_sweep_all(const struct wp_context *context, const char *dir, int fd, const char *manifest,
                    struct wp_error *err);

/* ---- manifest.c */
/* Reads the manifest in directory HOME of the tree, without its state. 1; 0: there is none. Clear T
 * in any case. */
int tree_manifest_read(const struct trees *trees, struct tree_manifest *t, const char *home,
                       struct wp_error *err);
/* Reads the manifest at PATH, which lies in another tree or in none. Clear T in any case. */
int tree_manifest_read_foreign(const struct trees *trees, struct tree_manifest *t, const char *path,
                               struct wp_error *err);
/* Fills T for manifest M, which will lie in directory HOME of the tree, of an archive that was
 * unpacked with STRIP components stripped. T->m shares what M owns. */
int tree_manifest_borrow(const struct trees *trees, struct tree_manifest *t,
                         const struct manifest *m, const char *home, unsigned strip,
                         struct wp_error *err);
void tree_manifest_clear(struct tree_manifest *t);

/* ---- names.c */
/* The directory of the archive in which the home of M lies. Allocated; NULL on no memory. */
char *trees_archive_prefix(const struct manifest *m);
/* NAME of the archive as a path in the tree; NULL with *GONE where it has none there. Allocated. */
char *tree_path(const struct tree_manifest *t, const char *archived, bool *gone);
/* The same of a directory, which may be the one that stripped names begin in. */
char *tree_dir_path(const struct tree_manifest *t, const char *archived, bool *gone);

/* ---- state.c */
/* Reads state.jsonl in directory HOME beneath FD: 1; 0: there is none; negative errno. UID: who
 * wrote it; may be NULL. */
int trees_state_read(int fd, const char *home, struct manifest_state *state, struct buf *text,
                     uid_t *uid, struct wp_error *err);
/* Where the directory in which T's names begin lies: absolute, allocated; NULL and errno. */
char *tree_place(const struct trees *trees, const struct tree_manifest *t);
/* Reads T's state, in place of what was read of it before. */
int tree_state_read(const struct trees *trees, struct tree_manifest *t, struct wp_error *err);
void tree_state_clear(struct tree_manifest *t);
/* Is it what was read that is to blame for R, and not the machine or the user? */
bool tree_is_damage(int r);
/* Reads the manifest in directory HOME of the tree, and its state. 1; 0: there is none, or it is
 * damaged; a state that is damaged is none. Clear T in any case. */
int tree_manifest_and_state_read(const struct trees *trees, struct tree_manifest *t,
                                 const char *home, struct wp_error *err);
/* Makes the file PATH of SIZE bytes of DATA in the staged tree, and the directory HOME for it. */
struct staging;
int trees_stage(const struct staging *s, const char *home, char *path, const void *data,
                size_t size, struct wp_error *err);
/* Likewise TEXT as the state of the manifest in HOME. */
int trees_state_stage(const struct staging *s, const char *home, const struct buf *text,
                      struct wp_error *err);
/* The COUNT paths ROOTS, each with BELOW appended: NULL-ended, for caches_free_bases; NULL on no
 * memory. */
char **trees_bases(char *const *roots, size_t count, const char *below);

/* ---- ignore.c */
/* Path of the file by which git passes over the directory that HOME lies in. NULL with *NONE where
 * that is an installed distribution's, or on no memory. Allocated. */
char *trees_ignore_path(const char *home, bool *none);
/* Puts it into the staged tree where neither that nor the target, unless that is SWAPPED away, has
 * one. */
int trees_ignore_stage(const struct staging *s, const char *home, bool swapped,
                       struct wp_error *err);
/* Puts it into the tree FD where that has none. That it cannot be written harms nobody. */
void trees_ignore_write(int fd, const char *home);
/* Is the one at PATH beneath FD as it was written here? 1, 0 or negative errno. */
int trees_ignore_is_ours(int fd, const char *path);

/* ---- added.c */
/* Of the COUNT files of a tree that its manifests speak of, sorted, PATH is none; but what lies
 * around it is packed, or what it hides: other packages of a tree are not spoken for. */
bool trees_is_added(const char *const *packed, size_t count, const char *path);

/* ---- dirs.c */
/* Fills T's dirs. 0 or -ENOMEM. */
int tree_find_dirs(struct tree_manifest *t);
/* Fills T's insides. Who sets one finds copies of what lies in the tree there, too, so any
 * directory may have caches in it. 0 or -ENOMEM. */
int tree_find_insides(struct tree_manifest *t);
/* The manifest's line of an index called NAME of sources in directory DIR; the valid one first. */
const struct manifest_index *tree_index_line(const struct tree_manifest *t, size_t dir,
                                             const char *name);
/* Likewise, into *OUT, where having none for lack of memory would be a verdict: 0 or -ENOMEM. */
int tree_find_index_line(const struct tree_manifest *t, size_t dir, const char *name,
                         const struct manifest_index **out);

/* ---- trust.c */
struct tree_trust {
    const struct trees *trees;
    const struct tree_manifest *t;
    /* Is STAMP one of source ARCHIVED, whose content is as packed: now, or before this run? */
    bool (*is_of_source)(void *ctx, const char *archived, const struct wp_stamp *stamp);
    void *ctx;
};
/* Does index NAME in directory FD, of sources in directory DIR, fit one of these? 1, 0 or negative
 * errno: it cannot be read. */
int tree_fits(const struct tree_trust *trust, int fd, const char *name, size_t dir);
enum { TREE_ROOT_AWAY = 2 };
/* Is T's old_root to be believed, where the tree has the paths ROOTS for Python and CACHE_DIR (or
 * NULL) is the cache root that was named? Where it is not, CONTEXT is told why, unless nothing is
 * there. 1, 0 or negative errno; TREE_ROOT_AWAY: it is not there now, or we are not let into
 * it, which may change again. After tree_find_dirs. */
int tree_trusts_old_root(const struct tree_trust *trust, char **roots, const char *cache_dir,
                         const struct wp_context *context, struct wp_error *err);

/* ---- packed.c */
/* Fills packed_root of those that were packed elsewhere than they are. BASES: the absolute paths at
 * which the tree is. 0 or -ENOMEM. */
int trees_find_packed_roots(struct trees *trees, char *const *bases);
/* Where PATH of the tree was packed, if that is another place: "/srv/build/app/", or NULL. */
const char *trees_packed_root(const struct trees *trees, const char *path);
