/* What is compared with what: files by their names, caches by the source that they belong to, so
 * that neither the name of the top directory nor the place of the caches makes a difference. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"

static const struct manifest *manifest_of(const struct diff_side *side)
{
    return side->pack.walk.count ? &side->pack.manifest : &side->packed.m;
}

/* The files and directories of SIDE, in their order; NULL behind the last and where one is gone. */
static size_t entry_count(const struct diff_side *side)
{
    return side->pack.walk.count ? side->pack.walk.count : side->packed.m.entry_count;
}

static const struct entry *entry_at(const struct diff_side *side, size_t i)
{
    if (!side->pack.walk.count)
        return &side->packed.m.entries[i];
    return side->pack.walk.items[i].gone ? NULL : &side->pack.walk.items[i].entry;
}

static const struct buf *text_of(const struct diff_side *side, size_t item, const char *path)
{
    const struct pack *p = &side->pack;
    const struct archive_index *found;

    if (p->walk.count) {
        size_t at = array_first(i, p->index_count, p->indexes[i].item < item);

        return at < p->index_count && p->indexes[at].item == item ? &p->indexes[at].text : NULL;
    }
    found = array_find(&path, side->packed.items, side->packed.count, path_compare);
    return found && !found->unread ? &found->text : NULL;
}

/* ---- Names --------------------------------------------------------------------------------- */

/* Length of the one top-level directory's name; 0: there is none. */
static size_t top_of(const struct diff_side *side)
{
    const char *top = NULL;
    size_t n = 0;

    for (size_t i = 0; i < entry_count(side); i++) {
        const struct entry *e = entry_at(side, i);

        if (!e || !*e->path)
            continue;
        if (!top) {
            top = e->path;
            n = strcspn(top, "/");
        }
        if (strncmp(e->path, top, n) != 0 || (e->path[n] && e->path[n] != '/') ||
            (!e->path[n] && e->type != ENTRY_DIR))
            return 0;
    }
    return n;
}

static const char *without_top(const char *path, size_t top)
{
    return top && path[top] == '/' ? path + top + 1 : top && !path[top] ? "" : path;
}

/* The source directory whose hashed cache directory DIR is; NULL: it is none. */
static const char *cached_dir(const struct manifest *m, const char *dir)
{
    size_t at = array_first(i, m->cache_count, strcmp(m->caches[i].cache, dir) < 0);

    return at < m->cache_count && strcmp(m->caches[at].cache, dir) == 0 ? m->caches[at].source
                                                                        : NULL;
}

/* A cache file has the name that it would have in the tree. */
static char *cache_key(const struct manifest *m, const char *path, size_t top)
{
    _cleanup_free_ char *dir = path_dir(path);
    const char *source = dir ? cached_dir(m, dir) : NULL;
    _cleanup_free_ char *in_tree = NULL;

    if (!dir)
        return NULL;
    if (!source)
        return strdup(without_top(path, top));
    in_tree = path_append(without_top(source, top), "__pycache__");
    return in_tree ? path_join(in_tree, path_base(path)) : NULL;
}

/* Is PATH a directory that only holds caches, or is it warmpack's own? */
static bool is_only_a_place(const struct manifest *m, const struct entry *e)
{
    return own_home_at(e->path) >= 0 || strcmp(path_base(e->path), MANIFEST_DIR) == 0 ||
           (e->type == ENTRY_DIR &&
            (cached_dir(m, e->path) || strcmp(path_base(e->path), "__pycache__") == 0));
}

/* ---- Lists --------------------------------------------------------------------------------- */

static int add(struct diff_side *side, size_t number, const struct entry *e, size_t top,
               struct wp_error *err)
{
    const struct manifest *m = manifest_of(side);
    struct diff_item item = {.e = e};

    item.is_cache = e->type != ENTRY_DIR && caches_is_part(e->path);
    if (!item.is_cache && is_only_a_place(m, e))
        return 0;
    item.key = item.is_cache ? cache_key(m, e->path, top) : strdup(without_top(e->path, top));
    if (!item.key || array_grow(side->items, side->count) < 0) {
        free(item.key);
        return error_nomem(err);
    }
    if (!*item.key) { /* the top directory itself */
        free(item.key);
        return 0;
    }
    if (caches_is_index(e->path))
        item.text = text_of(side, number, e->path);
    side->items[side->count++] = item;
    return 0;
}

static int list(struct diff_side *side, size_t top, bool caches_only, struct wp_error *err)
{
    diff_forget_items(side);
    for (size_t i = 0; i < entry_count(side); i++) {
        const struct entry *e = entry_at(side, i);
        int r = !e || (caches_only && !caches_is_part(e->path)) ? 0 : add(side, i, e, top, err);

        if (r < 0)
            return r;
    }
    array_sort(side->items, side->count, path_compare);
    return 0;
}

static size_t count_common(const struct diff_side *a, const struct diff_side *b)
{
    size_t i = 0, k = 0, n = 0;

    while (i < a->count && k < b->count) {
        int order = strcmp(a->items[i].key, b->items[k].key);

        n += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    return n;
}

void diff_forget_items(struct diff_side *side)
{
    for (size_t i = 0; i < side->count; i++)
        free(side->items[i].key);
    free(side->items);
    side->items = NULL;
    side->count = 0;
}

/* What one top-level directory is called, and whether there is one, makes no difference: of the
 * ways to leave it out, the one counts by which most names are on both sides. */
int diff_list(struct diff_side *a, struct diff_side *b, struct wp_error *err)
{
    const bool caches_only = a->caches_only || b->caches_only;
    const size_t tops[2][2] = {{0, top_of(a)}, {0, top_of(b)}};
    size_t most = 0;
    int best = 0, r = 0;

    for (int i = 0; i < 4 && r == 0; i++) {
        const size_t top_a = tops[0][i & 1], top_b = tops[1][i >> 1];

        if ((i & 1 && !top_a) || (i >> 1 && !top_b))
            continue;
        r = list(a, top_a, caches_only, err);
        r = r < 0 ? r : list(b, top_b, caches_only, err);
        if (r == 0 && count_common(a, b) > most) {
            most = count_common(a, b);
            best = i;
        }
    }
    r = r < 0 ? r : list(a, tops[0][best & 1], caches_only, err);
    return r < 0 ? r : list(b, tops[1][best >> 1], caches_only, err);
}
