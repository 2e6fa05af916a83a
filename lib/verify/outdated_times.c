/* Verifying a tree: whether an index is older than a file that its code can come from. Imports are
 * followed only where a file of the tree is newer than one of its indexes. */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "base/times.h"
#include "judge/outdated.h"
#include "outdated.h"
#include "tree/behind.h"

/* Finds when the oldest code of index S was compiled; false where that cannot be told. */
static bool compiled_at(const struct looking *l, const struct wp_index_status *s,
                        struct timespec *out)
{
    _cleanup_free_ char *path = outdated_index_path(l, s);
    _cleanup_free_ char *dir = path ? path_dir(path) : NULL;
    bool any = false;

    for (size_t i = 0; dir && i < s->overload_count; i++) {
        _cleanup_free_ char *data = path_join(dir, s->overloads[i].data);
        struct stat st;

        if (!data || stat(data, &st) < 0)
            return false;
        if (!any || time_is_before(st.st_mtim, *out))
            *out = st.st_mtim;
        any = true;
    }
    return any;
}

/* As the walk found it; of a link to a file, the latest of both and of the links between: each may
 * be what has changed. */
static bool time_of(const struct looking *l, size_t file, struct timespec *out)
{
    const struct entry *e = &l->tree->walk.items[l->items[file]].entry;
    _cleanup_free_ char *path = NULL;
    struct stat st;

    *out = e->mtime;
    if (e->type == ENTRY_FILE)
        return true;
    path = path_join(l->tree->dir, l->paths[file]);
    if (!path || stat(path, &st) < 0 ||
        behind_newest_link(l->tree->trees.fd, l->paths[file], out) < 0)
        return false;
    if (S_ISREG(st.st_mode) && time_is_before(*out, st.st_mtim))
        *out = st.st_mtim;
    return true;
}

/* Keeps the newer one; of two that are as new, the first by name. */
static void keep_newest(struct newest *n, struct newest other)
{
    if (other.file != SIZE_MAX && (n->file == SIZE_MAX || time_is_before(n->time, other.time) ||
                                   (time_is(n->time, other.time) && other.file < n->file)))
        *n = other;
}

static void add_file(const struct looking *l, struct newest *n, size_t file)
{
    struct newest one = {.file = file};

    if (time_of(l, file, &one.time))
        keep_newest(n, one);
}

struct newest outdated_newest(const struct looking *l)
{
    struct newest newest = {.file = SIZE_MAX};

    for (size_t i = 0; i < l->count; i++)
        if (depends_is_module(l->paths[i]) || l->targets[i])
            add_file(l, &newest, i);
    return newest;
}

/* Has the source had its time since before its code was compiled? */
static bool is_time_kept(const struct looking *l, size_t source, struct timespec compiled)
{
    _cleanup_free_ char *path = path_join(l->tree->dir, l->paths[source]);
    _cleanup_free_ char *dir = path ? path_dir(path) : NULL;
    _cleanup_close_ int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    struct stat st;

    return fd >= 0 && stat(path, &st) == 0 &&
           outdated_time_is_kept(fd, path_base(path), &st, compiled);
}

bool outdated_is_older(const struct looking *l, size_t i, const struct newest *n)
{
    const struct wp_index_status *s = &l->tree->out->indexes[i];
    struct timespec compiled, own;

    return n->file != SIZE_MAX && compiled_at(l, s, &compiled) &&
           time_of(l, l->source_of[i], &own) && time_is_before(compiled, n->time) &&
           outdated_by_times(&s->stamp,
                             s->stamp.kind == WP_STAMP_CONTENT &&
                                 is_time_kept(l, l->source_of[i], compiled),
                             compiled, own, n->time) == OUTDATED;
}

bool outdated_times_are_new(const struct looking *l, size_t i)
{
    const struct wp_index_status *s = &l->tree->out->indexes[i];
    struct timespec compiled, own;

    return s->stamp.kind == WP_STAMP_CONTENT && compiled_at(l, s, &compiled) &&
           time_of(l, l->source_of[i], &own) && time_is_before(compiled, own);
}

/* Finds, for each set, the newest of its files and of those that it leads to. Allocated. */
static struct newest *newest_of_sets(const struct looking *l, const struct depends *d)
{
    struct newest *all = calloc(d->count + 1, sizeof *all);

    for (size_t i = 0; all && i < d->count; i++) {
        const struct depends_set *set = &d->sets[i];

        all[i].file = SIZE_MAX;
        for (size_t k = 0; k < set->use_count; k++)
            keep_newest(&all[i], all[set->uses[k]]);
        for (size_t k = 0; k < set->file_count; k++)
            add_file(l, &all[i], set->files[k]);
    }
    return all;
}

/* Lists the sources of the indexes that have one still. */
static void list_sources(struct looking *l)
{
    l->source_count = 0;
    for (size_t i = 0; i < l->tree->out->count; i++)
        if (l->source_of[i] != SIZE_MAX)
            l->sources[l->source_count++] = l->source_of[i];
    l->source_count = depends_sort_unique(l->sources, l->source_count);
}

int outdated_by_imports(struct looking *l, struct wp_error *err)
{
    _cleanup_free_ struct newest *newest = NULL;
    struct depends *d = NULL;
    int r;

    list_sources(l);
    if (!l->source_count)
        return 0;
    r = came_from_resolve(&l->from, &d, l->sources, l->source_count, err);
    newest = r == 0 ? newest_of_sets(l, d) : NULL;
    if (r == 0 && !newest)
        r = error_nomem(err);
    for (size_t i = 0; i < l->tree->out->count && r == 0; i++) {
        const size_t source = l->source_of[i];
        size_t at = array_first(k, l->source_count, l->sources[k] < source);
        const struct newest *n = source != SIZE_MAX ? &newest[d->of_source[at]] : NULL;

        if (n && outdated_is_older(l, i, n) && outdated_say(l, i, l->paths[n->file]) < 0)
            r = error_nomem(err);
    }
    depends_free(d);
    return r;
}
