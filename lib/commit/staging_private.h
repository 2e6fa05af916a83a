#pragma once
/* What the files of staging share. The way of a commit:
 *
 *   target.c        opens the target of an area, or makes it
 *   area.c          makes its staging directory, and the lock on that
 *   locks.c         the locks, and waiting for them
 *   plan.c          compares the staged trees with the targets and lists operations:
 *   plan_add.c      its operations, and the pairs that wait to be merged
 *   merge.c         name by name,
 *   remove.c        and what is to go
 *   check.c         finds what forbids them, with nothing touched
 *   dirs.c          what is set for directories, and walks through them
 *   acl.c           the default ACLs of directories that are there
 *   fresh.c         owners, modes and times of directories, before the renames
 *   journal.c       the list as text, whole or not there at all
 *   journal_read.c  and that text as a list again
 *   run.c           carries the operations out, or takes them back:
 *   move.c          those that move something
 *   recover.c       does the same for a process that died in between
 *
 * A staging directory `.warmpack-XXXXXX` (0700) holds
 *   lock        flock()ed while somebody uses the staging; the last thing removed
 *   new/        the staged tree; after an exchange it holds what was in the target
 *   old/N       what operation N moved out of the target
 *   journal     in the first area, from the moment the commit is decided until it is done
 *   journal.undo the same journal, once the commit is being taken back
 *   journal-at  in the other areas: the path of the first area's staging
 *
 * Whoever holds the lock of the first area's staging rules all areas of that staging. While
 * operations are carried out, the target directories themselves are flock()ed too, so that two
 * commits onto one target follow each other. */

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/own_names.h"
#include "base/path.h"
#include "staging.h"

#define STAGING_JOURNAL "journal"
#define STAGING_JOURNAL_TMP "journal.tmp"
#define STAGING_UNDO "journal.undo"
#define STAGING_JOURNAL_AT "journal-at"
enum { STAGING_MAX_AREAS = 64 };

/* A directory that was made so that the target exists. */
struct staging_made {
    int parent; /* O_PATH; owned */
    char *name; /* owned */
    dev_t dev;
    ino_t ino;
};

struct staging_named {
    struct staging_dir d;
    size_t seq; /* of two with the same path the later one holds */
};

struct staging_area {
    char *target;                      /* as typed, for messages; owned */
    const struct staging_owner *owner; /* of directories that are made; NULL: who calls */
    char *physical;                    /* absolute, without symlinks; owned */
    char name[STAGING_NAME_SIZE];      /* of the staging directory; "" while there is none */
    dev_t dev;                         /* of the target and everything staged for it */
    ino_t ino;                         /* of the target */
    int target_fd, stage_fd, lock_fd, new_fd, old_fd; /* -1: not open */
    /* The target's time before the staging directory was made, and after: as long as it is the
     * latter, nobody else has changed the target. */
    struct timespec time_before, time_staged;
    mode_t umask;        /* what is taken off here: by the umask, or by a default ACL instead */
    mode_t dir_mode;     /* what mkdir(0755) gives here: umask, setgid and default ACLs */
    mode_t own_dir_mode; /* of a new directory of warmpack's own */
    bool gives_own;      /* what is made here has the process's effective user and group */
    bool counts_dirs;    /* st_nlink of a directory staged here is 2 and its subdirectories */
    bool target_locked;  /* target_fd is flock()ed by us */
    bool stranger;       /* another program than a run of ours has locked the target */
    struct staging_made *made;
    size_t made_count;
    struct staging_named *dirs; /* sorted by path when the commit begins */
    size_t dir_count;
    struct path_list remove; /* sorted when the commit begins */
};

struct staging_last {
    unsigned area;
    char *path; /* owned */
};

struct staging {
    struct staging_options o;
    struct staging_area *areas;
    int area_count;
    struct staging_last *last;
    size_t last_count;
    bool committed;
    bool abandoned; /* old data is left in the staging directories: they must stay */
};

enum staging_kind {
    OP_MODE,   /* a directory of the target gets write permission for the time of the commit */
    OP_REMOVE, /* target PATH moves to old/N */
    OP_PUT,    /* new/PATH moves to target PATH; what is there moves to new/PATH or old/N */
    OP_DIR     /* a directory of the target gets its final attributes */
};

struct staging_op {
    enum staging_kind kind;
    unsigned area;
    char *path;    /* in the area; "" is the target itself (OP_MODE, OP_DIR); owned */
    bool replaces; /* PUT: something was there when the commit was planned */
    ino_t ino;     /* PUT: of the staged thing, to tell it from what it replaced; MODE: of the
                      directory */
    mode_t mode;   /* MODE, DIR */
    mode_t before; /* MODE: to go back to */
    uid_t uid;     /* DIR: -1 leaves it */
    gid_t gid;
    struct timespec mtime; /* DIR: tv_nsec UTIME_OMIT leaves it */
    /* Only while planning: */
    size_t order, seq; /* puts with a higher order come later */
    bool dir;          /* PUT: the staged thing is a directory */
    dev_t dir_dev;     /* PUT: the directory it goes into */
    ino_t dir_ino;
};

struct staging_plan {
    struct staging_op *ops; /* owned, in the order in which they are carried out */
    size_t count;
    bool keep_old;
};

/* ---- target.c */

/* Opens the directory TARGET, and makes what is missing of it, which staging_area_undo takes back.
 */
int staging_area_open_target(struct staging_area *a, const char *target, struct wp_error *err);
/* error_set with the path of PATH in the target. */
int staging_error(struct wp_error *err, int errnum, const struct staging_area *a, const char *path,
                  const char *text);

/* ---- area.c */

void staging_area_init(struct staging_area *a);
/* Makes the staging directory with lock, new/ and old/. */
int staging_area_make(struct staging_area *a, struct wp_error *err);
enum staging_adoption {
    STAGING_LOCK, /* -EWOULDBLOCK: it is in use */
    STAGING_HELD, /* without its lock: as an area of a journal */
    STAGING_LOOK  /* nothing will be done with it: it may be the directory's owner's, too */
};
/* Opens an existing staging directory NAME. A must have its target open. -ENOENT: not there, or not
 * one that this user has made. */
int staging_area_adopt(struct staging_area *a, const char *name, enum staging_adoption how);
/* Removes the staging directory. The lock goes last: until then others see it as ours. */
int staging_area_remove(struct staging_area *a);
/* Likewise where nothing is committed: the target gets the time back that it had, or goes with the
 * directories above it that were made for it and are empty. */
void staging_area_undo(struct staging_area *a);
/* Closes and frees all. */
void staging_area_clear(struct staging_area *a);

/* ---- locks.c */

/* The mode that new directory PATH of A gets where none was set. */
mode_t staging_dir_mode(const struct staging_area *a, const char *path);

/* Takes the flock of each target, in an order that all processes share. Where the filesystem has
 * no such locks, goes on without, and so where a stranger holds it: whoever may read a target can,
 * but none of us without a staging there. -EINTR; -EBUSY after ten minutes. */
int staging_lock_targets(struct staging_area *areas, size_t n, const struct staging_options *o,
                         struct wp_error *err);
void staging_unlock_targets(struct staging_area *areas, size_t n);
/* One short wait of a loop that waits for another process; WAITED counts. */
int staging_wait(const struct staging_area *a, const struct staging_options *o, unsigned *waited,
                 struct wp_error *err);

/* ---- plan.c, dirs.c */

int staging_plan_build(struct staging *s, struct staging_plan *plan, struct wp_error *err);
void staging_plan_clear(struct staging_plan *plan);
/* Appends an operation with a copy of PATH. */
struct staging_op *staging_plan_add(struct staging_plan *plan, enum staging_kind kind,
                                    unsigned area, const char *path);
/* What the caller set for PATH, or NULL. */
void staging_dirs_sort(struct staging_area *a);
const struct staging_dir *staging_dir_find(const struct staging_area *a, const char *path);
/* Checks that nothing in the tree NAME of directory AT is a mount point; 0, -EBUSY, ... */
int staging_find_mounts(int at, const char *name);
/* Calls VISIT with NAME of AT and with all that is in it, each by its name in a directory and its
 * path from the first AT, those above first. It says whether to go into that: 1, 0 or negative
 * errno, which ends it. */
typedef int staging_visitor(void *ctx, int at, const char *name, const char *path);
int staging_visit(int at, const char *name, staging_visitor *visit, void *ctx);
/* Gives NAME of AT, staged elsewhere, the group that it would have got where it goes, in a setgid
 * directory of group GID. As far as that is allowed. */
int staging_dirs_inherit(int at, const char *name, gid_t gid);

/* ---- acl.c: gives PATH of AREA, staged in directory AT, the default ACL of the directory TARGET
 * that it goes into, or none if that has none, as far as that is allowed. */
int staging_acl_inherit(struct staging *s, int area, const char *path, int at, int target);
/* The mode that PATH of AREA was packed with; 0: it has the one that it is to have. */
mode_t staging_packed_mode(const struct staging *s, int area, const char *path);
/* Sets the permissions that directory PATH will have, if the caller has set any. */
void staging_dir_set_mode(struct staging_area *a, const char *path, mode_t mode);

/* ---- fresh.c */

/* Gives the directories of a staged subtree, PATH included, their attributes. Where the top must
 * stay writable until it has been renamed, *DEFER is set. */
int staging_fresh_prepare(const struct staging_area *a, const char *path, bool *defer,
                          struct wp_error *err);

/* ---- journal.c */

#define STAGING_JOURNAL_HEADER "warmpack-journal 1 "
enum { STAGING_JOURNAL_LARGEST = 1 << 30 }; /* bytes: more is no journal */

/* Makes journal-at in A, which is not the first area. */
int staging_journal_point(const struct staging_area *first, const struct staging_area *a,
                          struct wp_error *err);
int staging_journal_write(const struct staging_area *areas, size_t n,
                          const struct staging_plan *plan, struct wp_error *err);

/* ---- journal_read.c */

/* The contents of journal-at, NUL-terminated: 0, -ENOENT or -ENOMEM. */
int staging_journal_master(const struct staging_area *a, struct buf *path);

struct staging_journal {
    struct staging_plan plan;
    struct staging_journal_area {
        char *path; /* physical, of the target; owned */
        char name[STAGING_NAME_SIZE];
    } * areas; /* owned */
    size_t area_count;
    bool undo; /* the commit was being taken back */
};
/* 0; -ENOENT: there is no journal, or none that is whole. */
int staging_journal_read(const struct staging_area *a, struct staging_journal *j);
void staging_journal_clear(struct staging_journal *j);

/* ---- run.c */

/* Carries out what is not done yet. On an error, takes all of it back; *STUCK is set where that
 * fails, too, and the staging directories must stay. */
int staging_run(struct staging_area *areas, size_t n, const struct staging_plan *plan, bool undo,
                const struct wp_context *context, bool *stuck, struct wp_error *err);
/* The journal goes: the commit is done, or taken back. */
int staging_run_end(struct staging_area *areas, bool sync, struct wp_error *err);
/* Directories that held a staging directory get their exact mode and time, now that it is gone. */
void staging_run_finish_dirs(struct staging_area *areas, size_t n, const struct staging_plan *plan,
                             const struct wp_context *context);

/* ---- leftovers.c: as staging_recover_in, for the directories above DIR, a physical path alone. */
int staging_recover_above(const char *dir, const struct wp_context *context, struct wp_error *err);

/* ---- recover.c */

/* Opens the existing directory PATH, physical, as a target which messages call SHOWN; that of one
 * of S's own areas once more. 0 or negative errno. */
int staging_open_existing(const struct staging *s, const char *path, const char *shown,
                          struct staging_area *a);
/* Completes or removes what dead runs left in A's target. 1: another process is renaming there, in
 * WITHIN, a physical path, or what that lies in (NULL: anywhere); 0; negative errno. */
int staging_recover(const struct staging *s, struct staging_area *a, const char *within,
                    struct wp_error *err);
/* Does another staging in A's target have a journal? With the targets locked, that is a commit
 * which was cut short. 1, 0 or negative errno. */
int staging_pending(const struct staging *s, const struct staging_area *a);
/* Likewise one that changes something in DIR, a physical path, or what DIR lies in? */
int staging_changes(const struct staging *s, const struct staging_area *a, const char *dir);

/* ---- For tests: called before each step with its name. A value below 0 makes the step fail. */
extern int (*staging_step_hook)(const char *step);
/* The filesystem cannot exchange, or rename without replacing. */
extern bool staging_plain_renames;
static inline int staging_step(const char *step)
{
    return staging_step_hook ? staging_step_hook(step) : 0;
}
