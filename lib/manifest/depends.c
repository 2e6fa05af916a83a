/* Asks once about each file, and once about each set of a manifest: a set says what its own files
 * and the sets that it uses say, and those have smaller numbers. */

#include "manifest/depends.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"
#include "base/times.h"
#include "numba/depends.h"

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

/* 1, 0 or -ENOMEM. */
static int is_package(const struct manifest *m, const char *dir)
{
    _cleanup_free_ char *init = path_join(dir, "__init__.py");

    return init ? manifest_find(m, init) != NULL : -ENOMEM;
}

/* The directory of the topmost package that SOURCE lies in, or of SOURCE itself where it lies in
 * none. Allocated; NULL on no memory. */
static char *topmost_package(const struct manifest *m, const char *source)
{
    _cleanup_free_ char *dir = path_dir(source);
    int r = !dir ? -ENOMEM : *dir ? is_package(m, dir) : 0;

    for (char *slash; r == 1 && (slash = strrchr(dir, '/'));) {
        *slash = '\0';
        r = is_package(m, dir);
        if (r == 0)
            *slash = '/';
    }
    return r < 0 ? NULL : take_ptr(dir);
}

/* Does PATH stand before all that lies beneath DIR, of N bytes? */
static bool is_before_those_in(const char *path, const char *dir, size_t n)
{
    int order = strncmp(path, dir, n);

    return order != 0 ? order < 0 : (unsigned char)path[n] < '/';
}

/* Of an index that does not say: every .py beneath DIR, whose entries stand together. */
static int changed_package(const struct manifest *m, const struct same *s, const char *dir,
                           const char **changed)
{
    size_t n = strlen(dir);
    size_t first =
        n ? array_first(i, m->entry_count, is_before_those_in(m->entries[i].path, dir, n)) : 0;

    *changed = NULL;
    for (size_t i = first; i < m->entry_count && !*changed; i++) {
        const char *path = m->entries[i].path;
        int r;

        if (n && (strncmp(path, dir, n) != 0 || path[n] != '/'))
            break;
        if (!path_has_suffix(path, ".py"))
            continue;
        r = find_changed(s, path, changed);
        if (r < 0)
            return r;
    }
    return 0;
}

/* An index that does not say, and the package that it depends on. */
struct silent {
    char *package; /* the first member, for path_compare; owned */
    size_t index;
};

struct silents {
    struct silent *list; /* owned */
    size_t count;
};

static void silents_clear(struct silents *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->list[i].package);
    free(s->list);
}

/* Those that do not say, sorted: a package is looked at once, whatever the order of its indexes. */
static int find_silents(const struct manifest *m, struct silents *out)
{
    out->list = calloc(m->index_count + 1, sizeof *out->list);
    if (!out->list)
        return -ENOMEM;
    for (size_t i = 0; i < m->index_count; i++) {
        struct silent *s = &out->list[out->count];

        if (m->indexes[i].has_depends || !m->indexes[i].source)
            continue;
        *s = (struct silent){topmost_package(m, m->indexes[i].source), i};
        if (!s->package)
            return -ENOMEM;
        out->count++;
    }
    array_sort(out->list, out->count, path_compare);
    return 0;
}

static int changed_silents(const struct manifest *m, const struct same *s, const char **all,
                           struct wp_error *err)
{
    _cleanup_(silents_clear) struct silents silents = {0};
    int r = find_silents(m, &silents) < 0 ? error_nomem(err) : 0;

    for (size_t i = 0; i < silents.count && r == 0; i++) {
        const struct silent *one = &silents.list[i];

        if (i && path_compare(one - 1, one) == 0)
            all[one->index] = all[one[-1].index];
        else
            r = changed_package(m, s, one->package, &all[one->index]);
    }
    return r;
}

int manifest_changed(const struct manifest *m, int (*same)(void *ctx, const char *path), void *ctx,
                     const char ***out, struct wp_error *err)
{
    const struct same s = {same, ctx};
    _cleanup_free_ const char **sets = calloc(m->set_count + 1, sizeof *sets);
    _cleanup_free_ const char **all = calloc(m->index_count + 1, sizeof *all);
    int r = sets && all ? changed_sets(m, &s, sets) : error_nomem(err);

    for (size_t i = 0; i < m->index_count && r == 0; i++)
        if (m->indexes[i].has_depends)
            all[i] = sets[m->indexes[i].depends];
    if (r == 0)
        r = changed_silents(m, &s, all, err);
    if (r == 0)
        *out = take_ptr(all);
    return r;
}

const char *manifest_dirlink(const struct manifest *m, const char *path)
{
    const struct entry *e = depends_is_module(path) ? NULL : manifest_find(m, path);

    return e && e->type == ENTRY_SYMLINK ? e->target : NULL;
}

/* ---- What is left out --------------------------------------------------------------------- */

void manifest_tell_left_out(const struct wp_context *context, const char **changed, size_t count,
                            size_t all)
{
    size_t others = 0;

    if (!count)
        return;
    qsort(changed, count, sizeof *changed, path_compare);
    for (size_t i = 1; i < count; i++)
        others += strcmp(changed[i], changed[i - 1]) != 0;
    if (others)
        report(context, WP_WARNING, NULL,
               "%zu of %zu indexes left out: %s and %zu other %s changed", count, all, changed[0],
               others, others == 1 ? "file" : "files");
    else
        report(context, WP_WARNING, NULL, "%zu of %zu indexes left out: %s changed", count, all,
               changed[0]);
}

/* ---- What was modified last --------------------------------------------------------------- */

static bool is_later(const struct manifest_newest *a, const struct manifest_newest *b)
{
    return a->path && (!b->path || time_is_before(b->time, a->time));
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
