/* Verifying a tree: whether the sources of indexes that are as they were packed import a file now
 * that was not there: it shadows another, or was looked for in vain. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "outdated.h"

struct adding {
    struct looking *l;
    struct path_list packed; /* the files that manifests speak of, as paths of the tree */
    bool *is_added;          /* by number in the tree's paths; owned */
    bool any;                /* of them */
};

static void adding_clear(struct adding *a)
{
    path_list_clear(&a->packed);
    free(a->is_added);
}

static int list_packed(struct adding *a)
{
    const struct trees *trees = &a->l->tree->trees;
    int r = 0;

    for (size_t k = 0; k < trees->count; k++) {
        const struct manifest *m = &trees->list[k].m;

        for (size_t i = 0; i < m->entry_count && r == 0; i++) {
            bool gone = false;
            char *path = m->entries[i].type == ENTRY_DIR
                             ? NULL
                             : tree_path(&trees->list[k], m->entries[i].path, &gone);

            if (path)
                r = path_list_add(&a->packed, path);
            else if (m->entries[i].type != ENTRY_DIR && !gone)
                r = -ENOMEM;
        }
    }
    path_list_sort(&a->packed);
    return r;
}

static int find_added(struct adding *a)
{
    struct looking *l = a->l;

    a->is_added = calloc(l->count + 1, sizeof *a->is_added);
    if (!a->is_added || list_packed(a) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < l->count; i++) {
        a->is_added[i] =
            (depends_is_module(l->paths[i]) || l->targets[i]) &&
            trees_is_added((const char *const *)a->packed.v, a->packed.count, l->paths[i]);
        a->any |= a->is_added[i];
    }
    return 0;
}

/* Those whose indexes are as they were packed. */
static void list_sources(struct looking *l)
{
    l->source_count = 0;
    for (size_t i = 0; i < l->tree->out->count; i++)
        if (l->same_of[i] != SIZE_MAX)
            l->sources[l->source_count++] = l->same_of[i];
    l->source_count = depends_sort_unique(l->sources, l->source_count);
}

/* Judges index number I, which depends on SET of D. */
static int judge_one(const struct adding *a, size_t i, const struct depends *d, size_t set)
{
    _cleanup_free_ size_t *files = NULL;
    size_t count;

    if (depends_files(d, set, &files, &count) < 0)
        return -ENOMEM;
    for (size_t k = 0; k < count; k++)
        if (a->is_added[files[k]])
            return outdated_say(a->l, i, a->l->paths[files[k]]);
    return 0;
}

int outdated_by_added(struct looking *l, struct wp_error *err)
{
    _cleanup_(adding_clear) struct adding a = {.l = l};
    struct depends *d = NULL;
    int r;

    list_sources(l);
    if (!l->source_count)
        return 0;
    r = find_added(&a) < 0 ? error_nomem(err) : 0;
    if (r < 0 || !a.any)
        return r;
    r = came_from_resolve(&l->from, &d, l->sources, l->source_count, err);
    for (size_t i = 0; i < l->tree->out->count && r == 0; i++) {
        size_t at = array_first(k, l->source_count, l->sources[k] < l->same_of[i]);

        if (l->same_of[i] != SIZE_MAX && judge_one(&a, i, d, d->of_source[at]) < 0)
            r = error_nomem(err);
    }
    depends_free(d);
    return r;
}
