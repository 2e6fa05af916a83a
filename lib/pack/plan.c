/* Packing, first step: decides what goes into the archive, and under which name. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "depends.h"
#include "job.h"
#include "numba/caches.h"
#include "numba/index.h"

/* Is it what Numba leaves when it dies while saving, or a lock of numba-cache-lock? */
static bool is_temporary(const struct walk_item *item, void *ctx)
{
    const char *path = item->entry.path;

    (void)ctx;
    return item->entry.type == ENTRY_FILE &&
           (index_is_temporary(path_base(path)) || path_has_suffix(path, ".nbi.lock"));
}

static bool is_cache(const struct walk_item *item, void *ctx)
{
    (void)ctx;
    return item->entry.type != ENTRY_DIR && caches_is_part(item->entry.path);
}

/* Numba follows a link at a cache directory's place; who unpacks gets the link alone. */
static void warn_of_linked_caches(const struct pack *p)
{
    for (size_t i = 0; i < p->walk.count; i++) {
        const struct entry *e = &p->walk.items[i].entry;

        if (e->type == ENTRY_SYMLINK && strcmp(path_base(e->path), "__pycache__") == 0)
            report(p->context, WP_WARNING, e->path,
                   "is a symbolic link: Numba's caches behind it are not packed as this "
                   "directory's (--dereference packs what it leads to)");
    }
}

/* Walks what is to be packed, and learns the names of its cache directories. */
static int plan_members(struct pack *p, struct pack_names *names, struct wp_error *err)
{
    _cleanup_free_ size_t *ends = calloc(p->o->member_count, sizeof *ends);
    int r = ends ? pack_walk_members(p, ends, err) : error_nomem(err);

    if (r == 0) /* before anything else moves the items */
        r = pack_name_sources(p, names, ends, err);
    if (r == 0 && p->o->format->home == FORMAT_HOME_EGG)
        r = pack_egg(p, err);
    if (r < 0)
        return r; /* the walk may have ended among items that have no path yet */
    walk_drop(&p->walk, 0, is_temporary, NULL);
    if (p->o->fresh_caches)
        walk_drop(&p->walk, 0, is_cache, NULL);
    warn_of_linked_caches(p);
    return 0;
}

/* ---- The end: all items are there ------------------------------------------------------- */

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
    array_sort(p->manifest.caches, p->manifest.cache_count, path_compare);
    return r;
}

/* ---- The planner of create -------------------------------------------------------------- */

int pack_plan(struct pack *p, void *ctx, struct wp_error *err)
{
    struct pack_names names = {0};
    int r;

    (void)ctx;
    p->walk = (struct walk){.copies = p->o->format->no_hardlinks};
    r = caches_new(&names.dirs, err);
    if (r == 0)
        r = caches_new(&names.zipped, err);
    if (r == 0)
        r = plan_members(p, &names, err);
    if (r == 0)
        r = pack_record_roots(p, err);
    if (r == 0)
        r = pack_home(p, err);
    if (r == 0 && p->o->format->home == FORMAT_HOME_WHEEL)
        r = pack_uninstalled_wheel(p, err);
    if (r == 0 && p->o->format->home == FORMAT_HOME_WHEEL)
        r = pack_wheel(p, err);
    if (r == 0)
        r = pack_find_caches(p, &names, err);
    if (r == 0 && p->o->with_locator)
        r = pack_add_locator(p, err);
    caches_free(names.dirs);
    caches_free(names.zipped);
    return r < 0 ? r : pack_plan_end(p, err);
}

void pack_clear(struct pack *p)
{
    pack_imports_clear(p);
    pack_depends_free(&p->found);
    for (size_t i = 0; i < p->index_count; i++)
        buf_free(&p->indexes[i].text);
    for (size_t i = 0; i < p->made_count; i++) {
        entry_clear(&p->made[i].entry);
        buf_free(&p->made[i].text);
    }
    free(p->made);
    free(p->indexes);
    free(p->home);
    free(p->header_times);
    manifest_clear(&p->manifest);
    walk_free(&p->walk);
    *p = (struct pack){0};
}
