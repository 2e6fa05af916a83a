/* Folds over the sets of a manifest: a set says what its own files and the sets that it uses say,
 * and those have smaller numbers. */

#include "manifest/depends.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"

/* ---- What has changed --------------------------------------------------------------------- */

struct same {
    int (*ask)(void *ctx, const char *path);
    void *ctx;
};

static int find_changed(const struct same *s, const char *path, const char **changed)
{
    int r = *changed ? 1 : s->ask(s->ctx, path);

    if (r == 0)
        *changed = path;
    return r < 0 ? r : 0;
}

static int changed_sets(const struct manifest *m, const struct same *s, const char **sets)
{
    for (size_t i = 0; i < m->set_count; i++) {
        const struct manifest_set *set = &m->sets[i];

        for (size_t k = 0; k < set->use_count && !sets[i]; k++)
            sets[i] = sets[set->uses[k]];
        for (size_t k = 0; k < set->file_count; k++) {
            int r = find_changed(s, set->files[k], &sets[i]);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* The directory of the topmost package that SOURCE lies in, or of SOURCE itself where it lies in
 * none. Allocated; NULL on no memory. */
static char *topmost_package(const struct manifest *m, const char *source)
{
    _cleanup_free_ char *dir = path_dir(source);

    while (dir && *dir) {
        _cleanup_free_ char *init = path_join(dir, "__init__.py");
        char *slash = strrchr(dir, '/');
        _cleanup_free_ char *above = NULL;

        if (!init)
            return NULL;
        if (!manifest_find(m, init))
            break;
        if (!slash)
            break;
        *slash = '\0';
        above = path_join(dir, "__init__.py");
        if (!above)
            return NULL;
        if (!manifest_find(m, above)) {
            *slash = '/';
            break;
        }
    }
    return take_ptr(dir);
}

static bool is_source(const char *path)
{
    size_t n = strlen(path);

    return n > 3 && strcmp(path + n - 3, ".py") == 0;
}

/* Of an index that does not say: every .py beneath DIR. */
static int changed_package(const struct manifest *m, const struct same *s, const char *dir,
                           const char **changed)
{
    size_t n = strlen(dir);

    for (size_t i = 0; i < m->entry_count && !*changed; i++) {
        const char *path = m->entries[i].path;
        int r;

        if ((n && (strncmp(path, dir, n) != 0 || path[n] != '/')) || !is_source(path))
            continue;
        r = find_changed(s, path, changed);
        if (r < 0)
            return r;
    }
    return 0;
}

int manifest_changed(const struct manifest *m, int (*same)(void *ctx, const char *path), void *ctx,
                     const char ***out, struct wp_error *err)
{
    const struct same s = {same, ctx};
    _cleanup_free_ const char **sets = calloc(m->set_count + 1, sizeof *sets);
    _cleanup_free_ const char **all = calloc(m->index_count + 1, sizeof *all);
    _cleanup_free_ char *last = NULL; /* package, and what it said */
    const char *last_changed = NULL;
    int r = sets && all ? changed_sets(m, &s, sets) : error_nomem(err);

    for (size_t i = 0; i < m->index_count && r == 0; i++) {
        _cleanup_free_ char *dir = NULL;

        if (m->indexes[i].has_depends || !m->indexes[i].source) {
            all[i] = m->indexes[i].has_depends ? sets[m->indexes[i].depends] : NULL;
            continue;
        }
        dir = topmost_package(m, m->indexes[i].source);
        if (!dir)
            return error_nomem(err);
        if (!last || strcmp(dir, last) != 0) {
            last_changed = NULL;
            r = changed_package(m, &s, dir, &last_changed);
            free(last);
            last = take_ptr(dir);
        }
        all[i] = last_changed;
    }
    if (r == 0)
        *out = take_ptr(all);
    return r;
}

/* ---- What was modified last --------------------------------------------------------------- */

static bool is_later(const struct manifest_newest *a, const struct manifest_newest *b)
{
    return a->path && (!b->path || a->time.tv_sec > b->time.tv_sec ||
                       (a->time.tv_sec == b->time.tv_sec && a->time.tv_nsec > b->time.tv_nsec));
}

int manifest_newest(const struct manifest *m,
                    int (*mtime)(void *ctx, const char *path, struct timespec *t), void *ctx,
                    struct manifest_newest **out, struct wp_error *err)
{
    _cleanup_free_ struct manifest_newest *sets = calloc(m->set_count + 1, sizeof *sets);
    _cleanup_free_ struct manifest_newest *all = calloc(m->index_count + 1, sizeof *all);

    if (!sets || !all)
        return error_nomem(err);
    for (size_t i = 0; i < m->set_count; i++) {
        const struct manifest_set *set = &m->sets[i];

        for (size_t k = 0; k < set->use_count; k++)
            if (is_later(&sets[set->uses[k]], &sets[i]))
                sets[i] = sets[set->uses[k]];
        for (size_t k = 0; k < set->file_count; k++) {
            struct manifest_newest one = {0};
            int r = mtime(ctx, set->files[k], &one.time);

            if (r < 0)
                return r;
            one.path = r > 0 ? set->files[k] : NULL;
            if (is_later(&one, &sets[i]))
                sets[i] = one;
        }
    }
    for (size_t i = 0; i < m->index_count; i++)
        if (m->indexes[i].has_depends)
            all[i] = sets[m->indexes[i].depends];
    *out = take_ptr(all);
    return 0;
}
