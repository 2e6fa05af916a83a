#pragma once
/* Making files in a staged tree (which only this process touches, and which holds no symlinks
 * until the last), with their final owner, mode and time. Thread-safe for different paths. */

#include "base/entry.h"
#include "base/error.h"

struct create_policy {
    bool owner;         /* chown to the entry's owner (root without --no-same-owner) */
    bool numeric_owner; /* by number alone; else names first, as GNU tar */
    bool permissions;   /* -p: mode as is, setuid too */
    bool superuser;     /* sticky and setgid bits of directories are kept, as tar does for root */
    mode_t umask;       /* taken off where not `permissions` */
    const struct timespec *mtime; /* of all; NULL: the entry's own; borrowed */
    /* What a new file of the tree has by itself, so that it need not be given. */
    bool knows_owner; /* it is known whose it is: */
    uid_t uid;
    gid_t gid;
    mode_t granted; /* of 0777, what a mode asked for when it is made does not lose; 0: not known */
};

/* Owner for E under the policy; (uid_t)-1 where it is not to be set. Caches lookups; any thread. */
void create_owner(const struct create_policy *p, const struct entry *e, uid_t *uid, gid_t *gid);
/* What to say of chown(2) that failed with E. */
const char *create_owner_error(int e);
mode_t create_mode(const struct create_policy *p, const struct entry *e);
struct timespec create_mtime(const struct create_policy *p, const struct entry *e);

/* Opens a new file E->path for writing (parents exist). */
int create_open(int tree, const struct entry *e, struct wp_error *err);
/* Sets size (a trailing hole), owner, mode, time; closes FD always. */
int create_close(int fd, const struct create_policy *p, const struct entry *e,
                 struct wp_error *err);
/* The whole of a small file in one go. */
int create_file(int tree, const struct create_policy *p, const struct entry *e, const void *data,
                size_t n, struct wp_error *err);
int create_symlink(int tree, const struct create_policy *p, const struct entry *e,
                   struct wp_error *err);
int create_hardlink(int tree, const struct entry *e, struct wp_error *err);
/* mkdir -p with MODE and what its owner needs to fill it; the final mode is staging's. */
int create_dir(int tree, const char *path, mode_t mode, struct wp_error *err);
