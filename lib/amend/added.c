/* Amending: a module that the archive has and the tree has not, and that a source of the archive
 * imports there: it may hide another one, or have been looked for in vain where caches were made.
 */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"
#include "judge/came_from.h"
#include "numba/caches.h"

struct adding {
    struct amend *a;
    const struct spooled **items; /* of the archive, sorted by path, each once; owned */
    const char **paths;           /* of these; owned */
    const char **targets;         /* of those that are symbolic links, else NULL; owned */
    size_t count;
    size_t *sources; /* numbers in ITEMS, sorted; owned */
    size_t source_count;
};

static int compare_items(const void *a, const void *b)
{
    const struct spooled *x = *(const struct spooled *const *)a;
    const struct spooled *y = *(const struct spooled *const *)b;
    int d = strcmp(x->entry.path, y->entry.path);

    return d != 0 ? d : (x > y) - (x < y);
}

/* The archive's files; of several by one name the last one is what stays when it is unpacked. */
static int list_items(struct adding *w)
{
    const struct spool *s = &w->a->spool;
    size_t n = 0;

    w->items = calloc(s->count + 1, sizeof *w->items);
    w->paths = calloc(s->count + 1, sizeof *w->paths);
    w->targets = calloc(s->count + 1, sizeof *w->targets);
    if (!w->items || !w->paths || !w->targets)
        return -ENOMEM;
    for (size_t i = 0; i < s->count; i++) {
        const struct entry *e = &s->items[i].entry;

        if (e->type != ENTRY_DIR && !caches_is_index(e->path) && !caches_is_data(e->path))
            w->items[n++] = &s->items[i];
    }
    array_sort(w->items, n, compare_items);
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &w->items[i]->entry;

        if (w->count && strcmp(w->paths[w->count - 1], e->path) == 0)
            w->count--;
        w->items[w->count] = w->items[i];
        w->targets[w->count] = e->type == ENTRY_SYMLINK ? e->target : NULL;
        w->paths[w->count++] = e->path;
    }
    return 0;
}

/* The archive's sources to which valid indexes of the tree may go. */
static int list_sources(struct adding *w)
{
    const struct amend *a = w->a;

    for (size_t i = 0; i < a->match_count; i++) {
        const struct match *m = &a->matches[i];
        const struct entry *e = &a->spool.items[m->spooled].entry;
        size_t number = m->same_name && a->survey.valid[m->source] && amend_is_source(e)
                            ? depends_number_of(w->paths, w->count, e->path)
                            : SIZE_MAX;

        if (number == SIZE_MAX)
            continue;
        if (array_add(w->sources, w->source_count, number) < 0)
            return -ENOMEM;
    }
    w->source_count = depends_sort_unique(w->sources, w->source_count);
    return 0;
}

static int read_file(void *ctx, size_t file, struct buf *out, struct wp_error *err)
{
    const struct adding *w = ctx;
    const struct spooled *item = w->items[file];

    buf_clear(out);
    if (item->entry.type != ENTRY_FILE)
        return 0; /* what it leads to is looked at by its own name */
    return spool_content(&w->a->spool, item, out, "cannot read", err);
}

/* Is it a source or a symbolic link that the tree has not, by that name? */
static bool is_added(const struct amend *a, const struct spooled *item)
{
    return (amend_is_source(&item->entry) || item->entry.type == ENTRY_SYMLINK) &&
           !a->known[item - a->spool.items];
}

static bool has_added(const struct adding *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (is_added(w->a, w->items[i]))
            return true;
    return false;
}

static int find_added(const struct adding *w, const struct depends *d)
{
    struct amend *a = w->a;

    for (size_t i = 0; i < a->match_count; i++) {
        struct match *m = &a->matches[i];
        size_t number =
            depends_number_of(w->paths, w->count, a->spool.items[m->spooled].entry.path);
        size_t at = array_first(k, w->source_count, w->sources[k] < number);
        _cleanup_free_ size_t *files = NULL;
        size_t count;

        if (at >= w->source_count || w->sources[at] != number)
            continue;
        if (depends_files(d, d->of_source[at], &files, &count) < 0)
            return -ENOMEM;
        for (size_t k = 0; k < count && !m->added; k++)
            if (is_added(a, w->items[files[k]]))
                m->added = w->paths[files[k]];
    }
    return 0;
}

int amend_find_added(struct amend *a, struct wp_error *err)
{
    struct adding w = {.a = a};
    struct came_from from = {.read = read_file, .ctx = &w};
    struct depends *d = NULL;
    int r = 0;

    if (list_items(&w) < 0 || list_sources(&w) < 0)
        r = error_nomem(err);
    from.paths = w.paths;
    from.count = w.count;
    from.targets = w.targets;
    if (r == 0 && w.source_count && has_added(&w))
        r = came_from_resolve(&from, &d, w.sources, w.source_count, err);
    if (r == 0 && d && find_added(&w, d) < 0)
        r = error_nomem(err);
    depends_free(d);
    came_from_clear(&from);
    free(w.items);
    free(w.paths);
    free(w.targets);
    free(w.sources);
    return r;
}
