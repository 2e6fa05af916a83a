#pragma once
/* What the steps of repairing share. Private to lib/restore.
 *
 * The way of a tree: its manifest (walk.c) and state (find.c) → links that are
 * missing (links.c) → which files are its own (share.c) → is each what was packed,
 * and with its time and mode? (files.c) → is the state to be believed? (trust.c) →
 * where its caches lie now (caches.c) → the layout, into staged trees → stamps of what
 * could not be given its time (stamps.c) → commit → verification (restore.c). Every step
 * may be repeated, so a run that was killed is finished by the next one. */

#include <stdbool.h>
#include <stddef.h>

#include "judge/on_disk.h"
#include "layout/layout.h"
#include "manifest/manifest.h"
#include "stream/pool.h"
#include "warmpack.h"

enum { RESTORE_MOST_STRIP = 32 };

enum restored_status {
    RESTORED_NONE,    /* nothing to look at: no file, or outside of what was unpacked */
    RESTORED_MISSING, /* or something else than a file stands there */
    RESTORED_CHANGED, /* other content than was packed */
    RESTORED_SAME
};

/* What became of an entry of the manifest. */
struct restored {
    char *path;                /* in the tree; NULL: it has none; owned */
    const struct entry *facts; /* a hard link's are its target's; NULL: none */
    enum restored_status status;
    bool superseded; /* another manifest of the tree speaks for it; no facts */
    bool is_source;  /* of an index that was valid when packed, or may have others */
    struct timespec before, now;
};

/* A directory of sources. */
struct restore_dir {
    char *archived; /* in the archive; owned */
    char *path;     /* in the tree; owned */
    bool zipped;    /* in a zip, or that itself */
};

/* What one manifest speaks of. */
struct restore_tree {
    char *home;   /* beneath the tree; NULL: the manifest lies elsewhere; owned */
    char *name;   /* of the manifest, for messages; owned */
    bool info;    /* it lies in EGG-INFO or NAME.dist-info: the directory is shared with others */
    char *prefix; /* directory of the archive that its home lies in; owned */
    char *base;   /* directory of the tree that names of the archive, stripped, lie in; owned */
    unsigned strip;
    int foreign;        /* directory that holds an unpacked archive elsewhere, or -1 */
    char *foreign_home; /* home beneath it; owned */
    unsigned foreign_strip;
    struct manifest m;
    char archive[65]; /* digest of the manifest's text */
    struct manifest_state state;
    bool has_state;
    uid_t state_uid; /* who wrote it */
    struct buf state_text;
    struct restored *files;   /* one for each entry of the manifest; owned */
    struct restore_dir *dirs; /* sorted by archived; owned */
    size_t dir_count;
    char **insides; /* cache roots inside the tree, as paths of it; owned */
    size_t inside_count;
    char **old_bases; /* absolute paths that the base had for Python earlier; owned, NULL-ended */
    char *old_root;   /* the cache root of earlier times, where it is now; owned */
    dev_t device;     /* of the manifest, with its inode: is it still the one that was read? */
    ino_t inode;
    int lock;                      /* held while the tree is repaired; -1: none */
    int old_fd, cache_fd, user_fd; /* cache roots outside the tree; -1: none */
    char *state_cache_dir;         /* old_root where the layout stays with it; owned */
    struct layout layout;
    struct staging *staging;
};

/* The manifest that speaks for a file. */
struct restore_owner {
    const char *path; /* in the tree; the tree's file's own */
    size_t tree, file;
};

struct restore {
    const struct wp_restore_options *o;
    struct wp_restore_result *result;
    struct pool *pool;
    bool grafting; /* only sources and caches are of interest */
    const char *dir;
    char *dir_path; /* absolute, lexical; owned */
    char **roots;   /* absolute paths that DIR will have for Python; NULL-ended; owned */
    int fd;         /* of DIR */
    struct verify verify;
    mode_t umask;
    struct restore_tree *trees; /* owned */
    size_t tree_count;
    struct wp_error *damaged; /* what is wrong with manifests that are passed over; owned */
    size_t damaged_count;
    struct restore_owner *owners; /* sorted by path; owned */
    size_t owner_count;
};

bool restore_interrupted(const struct restore *r);
/* What -v shows, and a dry run tells. */
enum wp_severity restore_detail(const struct restore *r);

/* ---- find.c */
int restore_find(struct restore *r, struct wp_error *err);
/* How many components PATH has. */
unsigned restore_depth(const char *path);
/* PATH of the tree, which lies in T's base, from there. */
const char *restore_below_base(const struct restore_tree *t, const char *path);
/* NAME of the archive as a path in the tree; NULL with *GONE where it has none there. Allocated. */
char *restore_path(const struct restore_tree *t, const char *archived, bool *gone);
void restore_tree_clear(struct restore_tree *t);
/* Closes what T is repaired with. */
void restore_tree_close(struct restore_tree *t);
/* Takes the manifest in directory HOME of the tree, where there is one. */
int restore_take_home(struct restore *r, const char *home, struct wp_error *err);

/* ---- walk.c: takes the manifests of the tree, at any depth */
int restore_walk(struct restore *r, struct wp_error *err);

/* ---- files.c */
/* Which files there should be, and where. */
int restore_plan(struct restore *r, struct restore_tree *t, struct wp_error *err);
/* Compares them, and sets what may be set. */
int restore_files(struct restore *r, struct restore_tree *t, struct wp_error *err);
/* What became of the file that PATH of the archive is, through links in it; NULL: none. */
struct restored *restore_file_of(const struct restore_tree *t, const char *archived);

/* ---- lock.c: waits for another run that repairs T, and reads what that has noted. Only
 * while a tree is repaired: there may be more of them than a process has descriptors. */
int restore_lock(struct restore *r, struct restore_tree *t, struct wp_error *err);

/* ---- links.c: symbolic links that another tool has not made; before anything is planned,
 * as what stands in their place is no file of the archive */
int restore_links(struct restore *r, struct restore_tree *t, struct wp_error *err);

/* ---- extra.c: counts files that no manifest names */
int restore_extra(struct restore *r, struct wp_error *err);

/* ---- share.c: several manifests in one tree. After restore_plan of all of them. */
int restore_share(struct restore *r, struct wp_error *err);
/* The tree whose manifest speaks for PATH of the tree, or NULL. */
const struct restore_tree *restore_owner(const struct restore *r, const char *path);

/* ---- trust.c: forgets T's old_root where the state that names it is not to be believed.
 * After restore_files and restore_dirs_find. */
int restore_trust(struct restore *r, struct restore_tree *t, struct wp_error *err);

/* ---- caches.c: records for the layout, from where caches lie now */
int restore_caches(struct restore *r, struct restore_tree *t, struct wp_error *err);

/* ---- dirs.c */
/* Fills T's dirs. 0 or -ENOMEM. */
int restore_dirs_find(struct restore_tree *t);
/* Fills T's insides. Who sets one finds copies of what lies in the tree there, too, so any
 * directory may have caches in it. 0 or -ENOMEM. */
int restore_insides_find(struct restore_tree *t);
/* The manifest's line of an index called NAME of sources in directory DIR; the valid one first. */
const struct manifest_index *restore_index_line(const struct restore_tree *t, size_t dir,
                                                const char *name);

/* ---- stamps.c */
int restore_stamps(struct restore *r, struct restore_tree *t, struct wp_error *err);

/* ---- record.c: RECORD of an installed wheel, after the commit */
int restore_record(struct restore *r, struct restore_tree *t, struct wp_error *err);

/* ---- state.c */
/* Reads T's state, in place of what was read of it before. */
int restore_state_read(struct restore *r, struct restore_tree *t, struct wp_error *err);
void restore_state_forget(struct restore_tree *t);
/* state.jsonl, where it says something else now. */
int restore_state_write(struct restore *r, struct restore_tree *t, struct wp_error *err);

/* ---- restore.c, for unpacking: o->manifest's caches lie in the tree already, whose files are not
 * from the archive. */
int restore_graft(const struct wp_restore_options *o, struct wp_restore_result *result,
                  struct wp_error *err);
