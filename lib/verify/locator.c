/* The job of verifying a tree: which indexes, that Numba by itself would not load from, it would
 * get through warmpack.locator in the interpreter that is asked? */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "judge/judge.h"

/* Can what is wrong with an index be a matter of its place, of times or of keys alone? */
static bool may_help(const struct wp_index_status *s)
{
    return s->source &&
           (s->status == WP_STALE || s->status == WP_MISPLACED || s->status == WP_UNWRITABLE ||
            s->status == WP_WRONG_CPU || s->status == WP_SUSPECT);
}

/* The sources of such indexes, as paths, sorted; those of one source stand together. */
static int list_sources(const struct verify_tree *tree, struct path_list *sources)
{
    for (size_t i = 0; i < tree->out->count; i++) {
        const struct wp_index_status *s = &tree->out->indexes[i];
        char *path = may_help(s) ? path_join(tree->dir_path, s->source) : NULL;

        if (path && sources->count && strcmp(sources->v[sources->count - 1], path) == 0)
            free(path);
        else if (may_help(s) && path_list_add(sources, path) < 0)
            return -ENOMEM;
    }
    path_list_sort(sources);
    return 0;
}

static bool names_index(const struct wp_located *l, const char *name)
{
    for (size_t i = 0; i < l->index_count; i++)
        if (strcmp(path_base(l->indexes[i]), name) == 0)
            return true;
    return false;
}

/* 1: LOCATED, which is of SOURCES, says that it would be loaded. */
static int is_located(const struct verify_tree *tree, const struct wp_index_status *s,
                      const struct path_list *sources, const struct wp_located *located)
{
    _cleanup_free_ char *path = path_join(tree->dir_path, s->source);
    char **found;

    if (!path)
        return -ENOMEM;
    found = bsearch(&path, sources->v, sources->count, sizeof *sources->v, path_compare);
    return found && names_index(&located[found - sources->v], path_base(s->index));
}

static int note(struct wp_verify_report *r, struct wp_index_status *s, bool in_force)
{
    _cleanup_free_ char *reason = s->reason ? strdup(s->reason) : NULL;
    const char *const name = wp_status_name(s->status);

    if (s->reason && !reason)
        return -ENOMEM;
    s->locatable = true;
    if (!in_force)
        return judge_set(s, s->status, "%s; it would load through warmpack.locator",
                         reason ? reason : name);
    r->by_status[s->status]--;
    r->by_status[WP_IN_PLACE]++;
    return judge_set(s, WP_IN_PLACE, "loads through warmpack.locator, though it is %s: %s", name,
                     reason ? reason : "");
}

int verify_locator(struct verify_tree *tree, struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list sources = {0};
    struct wp_located *located = NULL;
    int r;

    if (!tree->o->python || !tree->trees.count)
        return 0;
    r = list_sources(tree, &sources) < 0 ? error_nomem(err) : 0;
    if (r < 0 || !sources.count)
        return r;
    r = wp_locate(tree->context, tree->o->python, (const char *const *)sources.v, sources.count,
                  &located, err);
    for (size_t i = 0; i < tree->out->count && r == 0; i++) {
        struct wp_index_status *s = &tree->out->indexes[i];
        int is = may_help(s) ? is_located(tree, s, &sources, located) : 0;

        if (is > 0)
            is = note(tree->out, s, located[0].in_force);
        r = is < 0 ? error_nomem(err) : 0;
    }
    wp_located_free(located, sources.count);
    return r;
}
