#pragma once
/* Cache directories go where Numba will look for them from their new path.
 *
 * A record is a directory of cache files and the source directory that it serves. For each record
 * the layout names one or more destinations; an index goes there with its data files. Where two
 * records bring an index of one name to one place, the valid one wins, then the one that lies there
 * already, then the one that was added first.
 *
 * Unpacking has its records in the staged tree, and moves them there. Repairing has them where
 * they lie on disk: their files are linked (or copied) into staged trees that are made when the
 * first one is needed, and the old names are removed by the same commit. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/entry.h"
#include "base/path.h"
#include "base/texts.h"
#include "commit/staging.h"
#include "judge/on_disk.h"
#include "manifest/manifest.h"
#include "stream/pool.h"
#include "tree/create.h"
#include "warmpack.h"

/* A directory below which destinations and records lie. */
enum layout_root {
    LAYOUT_TREE,      /* the tree itself */
    LAYOUT_CACHE_DIR, /* --cache-dir, where that is not in the tree */
    LAYOUT_USER_WIDE,
    LAYOUT_OLD, /* the cache root of earlier times; records only */
    LAYOUT_ROOTS,
    LAYOUT_FOREIGN = LAYOUT_ROOTS /* a place that is only read */
};

/* A record seldom has more destinations than this. */
enum { LAYOUT_LISTINGS = 4 };

enum layout_kind { LAYOUT_IN_TREE, LAYOUT_INSIDE, LAYOUT_HASHED, LAYOUT_HASHED_USER_WIDE };

static inline enum layout_kind layout_kind_of(enum manifest_cache_kind kind)
{
    return kind == MANIFEST_CACHE_DIR      ? LAYOUT_HASHED
           : kind == MANIFEST_CACHE_INSIDE ? LAYOUT_INSIDE
                                           : LAYOUT_HASHED_USER_WIDE;
}

/* An index or data file. */
struct layout_file {
    char *name;  /* owned */
    size_t stem; /* length of what an index and its data files share */
    bool is_index;
    bool valid;     /* index: it is to win over one that is not */
    bool was_valid; /* index: when packed */
    bool stays;     /* index: it is put nowhere else, as it would give old results there */
    const struct manifest_index *packed; /* index, as packed: what was said of it; borrowed */
};

struct layout_record {
    enum layout_kind kind;
    enum layout_root root;
    int fd;       /* directory below which DIR lies now; borrowed */
    char *dir;    /* directory of the cache files; owned */
    char *source; /* source directory, "" is the tree itself; owned */
    char *inside; /* INSIDE: the cache root as a path in the tree; owned */
    bool zipped;  /* the source directory lies in a zip */
    bool staged;  /* it lies in the staged tree, and is moved there; else on disk */
    struct layout_file *files;
    size_t file_count;
    size_t tag;   /* the caller's own; noted in placed indexes */
    bool moved;   /* at least one index lies elsewhere now */
    size_t gone;  /* indexes whose files here are removed at the commit */
    bool warned;  /* of the place of its caches */
    bool thinned; /* at least one was a duplicate, and goes */
};

/* An index in its final place. */
struct placed_index {
    char *index;                /* absolute path; the first member, for path_compare; owned */
    char *source;               /* likewise; owned */
    char *shown, *source_shown; /* for the report; owned */
    bool was_valid;             /* when packed */
    bool user_wide;
    enum layout_root root;              /* where it lies now */
    const struct layout_record *record; /* that it came with */
    const struct layout_file *file;
    size_t tag;       /* of the record */
    char *source_dir; /* absolute, as Python sees it here; owned */
    /* Where the file is until the commit: PATH beneath FD. */
    bool staged;  /* in a staged tree; else it stays where it is */
    bool removed; /* it is no longer there, and not judged */
    int fd;
    char *path; /* owned */
};

/* The data files that are in a destination of the target already. */
struct layout_listing {
    int area;
    char *path;             /* NULL: not used yet; owned */
    struct path_list names; /* sorted */
};

struct layout_options {
    const struct wp_context *context;
    enum wp_layout kind;
    const char *cache_dir; /* NULL: none */
    const char *old_root;  /* path of LAYOUT_OLD */
    bool give;             /* caches are made VERIFY's user's own */
    bool group_writable;   /* their directories are for all users of their group */
    struct verify *verify; /* who runs Python */
    char **roots;          /* absolute paths of the tree for Python; NULL-ended */
    const char *dir;       /* the tree, as typed */
    const char *dir_path;  /* absolute */
    int tree_fd;           /* the tree as it is now: the staged one, or the target */
    int target_fd;         /* what the tree is merged into */
    bool apart;            /* nothing is written to the tree: see layout_is_apart */
    bool dry_run;
    bool looking; /* stops with -EAGAIN, and no error set, before anything is staged */
    mode_t umask;
    const struct create_policy *policy; /* for dir_entry's; NULL: owners as they are */
    /* An entry of a directory that is unpacked with the tree, or NULL. */
    const struct entry *(*dir_entry)(void *ctx, const char *path);
    bool (*is_source)(void *ctx, const char *path);
    void *ctx;
    struct staging_options staging_options;
    struct staging **staging; /* *STAGING NULL: made when it is needed; else area 0 is the tree, or
                                 the staged one of a tree that is only read */
};

/* Which kinds of places have caches. */
struct layout_used {
    bool inside, cache_dir, user_wide, in_tree;
    bool zipped; /* user-wide, too, but whatever the layout is */
};

struct layout {
    struct layout_options o;
    struct layout_record *records; /* owned */
    size_t record_count;
    struct layout_record **by_dir; /* sorted; owned */
    struct text_table claims;      /* destination paths that earlier indexes have claimed */
    struct texts claim_texts;      /* of them */
    struct layout_listing listings[LAYOUT_LISTINGS];
    unsigned next_listing;
    int area[LAYOUT_ROOTS]; /* -1: none yet */
    char *cache_below;      /* --cache-dir as a path in the tree where it lies there; owned */
    char *user_root;        /* owned */
    char *inside_root;      /* a cache root inside the tree; owned */
    struct layout_used used;
    struct path_list kept; /* that the staging borrows until the commit */

    /* Results. */
    struct placed_index *placed; /* owned */
    size_t placed_count;
    size_t renamed;       /* directories that got another name or place */
    enum wp_layout where; /* IN_TREE, CACHE_DIR or USER_WIDE */
    char *where_root;     /* the cache root as the consumer sees it, or NULL; owned */
};

/* May nobody write to the tree at DIR_PATH, directory FD, while KIND and CACHE_DIR, NULL for none,
 * send all caches to a place outside it? Then the tree is only read, and the layout is CACHE_DIR.
 * 1, 0, or negative errno. */
int layout_is_apart(int fd, const char *dir_path, enum wp_layout kind, const char *cache_dir,
                    struct wp_error *err);

/* ---- confine.c: tells the caller's context, where it wants to know, that from now on the job
 * changes nothing but what lies beneath the N directories DIRS (NULL among them is passed over) and
 * the user-wide root of V's user. Completes first what killed runs left there, since they may have
 * worked elsewhere, too. POOL is the job's. */
int layout_confine(const struct wp_context *context, struct pool *pool, const struct verify *v,
                   const char *const *dirs, size_t n, struct wp_error *err);
/* Says what works where the tree at DIR cannot be written to. */
int layout_refuse_unwritable(int errnum, const char *dir, struct wp_error *err);
/* Fills L with O, whose members live as long as L. Clear it in any case. */
int layout_begin(struct layout *l, const struct layout_options *o, struct wp_error *err);
/* Adds a record (taken over, also on failure). */
int layout_add_record(struct layout *l, struct layout_record *record);
/* Adds a file to a record that is not added yet, if NAME is one of a cache: 1, 0 or -ENOMEM. */
int layout_add_file(struct layout_record *record, const char *name, bool valid);
void layout_record_clear(struct layout_record *record);
/* Sorts the files of R, so that layout_stem finds them. */
void layout_sort_files(struct layout_record *record);
/* The files of R that share F's stem, COUNT of them. */
struct layout_file *layout_stem(const struct layout_record *record, const struct layout_file *f,
                                size_t *count);

/* Path of the user-wide root; NULL on no memory. */
const char *layout_user_root(struct layout *l);
/* What the modes of cache directories have beside their own. */
mode_t layout_group_mode(const struct layout *l);
/* Number of the staging area of ROOT, which is made where there is none yet. */
int layout_area(struct layout *l, enum layout_root root, struct wp_error *err);

/* Puts all records where they belong. Nothing is visible before the commit. */
int layout_run(struct layout *l, struct wp_error *err);
/* After the commit: directories that are empty now. */
void layout_finish(struct layout *l);
/* After the commit: judges the placed indexes, on POOL, and counts those that were valid when
 * packed, and of them those that are not now. */
int layout_verify(struct layout *l, struct pool *pool, struct wp_verify_report *verify,
                  size_t *was_valid, size_t *lost, struct wp_error *err);
void layout_clear(struct layout *l);

/* ---- records.c, for the others */
struct layout_destination {
    enum layout_root root;
    char *path; /* below ROOT; owned */
};
/* Sorts the files of all records. 0 or -ENOMEM. */
int layout_sort_records(struct layout *l);
/* The records whose directory is called DIR, COUNT of them, in whatever root. */
struct layout_record **layout_records_at(const struct layout *l, const char *dir, size_t *count);
/* Has an index of F's name claimed D? 1, 0 or -ENOMEM. */
int layout_is_claimed(const struct layout *l, const struct layout_destination *d,
                      const struct layout_file *f);
int layout_add_claim(struct layout *l, const struct layout_destination *d,
                     const struct layout_file *f);
void layout_records_clear(struct layout *l);

/* ---- destinations.c, for layout.c */
/* Where R's indexes belong: N destinations, which the caller frees. */
int layout_destinations(struct layout *l, struct layout_record *record,
                        struct layout_destination **d, size_t *n, struct wp_error *err);
/* Adds those of SOURCE's hashed names in directory BELOW of ROOT. */
int layout_add_hashed(struct layout *l, struct layout_destination **d, size_t *n,
                      enum layout_root root, const char *below, const char *source,
                      struct wp_error *err);

/* ---- put.c, for layout.c */
/* Puts index F of R with its data files into D. MOVE: nobody else needs them where they are. */
int layout_put_index(struct layout *l, struct layout_record *record, const struct layout_file *f,
                     const struct layout_destination *d, bool move, struct wp_error *err);
/* D is where R lies already: it is made the user's own, where caches are to be, and what they could
 * not read of F and its data files. */
int layout_give_own(struct layout *l, const struct layout_record *record,
                    const struct layout_file *f, const struct layout_destination *d,
                    struct wp_error *err);

/* ---- remove.c, for the other two */
/* In the staged tree, another record's files may stand where these come. */
int layout_remove_stem(struct layout *l, const struct layout_destination *d,
                       const struct layout_file *f, struct wp_error *err);
/* Data files of an earlier build in the target which are not among the new ones: numbering starts
 * again after an edit, and an index that names one of them would load old code. */
int layout_remove_old_data(struct layout *l, const struct layout_record *record,
                           const struct layout_destination *d, int area,
                           const struct layout_file *index, struct wp_error *err);
/* Data files and directories that nothing needs any more. */
int layout_remove_leftovers(struct layout *l, struct wp_error *err);
/* Index F of R with its data files has gone elsewhere, or is LEFT_OUT, as another one of its name
 * has: removes its old names at the commit. */
int layout_remove_index(struct layout *l, struct layout_record *record, const struct layout_file *f,
                        bool left_out, struct wp_error *err);
void layout_listings_clear(struct layout *l);
