#pragma once
/* Walking trees into a list of entries, sorted bytewise by path. Symlinks are not followed but
 * with `follow`; loops are then found by device and inode. */

#include <sys/stat.h>

#include "base/entry.h"
#include "base/error.h"
#include "base/path.h"
#include "names.h"

struct pool;

struct walk_item {
    struct entry entry; /* the first member, for path_compare */
    unsigned root;      /* index of the root that its name is relative to */
    char *name;         /* path relative to that root's descriptor, NULL: entry.path */
    dev_t dev;
    ino_t ino;
    struct timespec ctime; /* to notice a change under the reader */
    bool broken;           /* for the packer: a data file that is truncated or malformed */
    bool svml;             /* likewise: one whose code calls Intel's SVML library */
    bool linked;           /* a file that may have other names in the walk */
    bool follow;           /* its name leads through symlinks */
    bool gone;      /* it is not there any more; after walk_add, for the packer alone to set */
    size_t spooled; /* for the packer: number + 1 in the spool of another archive, where it
                       lies in no tree; else 0 */
};

struct walk_options {
    const char *const *exclude; /* NULL-ended patterns, as GNU tar's --exclude: not anchored,
                                   wildcards match a slash, a matched directory is not entered */
    bool follow;
    bool numeric_owner; /* leave uname and gname NULL */
    bool names_alone;   /* of what a directory tells the type of, nothing else is looked at; hard
                           links are not told from files then. Not with `follow` */
    dev_t skip_dev;     /* the output archive, never packed into itself; skip_ino 0: none */
    ino_t skip_ino;
    struct pool
        *pool; /* of the calling thread, to list directories on; NULL: on this thread alone */
    const struct wp_context *context; /* called by this thread alone */
};

struct walk {
    struct walk_item *items; /* owned */
    size_t count, room;
    int *root_fds;     /* owned: directory descriptors */
    char **root_names; /* owned: as given, for messages */
    unsigned root_count;
    struct names names;      /* of users and groups */
    struct path_list staged; /* directories with staging in them, as a user would type them */
    bool copies;             /* further names of one inode are files of their own, not hard links */
};

/* Frees the texts of I. */
void walk_item_clear(struct walk_item *i);

/* A directory that members are relative to; its index, or negative errno. NULL: ".". */
int walk_add_root(struct walk *w, const char *dir, struct wp_error *err);
/* Walks ROOT's member PATH under archive name AS (NULL: path_clean(PATH); "": the members of a
 * directory stand at the top). Sockets, devices and FIFOs are skipped with a warning; what is ours
 * (base/own_names.h), without one. An unreadable file or directory is an error, as is a missing
 * PATH. Where the way to PATH leads through a symlink, "..", or from "/", which no one should
 * follow again beneath a descriptor, its directory becomes a further root, with its path for a
 * name. */
int walk_add(struct walk *w, unsigned root, const char *path, const char *as,
             const struct walk_options *o, struct wp_error *err);
/* Sorts, drops items named twice (the last one added stays), and turns further names of one inode
 * into hard links to the first. Call once, at the end. */
int walk_finish(struct walk *w, struct wp_error *err);
/* Removes the items from number FROM on of which GOES says so, with its CTX. */
void walk_drop(struct walk *w, size_t from, bool (*goes)(const struct walk_item *item, void *ctx),
               void *ctx);
/* After walk_finish: the item with archive path PATH, or NULL. */
struct walk_item *walk_find(const struct walk *w, const char *path);
/* Is the directory FD one of the walked ones? */
bool walk_has_dir(const struct walk *w, int fd);
/* Opens what an item names as openat(2) does: beneath its root, and through symlinks only with
 * `follow`. A descriptor or a negative errno. */
int walk_open(const struct walk *w, const struct walk_item *i, int flags);
void walk_free(struct walk *w);

/* Does PATH match one of the patterns as --exclude does? Shared with extraction. */
bool walk_excluded(const char *path, const char *const *patterns);
