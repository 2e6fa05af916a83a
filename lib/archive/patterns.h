#pragma once
/* The members of an archive that a user names: by pattern, or by a name that stands for what lies
 * beneath it, too. */

#include <stdbool.h>
#include <stddef.h>

#include "warmpack.h"

struct patterns {
    const char *const *given; /* NULL: everything is meant; borrowed */
    char **clean;             /* as the names of an archive are; owned */
    bool *used;               /* which of them matched something; owned */
    size_t count;
};

/* 0 or -ENOMEM. */
int patterns_begin(struct patterns *p, const char *const *given);
/* Is PATH meant? Notes which patterns say so. */
bool patterns_match(const struct patterns *p, const char *path);
/* WP_FAILED for each pattern that matched nothing. */
void patterns_tell_unused(const struct patterns *p, const struct wp_context *context);
void patterns_end(struct patterns *p);
