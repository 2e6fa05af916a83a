#pragma once
/* What the steps of sealing share. Private to lib/seal. */

#include "commit/staging.h"
#include "pack/sink.h"
#include "trees/trees.h"
#include "warmpack.h"

/* What the seal has in DIR, staged: the manifest, and the caches that lie beside it. */
struct seal {
    const struct wp_context *context;
    const struct wp_seal_options *o;
    struct staging *staging; /* owned */
    struct entry *entries;   /* what was staged, in the order of the archive; owned */
    size_t entry_count;
    bool was_signed;          /* by a manifest that gives way */
    struct path_list earlier; /* "": the one that the new seal has, too; owned */
    struct wp_seal_result *result;
};

/* ---- sink.c */
/* What would lie in the manifest's home goes to the staged tree of SEAL; everything else is read
 * and forgotten. */
struct seal_sink {
    struct pack_sink base;
    struct seal *seal;
    struct entry now; /* of the file that is being written; owned */
    int fd;           /* of that file, or -1 */
};
void seal_sink_init(struct seal_sink *to, struct seal *s);
void seal_sink_clear(struct seal_sink *to);
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
