#pragma once
/* Relocating virtual environments: for repairing, and for a tree that is being unpacked. */

#include <stdbool.h>
#include <stddef.h>

#include "trees/trees.h"

struct repair;
struct restore;

struct relocation {
    const struct wp_context *context;
    int fd; /* of the tree, or of the one that it is staged in */
    const struct tree_manifest *t;
    const char *now; /* the absolute path that the tree will have for Python */
    bool always;     /* also where no pyvenv.cfg says that it is an environment */
    bool dry_run;
    bool packed_only;        /* of old paths, only those that it had when it was packed */
    struct restore *restore; /* NULL: what is staged may change at any time */
    struct repair *repair;
    size_t count;              /* of files that were rewritten */
    const struct entry *asked; /* by relocation_knows, about the file at: */
    const char *asked_path;
};

/* Is the file at PATH in the tree what relocating makes of entry E? 1, 0 or -ENOMEM. */
int relocation_knows(struct relocation *r, const struct entry *e, const char *path);
/* Rewrites what is to be. 0; -EAGAIN as restore_may_change; negative errno. */
int relocation_run(struct relocation *r, struct wp_error *err);
