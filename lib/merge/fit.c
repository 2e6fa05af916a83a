/* Merging: leaves out the indexes of an input whose code came from other files than the first input
 * has, or from modules that a further file of the first input would shadow. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "job.h"
#include "judge/came_from.h"
#include "manifest/depends.h"
#include "numba/caches.h"

enum { LARGEST = 1 << 30 };

struct fitting {
    struct merge *m;
    struct merge_input *in;
    /* Paths in the first input of all files that are neither directories nor caches. */
    const char **paths;   /* owned; sorted */
    const char **targets; /* of those that are symbolic links, else NULL; owned */
    size_t count;
    size_t *sources; /* of the indexes, as numbers in PATHS, each once, sorted; owned */
    size_t source_count;
};

static int same(void *ctx, const char *path)
{
    const struct fitting *f = ctx;
    const char *target = manifest_dirlink(&f->in->m, path), *other;
    const struct entry *here = merge_file(f->in, path), *there;

    if (target) {
        other = manifest_dirlink(&f->m->inputs[0].m, path);
        return other && strcmp(other, target) == 0;
    }
    if (!here) /* a link out of it: merge_compare_sources has looked */
        return 1;
    there = merge_file(&f->m->inputs[0], path);
    return there && merge_is_same(here, there);
}

/* Finds the indexes whose code came from files that differ in the first input. */
static int leave_changed(struct fitting *f, struct wp_error *err)
{
    _cleanup_free_ const char **changed = NULL;
    int r = manifest_changed(&f->in->m, same, f, &changed, err);

    for (size_t i = 0; i < f->in->index_count && r == 0; i++) {
        struct merge_index *index = &f->in->indexes[i];
        const char *path = changed[index->line - f->in->m.indexes];
        _cleanup_buf_ struct buf why = {0};

        if (!path || index->is_out)
            continue;
        if (buf_printf(&why, "outdated: its code came from %s, which %s has otherwise", path,
                       f->m->inputs[0].name) < 0)
            return error_nomem(err);
        merge_leave_out(f->m, f->in, index, (char *)why.data);
    }
    return r;
}

/* ---- Files that were added --------------------------------------------------------------- */

static int list_paths(struct fitting *f)
{
    const struct manifest *m = &f->m->inputs[0].m;

    f->paths = calloc(m->entry_count + 1, sizeof *f->paths);
    f->targets = calloc(m->entry_count + 1, sizeof *f->targets);
    if (!f->paths || !f->targets)
        return -ENOMEM;
    for (size_t i = 0; i < m->entry_count; i++) {
        const struct entry *e = &m->entries[i];

        if (e->type == ENTRY_DIR || caches_is_index(e->path) || caches_is_data(e->path))
            continue;
        f->targets[f->count] = e->type == ENTRY_SYMLINK ? e->target : NULL;
        f->paths[f->count++] = e->path;
    }
    return 0;
}

static int list_sources(struct fitting *f)
{
    f->sources = calloc(f->in->index_count + 1, sizeof *f->sources);
    if (!f->sources)
        return -ENOMEM;
    for (size_t i = 0; i < f->in->index_count; i++) {
        const struct merge_index *index = &f->in->indexes[i];
        size_t number = index->line->source && !index->is_out
                            ? depends_number_of(f->paths, f->count, index->line->source)
                            : SIZE_MAX;

        if (number != SIZE_MAX)
            f->sources[f->source_count++] = number;
    }
    f->source_count = depends_sort_unique(f->sources, f->source_count);
    return 0;
}

static int read_file(void *ctx, size_t file, struct buf *out, struct wp_error *err)
{
    const struct fitting *f = ctx;
    const struct merge_input *first = &f->m->inputs[0];
    const struct entry *e = merge_file(first, f->paths[file]);
    const struct spooled *item = e ? merge_item(first, e) : NULL;

    buf_clear(out);
    return item ? merge_content(first, item, LARGEST, out, err) : 0;
}

/* A file that the source imports in the first input and that the other input lacks; NULL: there is
 * none. */
static int find_added(const struct fitting *f, const struct depends *d, size_t source,
                      const char **out)
{
    _cleanup_free_ size_t *files = NULL;
    size_t count;

    *out = NULL;
    if (depends_files(d, d->of_source[source], &files, &count) < 0)
        return -ENOMEM;
    for (size_t k = 0; k < count && !*out; k++)
        if (!manifest_find(&f->in->m, f->paths[files[k]]))
            *out = f->paths[files[k]];
    return 0;
}

static int leave_shadowed(struct fitting *f, const struct depends *d, struct wp_error *err)
{
    for (size_t i = 0; i < f->in->index_count; i++) {
        struct merge_index *index = &f->in->indexes[i];
        size_t number = index->line->source && !index->is_out
                            ? depends_number_of(f->paths, f->count, index->line->source)
                            : SIZE_MAX;
        size_t at = array_first(k, f->source_count, f->sources[k] < number);
        _cleanup_buf_ struct buf why = {0};
        const char *added;

        if (number == SIZE_MAX)
            continue;
        if (find_added(f, d, at, &added) < 0)
            return error_nomem(err);
        if (!added)
            continue;
        if (buf_printf(&why, "outdated: its source imports %s, which it did not have", added) < 0)
            return error_nomem(err);
        merge_leave_out(f->m, f->in, index, (char *)why.data);
    }
    return 0;
}

static int leave_added(struct fitting *f, struct wp_error *err)
{
    _cleanup_(came_from_clear) struct came_from from = {.read = read_file, .ctx = f};
    struct depends *d = NULL;
    int r = list_paths(f) < 0 || list_sources(f) < 0 ? error_nomem(err) : 0;

    if (r < 0 || !f->source_count)
        return r;
    from.paths = f->paths;
    from.count = f->count;
    from.targets = f->targets;
    r = came_from_resolve(&from, &d, f->sources, f->source_count, err);
    if (r == 0)
        r = leave_shadowed(f, d, err);
    depends_free(d);
    return r;
}

int merge_fit(struct merge *m, struct merge_input *in, struct wp_error *err)
{
    struct fitting f = {.m = m, .in = in};
    int r = leave_changed(&f, err);

    if (r == 0)
        r = leave_added(&f, err);
    free(f.paths);
    free(f.targets);
    free(f.sources);
    return r;
}
