/* Packing: finds which files the code of each index can come from, by the imports of its source and
 * by the names that its keys and data files hold. */

#include "depends.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/times.h"
#include "judge/named.h"
#include "numba/caches.h"
#include "numba/zipped.h"
#include "tree/beneath.h"

enum { LARGEST = 1 << 30 };

struct finding {
    const struct pack *p;
    struct pack_depends *out;
    const char *dir; /* of the index that is looked into */
};

/* ---- Files -------------------------------------------------------------------------------- */

static int open_item(const struct pack *p, const struct walk_item *item)
{
    return item->entry.type == ENTRY_SYMLINK
               ? pack_open_linked(p, item)
               : walk_open(&p->walk, item, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static bool is_as_known(const struct walk_item *item, const struct stat *st)
{
    return item->entry.type != ENTRY_FILE ||
           ((uint64_t)st->st_size == item->entry.size && time_is(st->st_mtim, item->entry.mtime));
}

/* All of the item, which is empty where it is gone: whoever packs it says so. */
static int read_item(const struct finding *f, const struct walk_item *item, struct buf *text,
                     struct wp_error *err)
{
    _cleanup_close_ int fd = -1;
    struct stat st;
    int r;

    buf_clear(text);
    if (item->spooled && item->entry.type != ENTRY_FILE)
        return 0; /* what it leads to is looked at by its own name */
    fd = item->spooled ? -1 : open_item(f->p, item);
    if (!item->spooled && beneath_is_absence(fd))
        return 0;
    if (!item->spooled && fd < 0)
        return error_set(err, -fd, item->entry.path, "cannot open");
    if (!item->spooled && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
        return 0;
    if (!item->spooled && !is_as_known(item, &st)) {
        error_set(err, 0, item->entry.path, "changed while it was packed");
        return -EAGAIN;
    }
    r = item->spooled
            ? spool_content(f->p->spool, pack_spooled(f->p, item), text, "cannot read", err)
            : file_read_rest(fd, (size_t)st.st_size, LARGEST, text);
    return r == -ENOMEM ? error_nomem(err)
           : r < 0      ? error_set(err, -r, item->entry.path, "cannot read")
                        : 0;
}

/* ---- Caches ------------------------------------------------------------------------------- */

static int read_data(void *ctx, const char *name, struct buf *out, struct wp_error *err)
{
    const struct finding *f = ctx;
    _cleanup_free_ char *path = path_join(f->dir, name);
    const struct walk_item *data = path ? pack_source(f->p, path) : NULL;

    if (!path)
        return error_nomem(err);
    return data ? read_item(f, data, out, err) : 0;
}

static int look_into_index(struct finding *f, size_t source, const struct walk_item *item,
                           const char *dir, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    int r = read_item(f, item, &text, err);

    f->dir = dir;
    return r < 0 ? r
                 : came_from_look(&f->out->from, source, (size_t)(item - f->p->walk.items), &text,
                                  read_data, f, err);
}

/* ---- Sources ------------------------------------------------------------------------------ */

static bool exists(void *ctx, const char *path)
{
    return pack_source(ctx, path) != NULL;
}

/* The number in F's items of the source that the index ITEM belongs to; SIZE_MAX: it is not packed.
 * The item by that name, which may be a link; of a source in a zip the zip. */
static int source_of(const struct finding *f, const struct walk_item *item, const char *dir,
                     size_t *out, struct wp_error *err)
{
    const struct pack *p = f->p;
    const char *misplaced;
    _cleanup_free_ char *sources = manifest_source_dir(&p->manifest, dir, &misplaced);
    _cleanup_free_ char *source = NULL;
    const struct walk_item *found;
    size_t at, number;
    bool there;

    *out = SIZE_MAX;
    source = sources
                 ? caches_source_of(path_base(item->entry.path), sources, exists, (void *)p, &there)
                 : NULL;
    if (!source)
        return error_nomem(err);
    if (!there)
        return 0;
    found = walk_find(&p->walk, source);
    if (!found)
        found = pack_source(p, source);
    if (!found)
        return 0;
    number = (size_t)(found - p->walk.items);
    at = array_first(i, f->out->count, f->out->items[i] < number);
    if (at < f->out->count && f->out->items[at] == number)
        *out = at;
    return 0;
}

static int list_files(struct finding *f)
{
    const struct walk *w = &f->p->walk;

    f->out->items = calloc(w->count + 1, sizeof *f->out->items);
    f->out->paths = calloc(w->count + 1, sizeof *f->out->paths);
    f->out->targets = calloc(w->count + 1, sizeof *f->out->targets);
    if (!f->out->items || !f->out->paths || !f->out->targets)
        return -ENOMEM;
    for (size_t i = 0; i < w->count; i++) {
        const char *path = w->items[i].entry.path;

        if (w->items[i].gone || w->items[i].entry.type == ENTRY_DIR || caches_is_index(path) ||
            caches_is_data(path))
            continue;
        if (w->items[i].entry.type == ENTRY_SYMLINK)
            f->out->targets[f->out->count] = w->items[i].entry.target;
        f->out->paths[f->out->count] = path;
        f->out->items[f->out->count++] = i;
    }
    return 0;
}

/* Looks into all caches, and lists their sources, each once. */
static int look_into_caches(struct finding *f, struct wp_error *err)
{
    const struct walk *w = &f->p->walk;
    struct pack_depends *out = f->out;

    for (size_t i = 0; i < w->count; i++) {
        const struct walk_item *item = &w->items[i];
        _cleanup_free_ char *dir = NULL;
        size_t source;
        int r;

        if (item->gone || item->entry.type != ENTRY_FILE || !caches_is_index(item->entry.path))
            continue;
        dir = path_dir(item->entry.path);
        r = dir ? source_of(f, item, dir, &source, err) : error_nomem(err);
        if (r < 0)
            return r;
        if (source == SIZE_MAX)
            continue;
        if (array_add(out->sources, out->source_count, source) < 0)
            return error_nomem(err);
        r = look_into_index(f, source, item, dir, err);
        if (r < 0)
            return r;
    }
    out->source_count = depends_sort_unique(out->sources, out->source_count);
    return 0;
}

/* ---- The sets ----------------------------------------------------------------------------- */

static int read_file(void *ctx, size_t file, struct buf *out, struct wp_error *err)
{
    const struct finding *f = ctx;

    return read_item(f, &f->p->walk.items[f->out->items[file]], out, err);
}

static bool known_imports(void *ctx, size_t file, struct imports *out)
{
    const struct finding *f = ctx;

    return pack_imports_take(f->p, f->out->items[file], out);
}

/* The name by which the directory that is packed is imported, where it is a package itself.
 * Allocated, or NULL. 0 or negative errno. */
static int name_top(const struct pack *p, char **out, struct wp_error *err)
{
    const char *root = p->manifest.root_count == 1 ? p->manifest.roots[0] : NULL;
    _cleanup_free_ char *dir = NULL;
    _cleanup_buf_ struct buf name = {0};

    *out = NULL;
    if (!root || !walk_find(&p->walk, "__init__.py"))
        return 0;
    dir = strdup(root);
    while (dir && *path_base(dir)) {
        _cleanup_free_ char *above = NULL, *init = NULL;
        _cleanup_buf_ struct buf longer = {0};
        struct stat st;

        if (buf_printf(&longer, name.size ? "%s.%s" : "%s", path_base(dir), (char *)name.data) < 0)
            return error_nomem(err);
        buf_free(&name);
        name = longer;
        longer = (struct buf){0};
        above = path_dir(dir);
        init = above ? path_join(above, "__init__.py") : NULL;
        if (!init)
            return error_nomem(err);
        if (stat(init, &st) < 0) {
            if (!beneath_is_out_of_reach(-errno))
                return error_set(err, errno, init, "cannot stat");
            break;
        }
        free(dir);
        dir = take_ptr(above);
    }
    if (!dir)
        return error_nomem(err);
    *out = name.size ? (char *)take_ptr(name.data) : NULL;
    return 0;
}

int pack_depends_find(struct pack_depends *out, const struct pack *p, struct wp_error *err)
{
    struct finding f = {.p = p, .out = out};
    _cleanup_free_ char *package = NULL;
    int r = list_files(&f) < 0 ? error_nomem(err) : name_top(p, &package, err);

    out->from = (struct came_from){.paths = out->paths,
                                   .count = out->count,
                                   .targets = out->targets,
                                   .package = package,
                                   .python = p->o->python,
                                   .context = p->context,
                                   .read = read_file,
                                   .known = known_imports,
                                   .ctx = &f};
    if (r == 0)
        r = look_into_caches(&f, err);
    if (r == 0)
        r = named_find(&out->from, err);
    if (r == 0 && out->source_count)
        r = came_from_resolve(&out->from, &out->sets, out->sources, out->source_count, err);
    out->from.package = NULL;
    out->from.ctx = NULL; /* nothing is read any more */
    return r;
}

bool pack_depends_renumber(struct pack_depends *d, const struct walk *w,
                           bool (*goes)(const struct walk_item *item, void *ctx), void *ctx)
{
    size_t kept = 0, at = 0;

    if (!d->sets || d->from.wrong_count)
        return false;
    for (size_t i = 0; i < w->count; i++) {
        bool stays = !goes(&w->items[i], ctx);

        if (!stays && caches_is_part(w->items[i].entry.path))
            return false;
        if (at < d->count && d->items[at] == i)
            d->items[at++] = stays ? kept : SIZE_MAX;
        kept += stays;
    }
    free(take_ptr(d->paths));
    free(take_ptr(d->targets));
    d->from.count = 0;
    return true;
}

void pack_depends_clear(struct pack_depends *d)
{
    depends_free(d->sets);
    came_from_clear(&d->from);
    free(d->paths);
    free(d->targets);
    free(d->items);
    free(d->sources);
    *d = (struct pack_depends){0};
}

void pack_depends_free(struct pack_depends **d)
{
    if (*d)
        pack_depends_clear(*d);
    free(take_ptr(*d));
}

size_t pack_depends_of(const struct pack_depends *d, size_t item)
{
    size_t at = array_first(i, d->source_count, d->items[d->sources[i]] < item);

    return at < d->source_count && d->items[d->sources[at]] == item ? d->sets->of_source[at]
                                                                    : SIZE_MAX;
}
