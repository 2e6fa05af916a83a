#pragma once
/* What the steps of sealing share. Private to lib/seal. */

#include "archive/format.h"
#include "commit/staging.h"
#include "trees/trees.h"
#include "warmpack.h"

/* What the seal has in DIR, staged: the manifest, and the caches that lie beside it. */
struct seal {
    const struct wp_context *context;
    const struct wp_seal_options *o;
    struct staging *staging; /* owned */
    struct entry *entries;   /* what was staged, in the order of the archive; owned */
    size_t entry_count;
    struct path_list earlier; /* "": the one that the new seal has, too; owned */
    struct wp_seal_result *result;
};

/* ---- writer.c */
/* The format that makes no archive: what would lie in the manifest's home goes to the staged tree
 * of S, everything else is read and forgotten. FORMAT is filled. */
struct seal_format {
    struct wp_format base;
    struct seal *s;
};
void seal_format_init(struct seal_format *format, struct seal *s);
/* Forgets and removes what was staged. */
void seal_forget(struct seal *s);

/* ---- earlier.c */
/* Refuses to replace an earlier manifest of DIR that is better than the new one: by which a restore
 * would make indexes valid that are none now. */
int seal_check_earlier(struct seal *s, struct wp_error *err);
/* Is what was staged in DIR already, and no other seal beside it? 1, 0 or negative errno. */
int seal_is_there(struct seal *s, struct wp_error *err);
/* Finds the seals that the new one replaces. */
int seal_find_earlier(struct seal *s, struct wp_error *err);
/* Removes them, once the new one is in place: whenever this stops, there is one. */
void seal_remove_earlier(struct seal *s);
