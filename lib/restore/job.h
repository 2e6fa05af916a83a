#pragma once
/* What the steps of repairing share. Private to lib/restore.
 *
 * The way of a tree: its manifests and their states (trees/) → links that are missing (links.c) →
 * which files there should be (plan.c), and which are its own (share.c) → and then, at first
 * without the lock, until something is to be changed (look.c, lock.c): is each what was packed, and
 * with its time and mode? (files.c) → is the state to be believed? (trees/trust.c) → where its
 * caches lie now (caches.c) → the layout, into staged trees → stamps of what could not be given its
 * time (stamps.c) → times and modes, which are taken back where the rest fails → commit → stamps of
 * what stays where it is → verification (restore.c). What is found out before is set once all is
 * staged, and before the state says that it is: the next run of one that was killed sets the rest.
 * Every step may be repeated, so a run that was killed is finished by the next one. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/lock_file.h"
#include "judge/on_disk.h"
#include "layout/layout.h"
#include "retarget/retarget.h"
#include "stream/pool.h"
#include "trees/signed.h"
#include "trees/trees.h"
#include "warmpack.h"

enum restored_status {
    RESTORED_NONE,    /* nothing to look at: no file, or outside of what was unpacked */
    RESTORED_MISSING, /* or something else than a file stands there */
    RESTORED_CHANGED, /* other content than was packed */
    RESTORED_BEHIND,  /* the same, but behind a directory that is a symbolic link, through which no
                         caches are put onto a tree that came another way */
    RESTORED_SAME,
    RESTORED_HELD /* the same, but its caches hold code of a file that is not */
};

/* What became of an entry of the manifest. */
struct restored {
    char *path;                /* in the tree; NULL: it has none; owned */
    const struct entry *facts; /* a hard link's are its target's; NULL: none */
    enum restored_status status;
    bool superseded; /* another manifest of the tree speaks for it; no facts */
    bool is_source;  /* of an index that was valid when packed, or may have others; or code of
                        such an index can come from it */
    bool has_links;  /* other entries are hard links of it, or it is one */
    bool linked;     /* symbolic links lead to it: it is read, and stays as it is */
    bool behind;     /* one of these is a directory above it */
    bool waits;      /* its time is set when it is known whether its caches are of use */
    bool sets_mode;  /* MODE is to be set with the time */
    mode_t mode, mode_before;
    bool is_set; /* it has them now, and had MODE_BEFORE and BEFORE */
    struct timespec before, now;
    struct timespec ctime; /* when its content was looked at */
    dev_t dev;             /* of what was looked at */
    ino_t ino;
};

/* The repair of what one manifest speaks of. */
struct repair {
    struct tree_manifest *t;
    struct restored *files;        /* one for each entry of the manifest; owned */
    struct lock_file lock;         /* held while the tree is repaired */
    int home_fd;                   /* the directory that it lies in; -1: none */
    int old_fd, cache_fd, user_fd; /* cache roots outside the tree; -1: none */
    bool root_away;                /* the cache root of earlier times is not there now */
    char *state_cache_dir;         /* old_root where the layout stays with it; owned */
    struct layout *layout;         /* OWN_LAYOUT, or in a graft the unpacking's */
    struct layout own_layout;
    struct staging *staging;
    bool rounded;          /* a filesystem has kept less of a time than was to be set */
    atomic_bool no_memory; /* for some look into the manifest */
};

/* The manifest that speaks for a file. */
struct restore_owner {
    const char *path; /* in the tree; the tree's file's own */
    size_t tree, file;
};

/* A file beside those that will be set, which shows how much of a time its filesystem keeps. */
struct time_probe {
    int fd;
    dev_t dev;
};

struct restore {
    const struct wp_context *context;
    const struct wp_restore_options *o;
    struct wp_restore_result *result;
    struct pool *pool;
    bool grafting;                  /* only sources and caches are of interest */
    bool apart;                     /* the tree is only read, and its caches go elsewhere */
    const struct time_probe *probe; /* NULL: stamps are fitted again where less is kept */
    bool looking;                   /* nothing may change at all: see look.c */
    bool changed;                   /* something is in place: an error says so */
    char *dir_path;                 /* of the tree: absolute, lexical; owned */
    char **roots;       /* absolute paths that it will have for Python; NULL-ended; owned */
    int fd;             /* of it */
    struct trust trust; /* whose manifests are taken */
    struct trees_signed is_signed; /* with keys: what was signed */
    struct verify verify;
    mode_t umask;
    struct trees trees;
    struct repair *repairs;       /* one for each manifest; owned */
    struct restore_owner *owners; /* sorted by path; owned */
    size_t owner_count;
    /* Keys are to become another CPU's. That may be all: then O has a dry run. */
    bool retargets, retarget_dry_run, retarget_prune, keys_alone;
    const struct retarget_who *who; /* NULL: they become what they were */
    const struct wp_context *retarget_context;
    struct wp_retarget_result *retargeted;
};

/* What -v shows, and a dry run tells. */
enum wp_severity restore_detail(const struct restore *restore);

/* ---- plan.c */
/* Which files there should be, and where. */
int restore_plan(struct restore *restore, struct repair *repair, struct wp_error *err);
/* Counts what came of it, and warns of sources that have changed. */
int restore_count_files(struct restore *restore, struct repair *repair, struct wp_error *err);
/* What became of the file that PATH of the archive is, through links in it; NULL: none, or no
 * memory to find it, which restore_memory says later. */
struct restored *restore_file_of(const struct repair *repair, const char *archived);
/* Likewise of the source of LINE, if that was valid. */
struct restored *restore_valid_source(const struct repair *repair,
                                      const struct manifest_index *line);
/* Likewise, into *OUT: 0 or -ENOMEM. */
int restore_find_file(const struct repair *repair, const char *archived, struct restored **out);
int restore_memory(const struct repair *repair, struct wp_error *err);

/* ---- files.c: compares them, and finds out what may be set. Nothing is changed. */
int restore_check_files(struct restore *restore, struct repair *repair, struct wp_error *err);
/* ---- hold.c: which sources are held back, as their caches hold code of what has changed */
int restore_hold(struct restore *restore, struct repair *repair, struct wp_error *err);

/* ---- added.c: OUT, which has a NULL for each index of the manifest, takes for the valid ones a
 * file of the tree that their sources import and that was not packed. Its texts are the caller's.
 */
int restore_added(const struct restore *restore, const struct repair *repair, char **out,
                  struct wp_error *err);

/* ---- set.c */
/* Sets the times and modes that may be set, as a part of the commit. */
int restore_set_times(struct restore *restore, struct repair *repair, struct wp_error *err);
/* Gives those back that they had. */
void restore_take_back_times(struct restore *restore, struct repair *repair);
/* Does E say that the file is somebody else's, or on a filesystem that is only read? Then its index
 * is changed in place of its time. */
bool restore_is_refused(int e);

/* ---- look.c */
/* The steps of the repair of one tree, after its lock has been taken or not. */
typedef int restore_steps(struct restore *restore, struct repair *repair, struct wp_error *err);
/* Takes STEPS as far as nothing changes by them. -EAGAIN, with no error set: something does, and
 * they are to be taken under the lock. */
int restore_look(struct restore *restore, struct repair *repair, restore_steps *steps,
                 struct wp_error *err);
/* Asked before anything is changed: 0, or -EAGAIN while that is only looked for. */
int restore_may_change(const struct restore *restore);

/* ---- lock.c: waits for another run that repairs T, and reads what that has noted. Only
 * while a tree is repaired: there may be more of them than a process has descriptors. */
int restore_lock(struct restore *restore, struct repair *repair, struct wp_error *err);

/* ---- links.c: symbolic links that another tool has not made; before anything is planned,
 * as what stands in their place is no file of the archive */
int restore_links(struct restore *restore, struct repair *repair, struct wp_error *err);

/* ---- extra.c: counts files that no manifest names */
int restore_extra(struct restore *restore, struct wp_error *err);

/* ---- share.c: several manifests in one tree. After restore_plan of all of them. */
int restore_share(struct restore *restore, struct wp_error *err);
/* The owner of PATH of the tree, or NULL. */
const struct restore_owner *restore_owner(const struct restore *restore, const char *path);

/* ---- places.c: forgets T's old_root where the state that names it is not to be believed. After
 * restore_files; fills T's dirs. */
int restore_believe(struct restore *restore, struct repair *repair, struct wp_error *err);

/* ---- caches.c */
/* Begins the layout, as the last run had it where nothing else is wished. */
int restore_begin_layout(struct restore *restore, struct repair *repair, struct wp_error *err);
/* Adds records to it, from where caches lie now. */
int restore_add_caches(struct restore *restore, struct repair *repair, struct wp_error *err);

/* ---- stamps.c */
/* Which indexes: those that lie in staged trees until the commit, those that stay, or both. */
enum { STAMPS_STAGED = 1, STAMPS_STAYING = 2 };
int restore_stamps(struct restore *restore, struct repair *repair, int which, struct wp_error *err);
/* Data files in staged trees are not older than their sources; after restore_set_times. */
int restore_renew_staged(struct restore *restore, struct repair *repair, struct wp_error *err);
int restore_pycs(struct restore *restore, struct repair *repair, struct wp_error *err);

/* The source of PLACED, as the file of the archive that it is; NULL: not known. */
struct restored *restore_source_of(const struct repair *repair, const struct placed_index *placed);

/* ---- retarget.c, after the commit */
/* Lets the run retarget what it repairs. WHO and RESULT are borrowed. */
int restore_retarget_begin(struct restore *restore, const struct retarget_who *who,
                           struct wp_retarget_result *result, struct wp_error *err);
int restore_retarget(struct restore *restore, struct repair *repair, struct wp_error *err);

/* ---- relocate.c: files of a virtual environment that hold its path */
/* Those that differ from what was packed by that alone count as the same. */
int restore_relocated(struct restore *restore, struct repair *repair, struct wp_error *err);
/* Rewrites those that hold an old one. -EAGAIN as restore_may_change. */
int restore_relocate(struct restore *restore, struct repair *repair, struct wp_error *err);

/* ---- record.c: RECORD of what was installed, after the commit */
int restore_record(struct restore *restore, struct repair *repair, struct wp_error *err);
/* ---- installed.c: likewise, where the manifest lies in no distribution's metadata. 0, -EAGAIN as
 * restore_may_change or -ENOMEM. */
int restore_installed(struct restore *restore, struct repair *repair);

/* ---- signed.c: with keys that are trusted, before anything is changed */
/* Refuses a tree whose files are not what was signed. */
int restore_signed_begin(struct restore *restore, struct wp_error *err);
/* Refuses caches that are not. When they are laid out. */
int restore_signed_caches(struct restore *restore, const struct repair *repair,
                          struct wp_error *err);

/* ---- state.c: state.jsonl, where it says something else now */
int restore_state_write(struct restore *restore, struct repair *repair, struct wp_error *err);

/* ---- restore.c */
/* Does anything change on the disk, be it keys alone? */
bool restore_writes(const struct restore *restore);
/* The job on what RESTORE was filled with, which is then cleared. */
int restore_run(struct restore *restore, struct wp_error *err);
/* Warns of indexes that were packed and are nowhere: nothing is wrong, but Numba will compile. */
int restore_report_missing(struct restore *restore, const struct repair *repair,
                           struct wp_error *err);
/* Begins the repair of what T speaks of; repair_clear. */
void repair_begin(struct repair *repair, struct tree_manifest *t);
void repair_clear(struct repair *repair);
/* Closes what a tree is repaired with, and unlocks it. */
void repair_close(struct repair *repair);

/* ---- places.c: where caches may lie */

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
