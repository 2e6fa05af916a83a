#pragma once
/* --owner=NAME[:UID] and --group=NAME[:GID], as GNU tar understands them. */

#include "args.h"
#include "warmpack.h"

struct owners {
    struct wp_owner owner, group;
    char *owner_name, *group_name; /* the memory of their names; owned */
};

/* Says what is wrong; returns 0 or the exit status. Clear OUT in any case. */
int owners_take(struct owners *out, const struct args *a);
void owners_clear(struct owners *o);
