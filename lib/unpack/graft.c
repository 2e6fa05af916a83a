/* Unpacking the caches alone, onto a tree that came another way: keeps only those whose sources
 * have the content there that was compiled. */

#include <stdlib.h>

#include "base/cleanup.h"
#include "job.h"
#include "numba/caches.h"
#include "restore/graft.h"

/* Is the source of the valid index LINE the same in the target? KNOWN has those that have been
 * counted. */
static bool fits(struct unpack *unpack, bool *known, const struct manifest_index *line)
{
    bool same, usable;
    ptrdiff_t source = graft_source(unpack->graft, line->source, &same, &usable);

    if (source < 0 || known[source])
        return usable;
    known[source] = true;
    unpack->result->sources++;
    unpack->result->matched += same;
    if (!same)
        report(unpack->a->context, WP_DETAIL, unpack->manifest.entries[source].path,
               "is not the same here: its caches stay out");
    return usable;
}

static int begin(struct unpack *unpack, struct wp_error *err)
{
    struct graft_options g = {.context = unpack->a->context,
                              .o = &unpack->graft_options,
                              .m = &unpack->manifest,
                              .home = unpack->home,
                              .strip = unpack->o->strip_components,
                              .dir_path = unpack->dir_path,
                              .roots = unpack->roots,
                              .fd = unpack->target,
                              .apart = unpack->apart,
                              .staged_fd = unpack->apart ? -1 : staging_tree(unpack->staging, 0),
                              .pool = unpack->a->pool};

    unpack->graft_options =
        (struct wp_restore_options){.dir = unpack->dir,
                                    .layout = unpack->o->layout,
                                    .cache_dir = unpack->o->cache_dir,
                                    .user = unpack->o->user,
                                    .runtime_roots = unpack->o->runtime_roots,
                                    .restamp = unpack->o->restamp,
                                    .mtime = unpack->o->mtime,
                                    .group_writable = unpack->o->group_writable};
    return graft_begin(&unpack->graft, &g, err);
}

int unpack_graft(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_free_ bool *known = calloc(unpack->manifest.entry_count + 1, sizeof *known);
    int r = known ? begin(unpack, err) : error_nomem(err);

    for (size_t i = 0; i < unpack->count && r == 0; i++) {
        struct unpacked *item = unpack->items[i];
        const struct manifest_index *line =
            manifest_find_index(&unpack->manifest, unpack_archived(item));

        if (!item->skipped && caches_is_index(item->e.path) &&
            !(line && line->valid && fits(unpack, known, line)))
            r = unpack_remove(unpack, item, err);
    }
    if (r == 0)
        r = graft_check(unpack->graft, &unpack->result->left_out, err);
    for (size_t i = 0; i < unpack->count && r == 0; i++) {
        struct unpacked *item = unpack->items[i], *index;

        if (item->skipped || caches_is_index(item->e.path))
            continue;
        if (item->e.type == ENTRY_DIR) { /* it goes with what is taken out of it */
            item->skipped = true;
            continue;
        }
        if (unpack_index_of(unpack, item, &index) < 0)
            return error_nomem(err);
        if (!index || index->skipped)
            r = unpack_remove(unpack, item, err);
    }
    if (r == 0 && !unpack->result->matched)
        return error_set(err, 0, unpack->dir,
                         "none of the %zu sources that %s has caches of is in it, or is the same",
                         unpack->result->sources, unpack->a->name);
    return r;
}
