/* Knows the modules of a tree by name: files, packages, and the directories they are found from. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "numba/depends_private.h"

#define INIT "__init__"

size_t depends_parent(const char *path, size_t size)
{
    const char *slash = size ? memrchr(path, '/', size) : NULL;

    return slash ? (size_t)(slash - path) : 0;
}

static const char *base_of(const char *path, size_t size)
{
    const char *slash = size ? memrchr(path, '/', size) : NULL;

    return slash ? slash + 1 : path;
}

/* The size of the key of a module's file, or 0 if the file is no module. Compiled modules have a
 * tag before the suffix: "low.cpython-311-x86_64-linux-gnu.so". */
static size_t key_size(const char *path)
{
    const char *base = base_of(path, strlen(path)), *dot = strchr(base, '.');
    const char *suffix = strrchr(base, '.');

    if (!dot || dot == base)
        return 0;
    if (strcmp(dot, ".py") == 0 || strcmp(dot, ".pyw") == 0 || strcmp(dot, ".pyc") == 0 ||
        strcmp(suffix, ".so") == 0 || strcmp(suffix, ".pyd") == 0)
        return (size_t)(dot - path);
    return 0;
}

/* Of wheels, those for any platform: no compiled module can be imported from a zip. The others lie
 * there to be installed. */
bool depends_is_zip(const char *path)
{
    return path_has_suffix(path, ".zip") || path_has_suffix(path, ".egg") ||
           path_has_suffix(path, "-any.whl") || path_has_suffix(path, ".pyz");
}

bool depends_is_module(const char *path)
{
    return key_size(path) > 0 || path_has_suffix(path, ".py") || depends_is_zip(path);
}

static int compare_keys(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int d = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return d != 0 ? d : (a_size > b_size) - (a_size < b_size);
}

static int compare_modules(const void *a, const void *b)
{
    const struct depends_module *x = a, *y = b;
    int d = compare_keys(x->key, x->size, y->key, y->size);

    return d != 0 ? d : (x->file > y->file) - (x->file < y->file);
}

static int compare_name(const struct depends_entry *e, const char *name, size_t size)
{
    return compare_keys(e->key + e->name_at, e->size - e->name_at, name, size);
}

static int compare_entries(const void *a, const void *b)
{
    const struct depends_entry *x = a, *y = b;
    int d = compare_name(x, y->key + y->name_at, y->size - y->name_at);

    return d != 0 ? d : compare_keys(x->key, x->size, y->key, y->size);
}

static int add_modules(struct depends_index *x)
{
    for (size_t i = 0; i < x->tree->count; i++) {
        const char *path = x->tree->paths[i];
        size_t size = key_size(path);

        if (size == 0)
            continue;
        if (array_add(x->modules, x->module_count,
                      (struct depends_module){path, (uint32_t)size, (uint32_t)i}) < 0)
            return -ENOMEM;
    }
    array_sort(x->modules, x->module_count, compare_modules);
    for (size_t i = 0; i < x->module_count; i++)
        if (text_table_put(&x->by_key, x->modules[i].key, x->modules[i].size, (uint32_t)i) < 0)
            return -ENOMEM;
    return 0;
}

/* Adds a directory and its parents. */
static int add_dir(struct depends_index *x, const char *path, size_t size)
{
    for (;; size = depends_parent(path, size)) {
        const char *base = base_of(path, size);
        size_t n = size - (size_t)(base - path);
        struct depends_dir dir = {.path = path, .size = (uint32_t)size};
        int r;

        if (text_table_get(&x->by_dir, path, size) != NONE)
            return 0;
        dir.installed = n == strlen("site-packages") && (memcmp(base, "site-packages", n) == 0 ||
                                                         memcmp(base, "dist-packages", n) == 0);
        r = array_grow(x->dirs, x->dir_count);
        if (r == 0)
            r = text_table_put(&x->by_dir, path, size, (uint32_t)x->dir_count);
        if (r < 0)
            return r;
        x->dirs[x->dir_count++] = dir;
        if (size == 0)
            return 0;
    }
}

/* Marks directories that hold *.dist-info: packages are installed there. */
static void mark_installed(struct depends_index *x)
{
    for (size_t i = 0; i < x->tree->count; i++) {
        const char *path = x->tree->paths[i], *mark = strstr(path, ".dist-info/");
        uint32_t dir;

        if (!mark)
            continue;
        dir = depends_index_dir(x, path, depends_parent(path, (size_t)(mark - path)));
        if (dir != NONE)
            x->dirs[dir].installed = true;
    }
}

/* In a directory without sources, such as dist or wheelhouse, wheels are there to be installed, and
 * applications to be run. */
static bool is_imported_from(struct depends_index *x, const char *path)
{
    return depends_is_zip(path) &&
           (!(path_has_suffix(path, ".whl") || path_has_suffix(path, ".pyz")) ||
            x->dirs[depends_index_dir(x, path, depends_parent(path, strlen(path)))].sources);
}

static int add_zips(struct depends_index *x)
{
    for (size_t i = 0; i < x->tree->count; i++)
        if (is_imported_from(x, x->tree->paths[i]) &&
            array_add(x->zips, x->zip_count, (uint32_t)i) < 0)
            return -ENOMEM;
    return 0;
}

/* ---- Symbolic links to directories --------------------------------------------------------- */

enum { MOST_LINKS = 40 }; /* as Linux follows */

/* PATH, of SIZE bytes, leads through the link AT: *OUT, allocated, becomes what it leads to,
 * without dots; NULL: out of the tree. 0 or -ENOMEM. */
static int leave_link(const struct depends_tree *tree, const char *path, size_t size, uint32_t at,
                      char **out)
{
    const char *link = tree->paths[at], *rest = path + strlen(link);
    _cleanup_buf_ struct buf joined = {0};
    size_t above = depends_parent(link, strlen(link));

    *out = NULL;
    if (tree->targets[at][0] == '/')
        return 0;
    if (buf_add(&joined, link, above) < 0 ||
        buf_printf(&joined, "%s%s%.*s", above ? "/" : "", tree->targets[at],
                   (int)(size - strlen(link)), rest) < 0)
        return -ENOMEM;
    *out = path_normalise((char *)joined.data);
    if (!*out)
        return -ENOMEM;
    if (strncmp(*out, "..", 2) == 0 && (!(*out)[2] || (*out)[2] == '/'))
        free(take_ptr(*out));
    return 0;
}

/* The link that PATH is, or that stands above it; NONE: there is none. */
static uint32_t first_link(const struct text_table *links, const char *path)
{
    uint32_t at = NONE;

    for (const char *end = path; at == NONE && *end;) {
        end += *end == '/';
        end += strcspn(end, "/");
        at = text_table_get(links, path, (size_t)(end - path));
    }
    return at;
}

/* *DIR becomes the directory with modules beneath that the link AT leads to, or NONE; WAY, of
 * MOST_LINKS, the COUNT links by which it does, itself first. 0 or -ENOMEM. */
static int follow_link(const struct depends_index *x, uint32_t at, uint32_t *dir, uint32_t *way,
                       size_t *count)
{
    _cleanup_free_ char *path = strdup(x->tree->paths[at]);
    int r = path ? 0 : -ENOMEM;

    *dir = NONE;
    for (*count = 0; r == 0 && path && at != NONE;) {
        char *next = NULL;

        if (*count >= MOST_LINKS)
            return 0;
        way[(*count)++] = at;
        r = leave_link(x->tree, path, strlen(path), at, &next);
        free(path);
        path = next;
        at = path ? first_link(&x->symlinks, path) : NONE;
    }
    if (r == 0 && path)
        *dir = strcmp(path, ".") == 0 ? depends_index_dir(x, "", 0)
                                      : depends_index_dir(x, path, strlen(path));
    return r;
}

static int add_link(struct depends_index *x, uint32_t file, uint32_t dir)
{
    const char *path = x->tree->paths[file];
    const size_t size = strlen(path);
    int r = text_table_put(&x->by_link, path, size, (uint32_t)x->link_count);

    if (r == 0)
        r = array_add(x->links, x->link_count,
                      (struct depends_dirlink){path, (uint32_t)size, file, dir});
    return r == 0 ? add_dir(x, path, depends_parent(path, size)) : r;
}

/* Adds the link FILE if it leads to a directory and is not yet known. Sets *ANY if so. */
static int try_link(struct depends_index *x, uint32_t file, bool *any)
{
    const char *path = x->tree->paths[file];
    uint32_t dir, way[MOST_LINKS];
    size_t count;
    int r;

    if (!x->tree->targets[file] || key_size(path) > 0 ||
        text_table_get(&x->by_link, path, strlen(path)) != NONE)
        return 0;
    r = follow_link(x, file, &dir, way, &count);
    if (r < 0 || dir == NONE)
        return r;
    *any = true;
    return add_link(x, file, dir);
}

/* Where links lead may have no modules beneath but those behind other links, so all are tried
 * again. */
static int add_links(struct depends_index *x)
{
    const struct depends_tree *tree = x->tree;
    bool any = true;
    int r = 0;

    for (size_t i = 0; i < tree->count && tree->targets && r == 0; i++)
        if (tree->targets[i])
            r = text_table_put(&x->symlinks, tree->paths[i], strlen(tree->paths[i]), (uint32_t)i);
    for (int pass = 0; pass < MOST_LINKS && any && x->symlinks.count && r == 0; pass++) {
        any = false;
        for (size_t i = 0; i < tree->count && r == 0; i++)
            r = try_link(x, (uint32_t)i, &any);
    }
    return r;
}

int depends_index_way(const struct depends_index *x, const struct depends_dirlink *link,
                      uint32_t **way, size_t *count)
{
    uint32_t dir;

    *way = calloc(MOST_LINKS, sizeof **way);
    return *way ? follow_link(x, link->file, &dir, *way, count) : -ENOMEM;
}

const struct depends_dirlink *depends_index_link(const struct depends_index *x, const char *path,
                                                 size_t size)
{
    uint32_t at = x->link_count ? text_table_get(&x->by_link, path, size) : NONE;

    return at == NONE ? NULL : &x->links[at];
}

uint32_t depends_index_place(const struct depends_index *x, const char *path, size_t size)
{
    const struct depends_dirlink *link = depends_index_link(x, path, size);

    return link ? link->dir : depends_index_dir(x, path, size);
}

/* ---- Directories --------------------------------------------------------------------------- */

static int add_dirs(struct depends_index *x)
{
    int r = add_dir(x, "", 0);

    for (size_t i = 0; r == 0 && i < x->module_count; i++) {
        const struct depends_module *m = x->modules + i;

        r = add_dir(x, m->key, depends_parent(m->key, m->size));
    }
    /* A script counts too, even if its name cannot be that of a module. */
    for (size_t i = 0; r == 0 && i < x->tree->count; i++) {
        const char *path = x->tree->paths[i];
        const size_t size = depends_parent(path, strlen(path));
        const bool source = path_has_suffix(path, ".py");

        if (!source && !depends_is_zip(path))
            continue;
        r = add_dir(x, path, size);
        if (r == 0 && source)
            x->dirs[depends_index_dir(x, path, size)].sources = true;
    }
    if (r == 0)
        r = add_links(x);
    if (r < 0)
        return r;
    mark_installed(x);
    for (size_t i = 0; i < x->module_count; i++) {
        const struct depends_module *m = x->modules + i;
        const char *base = base_of(m->key, m->size);

        if (m->size - (size_t)(base - m->key) == strlen(INIT) &&
            memcmp(base, INIT, strlen(INIT)) == 0)
            x->dirs[depends_index_dir(x, m->key, depends_parent(m->key, m->size))].regular = true;
    }
    for (size_t i = 0; i < x->dir_count; i++)
        x->dirs[i].root = !x->dirs[i].regular || x->dirs[i].size == 0;
    for (size_t i = 0; i < x->tree->root_count; i++) {
        uint32_t dir = depends_index_dir(x, x->tree->roots[i], strlen(x->tree->roots[i]));

        if (dir != NONE)
            x->dirs[dir].root = true;
    }
    return 0;
}

static int add_entry(struct depends_index *x, const char *key, size_t size)
{
    const char *base = base_of(key, size);
    size_t parent = depends_parent(key, size);

    if (size == 0 || !x->dirs[depends_index_dir(x, key, parent)].root)
        return 0;
    if (array_add(x->entries, x->entry_count,
                  (struct depends_entry){key, (uint32_t)size, (uint32_t)(base - key)}) < 0)
        return -ENOMEM;
    return 0;
}

static int add_entries(struct depends_index *x)
{
    size_t kept = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < x->module_count; i++)
        r = add_entry(x, x->modules[i].key, x->modules[i].size);
    for (size_t i = 0; r == 0 && i < x->dir_count; i++)
        r = add_entry(x, x->dirs[i].path, x->dirs[i].size);
    for (size_t i = 0; r == 0 && i < x->link_count; i++)
        r = add_entry(x, x->links[i].path, x->links[i].size);
    if (r < 0 || x->entry_count == 0)
        return r;
    array_sort(x->entries, x->entry_count, compare_entries);
    for (size_t i = 0; i < x->entry_count; i++)
        if (kept == 0 || compare_entries(x->entries + kept - 1, x->entries + i) != 0)
            x->entries[kept++] = x->entries[i];
    x->entry_count = kept;
    return 0;
}

static void add_name(struct depends_index *x, const char *path, size_t size)
{
    const char *base = base_of(path, size);
    size_t bit = (size_t)text_hash(base, size - (size_t)(base - path)) & (x->name_bits - 1);

    x->names[bit / 64] |= (uint64_t)1 << bit % 64;
}

/* At least eight bits for each name, so that few of them are set. */
static int add_last_parts(struct depends_index *x)
{
    size_t bits = 64;

    while (bits / 8 < x->module_count + x->dir_count + x->link_count)
        bits *= 2;
    x->names = calloc(bits / 64, sizeof *x->names);
    if (!x->names)
        return -ENOMEM;
    x->name_bits = bits;
    for (size_t i = 0; i < x->module_count; i++)
        add_name(x, x->modules[i].key, x->modules[i].size);
    for (size_t i = 0; i < x->dir_count; i++)
        add_name(x, x->dirs[i].path, x->dirs[i].size);
    for (size_t i = 0; i < x->link_count; i++)
        add_name(x, x->links[i].path, x->links[i].size);
    return 0;
}

int depends_index_make(struct depends_index *x, const struct depends_tree *tree)
{
    int r;

    *x = (struct depends_index){.tree = tree};
    r = add_modules(x);
    if (r == 0)
        r = add_dirs(x);
    if (r == 0)
        r = add_zips(x);
    if (r == 0)
        r = add_entries(x);
    if (r == 0)
        r = add_last_parts(x);
    return r;
}

void depends_index_clear(struct depends_index *x)
{
    free(x->modules);
    free(x->dirs);
    free(x->entries);
    free(x->names);
    free(x->links);
    free(x->zips);
    text_table_free(&x->by_key);
    text_table_free(&x->by_dir);
    text_table_free(&x->by_link);
    text_table_free(&x->symlinks);
    *x = (struct depends_index){0};
}

uint32_t depends_index_module(const struct depends_index *x, const char *key, size_t size)
{
    return text_table_get(&x->by_key, key, size);
}

uint32_t depends_index_dir(const struct depends_index *x, const char *path, size_t size)
{
    return text_table_get(&x->by_dir, path, size);
}

bool depends_index_has_name(const struct depends_index *x, const char *name, size_t size)
{
    size_t bit = (size_t)text_hash(name, size) & (x->name_bits - 1);

    return x->names[bit / 64] >> bit % 64 & 1;
}

size_t depends_index_entries(const struct depends_index *x, const char *name, size_t size,
                             size_t *end)
{
    size_t first;

    *end = x->entry_count;
    if (!depends_index_has_name(x, name, size))
        return x->entry_count;
    first = array_first(i, x->entry_count, compare_name(&x->entries[i], name, size) < 0);
    *end = first;
    while (*end < x->entry_count && compare_name(&x->entries[*end], name, size) == 0)
        ++*end;
    return first;
}

/* Does M's key stand before that of D with a byte C behind it? */
static bool is_before(const struct depends_module *m, const struct depends_dir *d, char c)
{
    int order = memcmp(m->key, d->path, m->size < d->size ? m->size : d->size);

    if (order == 0)
        order = m->size <= d->size ? -1 : (unsigned char)m->key[d->size] - (unsigned char)c;
    return order < 0;
}

static size_t lower(const struct depends_index *x, const struct depends_dir *d, char c)
{
    return array_first(i, x->module_count, is_before(&x->modules[i], d, c));
}

void depends_index_beneath(const struct depends_index *x, uint32_t dir, size_t *first, size_t *end)
{
    const struct depends_dir *d = x->dirs + dir;

    *first = d->size ? lower(x, d, '/') : 0;
    *end = d->size ? lower(x, d, '/' + 1) : x->module_count;
}
