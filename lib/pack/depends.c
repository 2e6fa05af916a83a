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
#include "numba/caches.h"
#include "numba/code_names.h"
#include "numba/index.h"
#include "numba/zipped.h"

enum { LARGEST = 1 << 30, MOST_DATA_FILES = 4096 };

/* A module that caches of a source name. */
struct named {
    size_t source;      /* number in pack_depends.items */
    const char *module; /* NULL: there are too many to be told */
};

struct finding {
    const struct pack *p;
    struct pack_depends *out;
    const char **paths;  /* of out->items; owned */
    struct named *named; /* sorted by source when all are there; owned */
    size_t named_count;
    const char **roots; /* owned */
    size_t root_count;
    struct texts texts;
    struct buf text; /* of the file that is read */
};

/* ---- Files -------------------------------------------------------------------------------- */

static int read_spooled(const struct pack *p, const struct walk_item *item, struct buf *text)
{
    ssize_t got;

    if (buf_reserve(text, item->entry.size) < 0)
        return -ENOMEM;
    got = file_read_at(p->spool->fd, text->data, item->entry.size, pack_spooled(p, item)->at);
    if (got < 0 || (uint64_t)got < item->entry.size)
        return got < 0 ? (int)got : -EIO;
    text->size = (size_t)got;
    return 0;
}

/* Python follows a link at a source's place, wherever that leads. */
static int open_item(const struct pack *p, const struct walk_item *item)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    const char *name = item->name ? item->name : item->entry.path;
    int fd;

    if (item->entry.type != ENTRY_SYMLINK)
        return walk_open(&p->walk, item, flags);
    fd = openat(p->walk.root_fds[item->root], name, flags);
    return fd < 0 ? -errno : fd;
}

static bool is_as_known(const struct walk_item *item, const struct stat *st)
{
    return item->entry.type != ENTRY_FILE ||
           ((uint64_t)st->st_size == item->entry.size && time_is(st->st_mtim, item->entry.mtime));
}

/* All of the item, which is empty where it is gone: whoever packs it says so. */
static int read_item(struct finding *f, const struct walk_item *item, struct wp_error *err)
{
    _cleanup_close_ int fd = -1;
    struct stat st;
    int r;

    buf_clear(&f->text);
    if (item->spooled && item->entry.type != ENTRY_FILE)
        return 0; /* what it leads to is looked at by its own name */
    fd = item->spooled ? -1 : open_item(f->p, item);
    if (!item->spooled && (fd == -ENOENT || fd == -ELOOP || fd == -ENOTDIR))
        return 0;
    if (!item->spooled && fd < 0)
        return error_set(err, -fd, item->entry.path, "cannot open");
    if (!item->spooled && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
        return 0;
    if (!item->spooled && !is_as_known(item, &st)) {
        error_set(err, 0, item->entry.path, "changed while it was packed");
        return -EAGAIN;
    }
    r = item->spooled ? read_spooled(f->p, item, &f->text)
                      : file_read_rest(fd, (size_t)st.st_size, LARGEST, &f->text);
    return r == -ENOMEM ? error_nomem(err)
           : r < 0      ? error_set(err, -r, item->entry.path, "cannot read")
                        : 0;
}

/* ---- What caches name --------------------------------------------------------------------- */

static int add_named(struct finding *f, size_t source, const char *module)
{
    struct named *last = f->named_count ? &f->named[f->named_count - 1] : NULL;
    const char *copy = NULL;

    if (last && last->source == source && last->module && module &&
        strcmp(last->module, module) == 0)
        return 0;
    if (module && !(copy = texts_add(&f->texts, module, strlen(module))))
        return -ENOMEM;
    if (array_grow(f->named, f->named_count) < 0)
        return -ENOMEM;
    f->named[f->named_count++] = (struct named){source, copy};
    return 0;
}

/* The directory from which PATH was imported as MODULE is one that modules are imported from. */
static int add_root(struct finding *f, const char *path, const char *module)
{
    ptrdiff_t n = depends_root_of(path, module);
    char *copy;

    for (size_t i = 0; i < f->root_count && n > 0; i++)
        if (strlen(f->roots[i]) == (size_t)n && memcmp(f->roots[i], path, (size_t)n) == 0)
            return 0;
    if (n <= 0)
        return 0;
    copy = texts_add(&f->texts, path, (size_t)n);
    if (!copy || array_grow(f->roots, f->root_count) < 0)
        return -ENOMEM;
    f->roots[f->root_count++] = copy;
    return 0;
}

static int add_names(struct finding *f, size_t source, const struct code_names *names)
{
    int r = names->module ? add_root(f, f->paths[source], names->module) : 0;

    for (size_t i = 0; i < names->function_count && r == 0; i++) {
        const struct code_function *function = &names->functions[i];

        r = add_named(f, source, function->module ? function->module : function->path);
    }
    for (size_t i = 0; i < names->global_count && r == 0; i++)
        r = add_named(f, source, names->globals[i].module);
    return r;
}

static int look_into_data(struct finding *f, size_t source, const struct walk_item *item,
                          struct wp_error *err)
{
    _cleanup_(code_names_clear) struct code_names names = {0};
    int r = read_item(f, item, err);

    if (r < 0)
        return r;
    r = code_names_read_data(&names, f->text.data, f->text.size, NULL);
    if (r == 0)
        r = add_names(f, source, &names);
    else if (r == -EFBIG)
        r = add_named(f, source, NULL);
    return r == -ENOMEM ? error_nomem(err) : 0;
}

static int look_into_index(struct finding *f, size_t source, const struct walk_item *item,
                           const char *dir, struct wp_error *err)
{
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_(code_names_clear) struct code_names names = {0};
    _cleanup_buf_ struct buf text = {0};
    int r = read_item(f, item, err);

    if (r < 0)
        return r;
    text = f->text;
    f->text = (struct buf){0};
    if (index_read(&index, text.data, text.size, NULL) < 0)
        return 0;
    r = code_names_read_index(&names, &index, NULL);
    r = r == -EFBIG || index.count > MOST_DATA_FILES ? add_named(f, source, NULL)
        : r == 0                                     ? add_names(f, source, &names)
                                                     : r;
    if (r == -ENOMEM)
        return error_nomem(err);
    r = 0;
    for (size_t i = 0; i < index.count && i < MOST_DATA_FILES && r == 0; i++) {
        _cleanup_free_ char *path = path_join(dir, index.overloads[i].data);
        const struct walk_item *data = path ? pack_source(f->p, path) : NULL;

        if (!path)
            return error_nomem(err);
        r = data ? look_into_data(f, source, data, err) : 0;
    }
    return r;
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
    f->paths = calloc(w->count + 1, sizeof *f->paths);
    if (!f->out->items || !f->paths)
        return -ENOMEM;
    for (size_t i = 0; i < w->count; i++) {
        const char *path = w->items[i].entry.path;

        if (w->items[i].gone || w->items[i].entry.type == ENTRY_DIR || caches_is_index(path) ||
            caches_is_data(path))
            continue;
        f->paths[f->out->count] = path;
        f->out->items[f->out->count++] = i;
    }
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return (x > y) - (x < y);
}

/* Looks into all caches, and lists their sources, each once. */
static int look_into_caches(struct finding *f, struct wp_error *err)
{
    const struct walk *w = &f->p->walk;
    struct pack_depends *out = f->out;
    size_t n = 0;

    for (size_t i = 0; i < w->count; i++) {
        const struct walk_item *item = &w->items[i];
        _cleanup_free_ char *dir = NULL;
        size_t source;
        int r;

        if (item->gone || item->entry.type != ENTRY_FILE || !caches_is_index(item->entry.path))
            continue;
        dir = path_dir(item->entry.path);
        r = dir ? source_of(f, item, dir, &source, err) : error_nomem(err);
        if (r == 0 && source != SIZE_MAX && array_grow(out->sources, out->source_count) < 0)
            r = error_nomem(err);
        if (r == 0 && source != SIZE_MAX) {
            out->sources[out->source_count++] = source;
            r = look_into_index(f, source, item, dir, err);
        }
        if (r < 0)
            return r;
    }
    if (out->source_count)
        qsort(out->sources, out->source_count, sizeof *out->sources, compare_numbers);
    for (size_t i = 0; i < out->source_count; i++)
        if (n == 0 || out->sources[n - 1] != out->sources[i])
            out->sources[n++] = out->sources[i];
    out->source_count = n;
    return 0;
}

/* ---- The sets ----------------------------------------------------------------------------- */

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;

    return (x->source > y->source) - (x->source < y->source);
}

static int imports_of(void *arg, size_t file, struct imports *out, struct wp_error *err)
{
    struct finding *f = arg;
    int r = read_item(f, &f->p->walk.items[f->out->items[file]], err);

    if (r == 0)
        r = imports_scan(out, f->text.data, f->text.size, err);
    for (size_t i = array_first(k, f->named_count, f->named[k].source < file);
         r == 0 && i < f->named_count && f->named[i].source == file; i++) {
        if (!f->named[i].module)
            out->dynamic = "too many names in its caches";
        else if (imports_add(out, f->named[i].module) < 0)
            r = error_nomem(err);
    }
    return r;
}

/* The name by which the directory that is packed is imported, where it is a package itself.
 * Allocated, or NULL. 0 or -ENOMEM. */
static int name_top(const struct pack *p, char **out)
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

        if (buf_printf(&longer, name.size ? "%s.%s" : "%s", path_base(dir), (char *)name.data) <
                0 ||
            buf_terminate(&longer) < 0)
            return -ENOMEM;
        buf_free(&name);
        name = longer;
        longer = (struct buf){0};
        above = path_dir(dir);
        init = above ? path_join(above, "__init__.py") : NULL;
        if (!init)
            return -ENOMEM;
        if (stat(init, &st) < 0)
            break;
        free(dir);
        dir = take_ptr(above);
    }
    if (!dir)
        return -ENOMEM;
    *out = name.size ? (char *)take_ptr(name.data) : NULL;
    return 0;
}

static int resolve(struct finding *f, struct wp_error *err)
{
    _cleanup_free_ char *package = NULL;
    struct depends_tree tree = {.paths = f->paths,
                                .count = f->out->count,
                                .roots = f->roots,
                                .root_count = f->root_count,
                                .imports = imports_of,
                                .arg = f};

    if (name_top(f->p, &package) < 0)
        return error_nomem(err);
    tree.package = package;
    if (f->named_count)
        qsort(f->named, f->named_count, sizeof *f->named, compare_named);
    return depends_resolve(&f->out->sets, &tree, f->out->sources, f->out->source_count, err);
}

int pack_depends_find(struct pack_depends *out, const struct pack *p, struct wp_error *err)
{
    struct finding f = {.p = p, .out = out};
    int r = list_files(&f) < 0 ? error_nomem(err) : look_into_caches(&f, err);

    if (r == 0 && out->source_count)
        r = resolve(&f, err);
    free(f.paths);
    free(f.named);
    free(f.roots);
    texts_free(&f.texts);
    buf_free(&f.text);
    return r;
}

void pack_depends_clear(struct pack_depends *d)
{
    depends_free(d->sets);
    free(d->items);
    free(d->sources);
    *d = (struct pack_depends){0};
}

size_t pack_depends_of(const struct pack_depends *d, size_t item)
{
    size_t at = array_first(i, d->source_count, d->items[d->sources[i]] < item);

    return at < d->source_count && d->items[d->sources[at]] == item ? d->sets->of_source[at]
                                                                    : SIZE_MAX;
}
