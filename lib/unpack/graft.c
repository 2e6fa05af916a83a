/* Unpacking the caches alone, onto a tree that came another way: keeps only those whose sources
 * have the content there that was compiled. */

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "numba/caches.h"
#include "numba/index.h"
#include "restore/graft.h"

/* Is the source of the valid index LINE the same in the target? KNOWN has those that have been
 * counted. */
static bool fits(struct unpack *u, bool *known, const struct manifest_index *line)
{
    ptrdiff_t source = line->source ? graft_source(u->graft, line->source) : -1;
    bool same = source >= 0 && graft_is_same(u->graft, (size_t)source);
    bool usable = source >= 0 && graft_is_usable(u->graft, (size_t)source);

    if (source < 0 || known[source])
        return usable;
    known[source] = true;
    u->result->sources++;
    u->result->matched += same;
    if (!same)
        report(u->a->context, WP_DETAIL, u->manifest.entries[source].path,
               "is not the same here: its caches stay out");
    return usable;
}

static const char *archived_path(const struct unpacked *item)
{
    return item->archived ? item->archived : item->e.path;
}

static int begin(struct unpack *u, struct wp_error *err)
{
    struct graft_options g = {.context = u->a->context,
                              .o = &u->graft_options,
                              .m = &u->manifest,
                              .home = u->home,
                              .strip = u->o->strip_components,
                              .dir_path = u->dir_path,
                              .roots = u->roots,
                              .fd = u->target,
                              .apart = u->apart,
                              .staged_fd = u->apart ? -1 : staging_tree(u->staging, 0),
                              .pool = u->a->pool};

    u->graft_options = (struct wp_restore_options){.dir = u->dir,
                                                   .layout = u->o->layout,
                                                   .cache_dir = u->o->cache_dir,
                                                   .user = u->o->user,
                                                   .runtime_roots = u->o->runtime_roots,
                                                   .restamp = u->o->restamp};
    return graft_begin(&u->graft, &g, err);
}

int unpack_graft(struct unpack *u, struct wp_error *err)
{
    _cleanup_free_ bool *known = calloc(u->manifest.entry_count + 1, sizeof *known);
    int r = known ? begin(u, err) : error_nomem(err);

    for (size_t i = 0; i < u->count && r == 0; i++) {
        struct unpacked *item = u->items[i];
        const struct manifest_index *line = manifest_find_index(&u->manifest, archived_path(item));

        if (!item->skipped && caches_is_index(item->e.path) &&
            !(line && line->valid && fits(u, known, line)))
            r = unpack_remove(u, item, err);
    }
    if (r == 0)
        r = graft_check(u->graft, err);
    for (size_t i = 0; i < u->count && r == 0; i++) {
        struct unpacked *item = u->items[i], *index;

        if (item->skipped || caches_is_index(item->e.path))
            continue;
        if (item->e.type == ENTRY_DIR) { /* it goes with what is taken out of it */
            item->skipped = true;
            continue;
        }
        if (unpack_index_of(u, item, &index) < 0)
            return error_nomem(err);
        if (!index || index->skipped)
            r = unpack_remove(u, item, err);
    }
    if (r == 0)
        u->result->left_out = graft_left_out(u->graft);
    if (r == 0 && !u->result->matched)
        return error_set(err, 0, u->dir,
                         "none of the %zu sources that %s has caches of is in it, or is the same",
                         u->result->sources, u->a->name);
    return r;
}
