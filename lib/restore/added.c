/* Repairing: finds files of the tree that the archive did not have and that its sources import now:
 * a module that shadows another, or one that was looked for in vain. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "judge/came_from.h"
#include "numba/caches.h"
#include "tree/behind.h"
#include "tree/beneath.h"
#include "tree/walk.h"

enum { LARGEST = 1 << 30 };

struct adding {
    const struct restore *restore;
    struct walk walk;
    const char **paths;   /* of its files; owned */
    const char **targets; /* of those that are symbolic links, else NULL; owned */
    size_t count;
    const char **packed; /* of the files that manifests speak for; owned */
    size_t *sources;     /* of valid indexes, as numbers in PATHS, each once, sorted; owned */
    size_t source_count;
};

static int list_tree(struct adding *a, struct wp_error *err)
{
    struct walk_options options = {.numeric_owner = true, .names_alone = true};
    int root, r;

    r = root = walk_add_root(&a->walk, a->restore->o->dir, err);
    if (r >= 0)
        r = walk_add(&a->walk, (unsigned)root, ".", "", &options, err);
    if (r >= 0)
        r = walk_finish(&a->walk, err);
    if (r < 0)
        return r;
    a->paths = calloc(a->walk.count + 1, sizeof *a->paths);
    a->targets = calloc(a->walk.count + 1, sizeof *a->targets);
    a->packed = calloc(a->restore->owner_count + 1, sizeof *a->packed);
    if (!a->paths || !a->targets || !a->packed)
        return error_nomem(err);
    for (size_t i = 0; i < a->restore->owner_count; i++)
        a->packed[i] = a->restore->owners[i].path;
    for (size_t i = 0; i < a->walk.count; i++) {
        const struct entry *e = &a->walk.items[i].entry;

        if (e->type == ENTRY_DIR || caches_is_index(e->path) || caches_is_data(e->path))
            continue;
        a->targets[a->count] = e->type == ENTRY_SYMLINK ? e->target : NULL;
        a->paths[a->count++] = e->path;
    }
    return 0;
}

/* What cannot be read has no imports: Python cannot read it either. */
static int read_file(void *ctx, size_t file, struct buf *out, struct wp_error *err)
{
    const struct adding *a = ctx;
    int r = behind_read(a->restore->fd, a->paths[file], LARGEST, out, NULL);

    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0 && !beneath_is_out_of_reach(r))
        return error_set(err, -r, a->paths[file], "cannot be read");
    if (r < 0)
        buf_clear(out);
    return 0;
}

/* The number in PATHS of the source of LINE, where that says what it came from; SIZE_MAX: none. */
static size_t source_number(const struct adding *a, const struct repair *repair,
                            const struct manifest_index *line)
{
    const struct restored *f = line->has_depends ? restore_valid_source(repair, line) : NULL;

    return f && f->status == RESTORED_SAME && f->path
               ? depends_number_of(a->paths, a->count, f->path)
               : SIZE_MAX;
}

static int list_sources(struct adding *a, const struct repair *repair)
{
    const struct manifest *m = &repair->t->m;

    for (size_t i = 0; i < m->index_count; i++) {
        size_t number = source_number(a, repair, &m->indexes[i]);

        if (number == SIZE_MAX)
            continue;
        if (array_grow(a->sources, a->source_count) < 0)
            return -ENOMEM;
        a->sources[a->source_count++] = number;
    }
    a->source_count = depends_sort_unique(a->sources, a->source_count);
    return 0;
}

static bool is_added(const struct adding *a, size_t file)
{
    return trees_is_added(a->packed, a->restore->owner_count, a->paths[file]);
}

/* Is there such a file at all? If not, nothing is found by reading what the sources import. */
static bool has_added(const struct adding *a)
{
    for (size_t i = 0; i < a->count; i++)
        if ((depends_is_module(a->paths[i]) || a->targets[i]) && is_added(a, i))
            return true;
    return false;
}

static int find_added(struct adding *a, const struct depends *d, const char **of_source)
{
    for (size_t i = 0; i < a->source_count; i++) {
        _cleanup_free_ size_t *files = NULL;
        size_t count;

        if (depends_files(d, d->of_source[i], &files, &count) < 0)
            return -ENOMEM;
        for (size_t k = 0; k < count && !of_source[i]; k++)
            if (is_added(a, files[k]))
                of_source[i] = a->paths[files[k]];
    }
    return 0;
}

static int resolve(struct adding *a, const struct repair *repair, char **out, struct wp_error *err)
{
    _cleanup_(came_from_clear) struct came_from from = {
        .paths = a->paths, .count = a->count, .targets = a->targets, .read = read_file, .ctx = a};
    const struct manifest *m = &repair->t->m;
    _cleanup_free_ const char **added = calloc(a->source_count + 1, sizeof *added);
    struct depends *d = NULL;
    int r =
        added ? came_from_resolve(&from, &d, a->sources, a->source_count, err) : error_nomem(err);

    if (r == 0 && find_added(a, d, added) < 0)
        r = error_nomem(err);
    for (size_t i = 0; i < m->index_count && r == 0; i++) {
        size_t number = source_number(a, repair, &m->indexes[i]);
        size_t at = array_first(k, a->source_count, a->sources[k] < number);

        if (number == SIZE_MAX || !added[at])
            continue;
        out[i] = strdup(added[at]);
        if (!out[i])
            r = error_nomem(err);
    }
    depends_free(d);
    return r;
}

int restore_added(const struct restore *restore, const struct repair *repair, char **out,
                  struct wp_error *err)
{
    struct adding a = {.restore = restore};
    struct wp_error why = {0};
    int r = list_tree(&a, &why);

    if (r == -ENOMEM)
        error_nomem(err);
    else if (r < 0) /* a part of the tree that cannot be read: what was packed is compared all the
                       same */
        r = 0;
    else if (list_sources(&a, repair) < 0)
        r = error_nomem(err);
    if (r == 0 && a.source_count && has_added(&a))
        r = resolve(&a, repair, out, err);
    walk_free(&a.walk);
    free(a.paths);
    free(a.targets);
    free(a.packed);
    free(a.sources);
    return r;
}
