/* Packing, the end of the first step: all items are there; they are sorted and checked, and the
 * archive gets its ID. */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "numba/caches.h"

static int list_indexes(struct pack *p, struct wp_error *err)
{
    size_t n = 0;

    for (size_t i = 0; i < p->walk.count; i++)
        n += p->walk.items[i].entry.type == ENTRY_FILE &&
             caches_is_index(p->walk.items[i].entry.path);
    p->indexes = calloc(n ? n : 1, sizeof *p->indexes);
    if (!p->indexes)
        return error_nomem(err);
    for (size_t i = 0; i < p->walk.count; i++) {
        p->total += p->walk.items[i].entry.size;
        if (p->walk.items[i].entry.type == ENTRY_FILE &&
            caches_is_index(p->walk.items[i].entry.path))
            p->indexes[p->index_count++].item = i;
    }
    return 0;
}

/* --owner and --group. */
static int set_owners(struct pack *p, struct wp_error *err)
{
    const struct wp_owner *owners[2] = {&p->o->owner, &p->o->group};

    for (size_t i = 0; i < p->walk.count; i++) {
        struct entry *e = &p->walk.items[i].entry;
        char **names[2] = {&e->uname, &e->gname};

        if (owners[0]->set)
            e->uid = owners[0]->id;
        if (owners[1]->set)
            e->gid = owners[1]->id;
        for (int k = 0; k < 2; k++) {
            if (!owners[k]->set)
                continue;
            free(take_ptr(*names[k]));
            if (owners[k]->name && !p->o->numeric_owner && !(*names[k] = strdup(owners[k]->name)))
                return error_nomem(err);
        }
    }
    return 0;
}

static int compare_caches(const void *a, const void *b)
{
    return strcmp(((const struct manifest_cache *)a)->cache,
                  ((const struct manifest_cache *)b)->cache);
}

int pack_plan_end(struct pack *p, struct wp_error *err)
{
    int r = walk_finish(&p->walk, err);

    if (r == 0 && p->o->caches_only)
        r = pack_keep_caches(p, err);
    if (r == 0)
        r = pack_refuse_links(p, err);
    if (r == 0)
        r = set_owners(p, err);
    if (r == 0)
        r = pack_name_home(p, err);
    if (r == 0)
        r = list_indexes(p, err);
    if (p->manifest.cache_count)
        qsort(p->manifest.caches, p->manifest.cache_count, sizeof *p->manifest.caches,
              compare_caches);
    return r;
}
