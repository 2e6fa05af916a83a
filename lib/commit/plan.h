#pragma once
/* What the files that plan a commit share. */

#include <stdlib.h>

#include "staging_private.h"

/* Two directories to be merged. */
struct work {
    unsigned area;
    char *path;     /* of the staged one; owned */
    unsigned under; /* area whose tree is the other side */
    bool staged;    /* the other side is UNDER's staged tree, not its target */
    char *other;    /* its path there; owned */
    size_t order;   /* of the put that brings the other side */
};

/* While the operations are found. */
struct planner {
    struct staging *s;
    struct staging_plan *plan;
    struct wp_error *err;
    mode_t umask;       /* of the process */
    struct work *queue; /* owned */
    size_t next, count;
};

/* The pair being merged, opened. Nothing here is owned. */
struct pair {
    const struct work *w;
    struct staging_area *a;
    int new_fd, other_fd;
    struct stat other; /* the other directory */
    bool writable;     /* asked already */
};

/* What is in a target. */
struct found {
    mode_t mode;
    uid_t uid;
    dev_t dev;
    ino_t ino;
    bool mount; /* something is mounted here */
};

/* ---- plan_add.c */

/* Puts a pair of directories at the end of the queue, with copies of its texts. */
int plan_later(struct planner *p, struct work w);
static inline void work_clear(struct work *w)
{
    free(w->path);
    free(w->other);
}
/* Adds that directory PATH gets MODE and, unless NAMED is NULL, what else that says. */
int plan_dir(struct planner *p, unsigned area, const char *path, mode_t mode,
             const struct staging_dir *named);

/* ---- merge.c */

/* Adds the operations that bring NAME of the pair's staged directory, or queues its directory. */
int plan_name(struct planner *p, struct pair *d, const char *name);
/* NAMED is to be set for PATH, a directory that exists as MODE or that an earlier area brings. */
int plan_existing_dir(struct planner *p, unsigned area, const char *path,
                      const struct staging_dir *named, mode_t mode);

/* ---- remove.c */

/* Adds the removals that the caller has asked for in AREA, which it sorts. */
int plan_removes(struct planner *p, unsigned area);
/* Is a directory above PATH to be removed, or PATH itself? The removals are sorted. 1, 0 or
 * -ENOMEM. */
int plan_is_removed(const struct staging_area *a, const char *path, bool itself);

/* ---- check.c */

/* lstat, and whether it is a mount point: two mounts of one filesystem have the same device. */
int plan_look(int at, const char *name, struct found *f);
/* Names will change in directory FD, which is PATH: may they? Where only its mode forbids it to its
 * owner, an operation is added that allows it for a while. RESTORE: it is still there afterwards.
 */
int plan_need_write(struct planner *p, unsigned area, const char *path, int fd, bool restore);
/* PATH, found as F in directory FD (DIR), will be moved away: may it? */
int plan_check_victim(struct planner *p, unsigned area, const char *path, int fd, const char *name,
                      const struct found *f, const struct stat *dir);
bool plan_is_empty(int at, const char *name);
