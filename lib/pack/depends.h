#pragma once
/* Which files of what is packed the code of its indexes can come from. Private to lib/pack and
 * lib/amend. */

#include "job.h"
#include "judge/came_from.h"
#include "numba/depends.h"

/* Zero-initialise; free with pack_depends_clear. */
struct pack_depends {
    struct depends *sets; /* numbers of files are those in ITEMS; owned */
    size_t *items;        /* numbers in the walk, of all that is no directory and no cache; owned */
    size_t count;
    /* The sources that have indexes, as numbers in ITEMS, in the order of SETS->of_source; owned */
    size_t *sources;
    size_t source_count;
    const char **paths;    /* of ITEMS; owned */
    const char **targets;  /* of those that are symbolic links, else NULL; owned */
    struct came_from from; /* what is wrong with the names in indexes, by numbers in the walk */
};

/* Reads the caches of P's walk, which is sorted, and the sources that they lead to, but for those
 * whose imports P has kept: these are taken from it. -EAGAIN where one of them is not what the walk
 * knows: it changed since. */
int pack_depends_find(struct pack_depends *out, const struct pack *p, struct wp_error *err);
/* Before walk_drop with the same arguments, which leaves all files of the sets: makes D one of the
 * walk that remains. False: it is none, since caches go, or are said to be wrong. */
bool pack_depends_renumber(struct pack_depends *d, const struct walk *w,
                           bool (*goes)(const struct walk_item *item, void *ctx), void *ctx);
void pack_depends_clear(struct pack_depends *d);
void pack_depends_free(struct pack_depends **d); /* *D becomes NULL */

/* The set of the source that is number ITEM in the walk; SIZE_MAX: no index has it. */
size_t pack_depends_of(const struct pack_depends *d, size_t item);

/* Writes them into P's manifest, whose indexes are judged, and judges by times those that are valid
 * so far. */
int pack_depends_record(struct pack *p, const struct pack_depends *found,
                        struct wp_verify_report *verify, struct wp_error *err);
