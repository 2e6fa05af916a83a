#pragma once
/* What the files that plan a commit share. */

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

struct planner {
    struct staging *s;
    struct staging_plan *plan;
    struct wp_error *err;
    struct work *queue; /* owned */
    size_t next, count, room;
};

/* What is in a target. */
struct found {
    mode_t mode;
    uid_t uid;
    dev_t dev;
    ino_t ino;
    bool mount; /* something is mounted here */
};

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
