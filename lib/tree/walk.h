#pragma once
/* Walking trees into a list of entries, sorted bytewise by path. Symlinks are not followed but
 * with `follow`; loops are then found by device and inode. */

#include <sys/stat.h>

#include "base/error.h"
#include "entry.h"

struct walk_item {
    struct entry entry;
    unsigned root; /* index of the root it was found under */
    char *name;    /* path relative to that root's descriptor, NULL: entry.path */
    dev_t dev;
    ino_t ino;
    struct timespec ctime; /* to notice a change under the reader */
};

struct walk_options {
    const char *const *exclude; /* NULL-ended patterns, as GNU tar's --exclude: not anchored,
                                   wildcards match a slash, a matched directory is not entered */
    bool follow;
    bool numeric_owner; /* leave uname and gname NULL */
    dev_t skip_dev;     /* the output archive, never packed into itself; skip_ino 0: none */
    ino_t skip_ino;
    const struct wp_report *report;
    const volatile sig_atomic_t *interrupted;
};

struct walk {
    struct walk_item *items; /* owned */
    size_t count, room;
    int *root_fds;     /* owned: directory descriptors */
    char **root_names; /* owned: as given, for messages */
    unsigned root_count;
    void *names; /* uid and gid name cache */
    void *links; /* (dev, ino) of files with several names */
};

void walk_init(struct walk *w);
/* A directory that members are relative to; its index, or negative errno. NULL: ".". */
int walk_add_root(struct walk *w, const char *dir, struct wp_error *err);
/* Walks ROOT's member PATH under archive name AS (NULL: path_clean(PATH); "": the members of a
 * directory stand at the top). Sockets are skipped with a warning; devices and FIFOs too.
 * Directories named .warmpack, .warmpack-XXXXXX (manifests, staging) are left out. An unreadable
 * file or directory is an error, as is a missing PATH. */
int walk_add(struct walk *w, unsigned root, const char *path, const char *as,
             const struct walk_options *o, struct wp_error *err);
/* Sorts, drops items named twice, and turns further names of one inode into hard links to the
 * first. Call once, at the end. */
int walk_finish(struct walk *w, struct wp_error *err);
/* After walk_finish: the item with archive path PATH, or NULL. */
struct walk_item *walk_find(const struct walk *w, const char *path);
void walk_free(struct walk *w);

/* Does PATH match one of the patterns as --exclude does? Shared with extraction. */
bool walk_excluded(const char *path, const char *const *patterns);
