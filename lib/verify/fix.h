#pragma once
/* What the steps of `verify --fix` share. Private to lib/verify. */

#include <stdbool.h>

#include "base/error.h"
#include "warmpack.h"

struct fix {
    const struct wp_context *context;
    const char *dir;
    int fd; /* of it */
    const struct wp_verify_options *o;
    bool dry_run;
    bool outrun; /* something changed while it was looked at */
    struct wp_fix_result *done;
};

/* Opens the directory of PATH, a name of a report: beneath the tree, or absolute. *NAME points at
 * its last component. */
int fix_open_parent(const struct fix *f, const char *path, const char **name);

/* ---- fix_harm.c */
struct harmful;

/* Files that can only do harm, and how they were when they were found. Zeros: none. */
struct fix_harm {
    struct harmful *list; /* owned */
    size_t count;
};
/* Takes down what FOUND says is to go. */
int fix_find_harm(struct fix *f, const struct wp_verify_report *found, struct fix_harm *harm,
                  struct wp_error *err);
/* Removes what FOUND, which came later, says as well, unless it has changed in between. */
int fix_remove_harm(struct fix *f, const struct wp_verify_report *found,
                    const struct fix_harm *harm, struct wp_error *err);
void fix_harm_clear(struct fix_harm *harm);
