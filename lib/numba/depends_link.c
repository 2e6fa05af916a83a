/* Finds the edges of one file: the files that its import statements load. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "numba/depends_private.h"

/* Enters each part of a dotted name in turn. */
static void enter_all(struct depends_linker *l, struct depends_place *p, const char *name)
{
    while (*name && p->there) {
        size_t n = strcspn(name, ".");

        depends_enter(l, p, name, n);
        name += n + (name[n] == '.');
    }
}

/* The source binds a name to the package at P: it can use modules of that package as attributes,
 * once somebody has loaded them. */
static void bind(struct depends_linker *l, const struct depends_place *p)
{
    const struct depends_index *x = l->index;
    uint32_t dir = p->there ? depends_index_dir(x, depends_place_path(p), p->path.size) : NONE;
    const struct buf *text;

    if (dir == NONE ||
        x->dirs[depends_index_dir(x, depends_place_path(p),
                                  depends_parent(depends_place_path(p), p->path.size))]
            .installed)
        return;
    text = depends_text_of(l);
    if (text)
        depends_link_attributes(l, dir, text);
}

/* The names behind "import", which may be modules; a star is all of them. */
static void enter_names(struct depends_linker *l, struct depends_place *p,
                        const struct imports *found, const struct import *s)
{
    const char *name = imports_names(found, s);
    _cleanup_buf_ struct buf base = {0};
    size_t size = p->path.size;

    if (!p->there || l->r < 0)
        return;
    l->r = buf_add(&base, depends_place_path(p), size); /* a name can be a link to elsewhere */
    if (!s->from)
        bind(l, p);
    if (s->star)
        depends_add_node(
            l,
            depends_star_node(l->index, depends_index_dir(l->index, depends_place_path(p), size)));
    for (size_t i = 0; i < s->name_count; i++, name = imports_next_name(name)) {
        if (!depends_index_has_name(l->index, name, strlen(name)))
            continue; /* a function or something else that is not a module */
        depends_enter(l, p, name, strlen(name));
        bind(l, p);
        p->path.size = 0;
        if (l->r == 0)
            l->r = buf_add(&p->path, base.data, size);
        p->there = true;
    }
}

/* Imports from the directory that is the first SIZE bytes of FILE. */
static void link_from(struct depends_linker *l, struct depends_place *p, const char *file,
                      size_t size, const struct imports *found, const struct import *s)
{
    depends_start_place(l, p, file, size);
    depends_add_init(l, file, size);
    enter_all(l, p, imports_module(found, s));
    enter_names(l, p, found, s);
}

/* How many directories above PATH, of SIZE bytes, is DIR? 0: it is PATH. -1: it is none of them. */
static int depth_beneath(const struct depends_dir *dir, const char *path, size_t size)
{
    int depth = 0;

    for (; size > dir->size; size = depends_parent(path, size))
        depth++;
    return size == dir->size && memcmp(path, dir->path, size) == 0 ? depth : -1;
}

enum { MOST_WAYS = 256 }; /* up through links, for one import */

/* A file in directory PATH, of SIZE bytes, may have been loaded through a symbolic link to that one
 * or to one above it: UP directories up are then the link's own surroundings. */
static void link_relative_through(struct depends_linker *l, struct depends_place *p,
                                  const char *path, size_t size, uint32_t up, size_t *ways,
                                  const struct imports *found, const struct import *s)
{
    const struct depends_index *x = l->index;

    for (size_t i = 0; i < x->link_count && up > 0; i++) {
        const struct depends_dirlink *link = &x->links[i];
        int depth = depth_beneath(&x->dirs[link->dir], path, size);
        uint32_t left = up - (uint32_t)depth;
        size_t above = link->size;

        if (depth < 0 || (uint32_t)depth >= up || *ways >= MOST_WAYS)
            continue;
        ++*ways;
        link_relative_through(l, p, link->path, link->size, left, ways, found, s);
        for (; left > 0 && above > 0; left--)
            above = depends_parent(link->path, above);
        if (left == 0)
            link_from(l, p, link->path, above, found, s);
    }
}

/* "from ..a import b": each dot but the first goes up from the file's directory. */
static void link_relative(struct depends_linker *l, struct depends_place *p, const char *file,
                          const struct imports *found, const struct import *s)
{
    const struct depends_index *x = l->index;
    const char *package = x->tree->package;
    size_t size = depends_parent(file, strlen(file)), ways = 0;

    link_relative_through(l, p, file, size, s->level - 1, &ways, found, s);
    for (uint32_t i = 1; i < s->level; i++) {
        if (size == 0) { /* above the tree's top */
            depends_add_outside(l, package ? package : "..", package ? strcspn(package, ".") : 2);
            return;
        }
        size = depends_parent(file, size);
    }
    link_from(l, p, file, size, found, s);
}

/* Is the module the tree's own top, or in it? Then *REST is what follows. */
static bool is_in_package(const char *package, const char *module, const char **rest)
{
    size_t n = package ? strlen(package) : 0;

    if (n == 0 || strncmp(module, package, n) != 0 || (module[n] && module[n] != '.'))
        return false;
    *rest = module + n + (module[n] == '.');
    return true;
}

/* Is entry E a regular package that FILE lies in? */
static bool is_own_package(struct depends_linker *l, const char *file,
                           const struct depends_entry *e)
{
    return strncmp(file, e->key, e->size) == 0 && file[e->size] == '/' &&
           depends_set_key(l, e->key, e->size, "__init__", strlen("__init__")) &&
           depends_index_module(l->index, (const char *)l->key.data, l->key.size) != NONE;
}

/* Of the entries from FIRST to END that of the package that FILE itself lies in: if a tree holds
 * several copies of a package, such as releases side by side, Python has loaded that one. NULL: the
 * module does not belong to FILE's own package. */
static const struct depends_entry *own_package(struct depends_linker *l, const char *file,
                                               size_t first, size_t end)
{
    const struct depends_index *x = l->index;
    const struct depends_entry *own = NULL;

    for (size_t i = first; i < end; i++) {
        const struct depends_entry *e = x->entries + i;

        if (is_own_package(l, file, e))
            own = own && own->size > e->size ? own : e;
    }
    return own;
}

enum { MOST_COPIES = 64 }; /* of one package; of more all count */

/* Length of the directory that entry E is imported from, if that is one where setuptools puts
 * copies, build/lib or build/lib.linux-x86_64-cpython-311; else 0. */
static size_t copies_dir(const struct depends_entry *e)
{
    const size_t n = depends_parent(e->key, e->size), above = depends_parent(e->key, n);
    const char *base = e->key + above + (above > 0);
    const size_t size = n - (size_t)(base - e->key);

    if (above < strlen("build") || memcmp(e->key + above - 5, "build", 5) != 0 ||
        (above > 5 && e->key[above - 6] != '/'))
        return 0;
    return (size == 3 && memcmp(base, "lib", 3) == 0) || (size > 4 && memcmp(base, "lib.", 4) == 0)
               ? n
               : 0;
}

/* Is E a copy of another entry from FIRST to END that FILE, which is no copy, is not to find?
 * Unless caches were compiled from there. */
static bool is_copy(const struct depends_index *x, size_t first, size_t end,
                    const struct depends_entry *e, const char *file)
{
    const size_t n = copies_dir(e);

    if (n == 0 || (strncmp(file, e->key, n) == 0 && file[n] == '/'))
        return false;
    for (size_t k = 0; k < x->tree->root_count; k++)
        if (strlen(x->tree->roots[k]) == n && memcmp(x->tree->roots[k], e->key, n) == 0)
            return false;
    for (size_t i = first; i < end && i - first < MOST_COPIES; i++)
        if (!copies_dir(x->entries + i))
            return true;
    return false;
}

/* The zips of the tree that have the module. Are there any? */
static bool link_zips(struct depends_linker *l, const char *module, size_t n)
{
    const struct depends_tree *tree = l->index->tree;
    bool any = false;

    for (size_t i = 0; i < l->index->zip_count && tree->zip_has && l->r == 0; i++) {
        int r = tree->zip_has(tree->arg, l->index->zips[i], module, n, l->err);

        if (r < 0)
            l->r = r;
        else if (r > 0)
            depends_add_node(l, l->index->zips[i]);
        any |= r > 0;
    }
    return any;
}

static void link_absolute(struct depends_linker *l, struct depends_place *p, const char *file,
                          const struct imports *found, const struct import *s)
{
    const struct depends_index *x = l->index;
    const char *module = imports_module(found, s), *rest;
    size_t n = strcspn(module, "."), end, first = depends_index_entries(x, module, n, &end);
    const struct depends_entry *own = own_package(l, file, first, end);
    bool any = false;

    if (is_in_package(x->tree->package, module, &rest)) {
        depends_start_place(l, p, "", 0);
        any |= depends_add_init(l, "", 0);
        enter_all(l, p, rest);
        enter_names(l, p, found, s);
    }
    for (size_t i = first; i < end; i++) {
        const struct depends_entry *e = x->entries + i;

        if ((own && own != e) || (!own && is_copy(x, first, end, e, file)))
            continue;
        depends_start_place(l, p, e->key, depends_parent(e->key, e->size));
        if (!s->from && module[n]) { /* "import a.b" makes a name for a */
            depends_enter(l, p, module, n);
            bind(l, p);
            depends_start_place(l, p, e->key, depends_parent(e->key, e->size));
        }
        enter_all(l, p, module);
        enter_names(l, p, found, s);
        any |= p->any;
    }
    /* An egg of the tree itself, in dist/ beside what it was made of, is not what it imports. */
    any = any || (n > 0 && link_zips(l, module, n));
    if (!any && n > 0 && strcmp(module, "__future__") != 0)
        depends_add_outside(l, module, n);
}

/* What PATH, if it is a symbolic link to a directory, leads through: each may lead elsewhere later.
 */
static void link_way(struct depends_linker *l, const char *path)
{
    const struct depends_dirlink *link = depends_index_link(l->index, path, strlen(path));
    _cleanup_free_ uint32_t *way = NULL;
    size_t count = 0;

    if (link && l->r == 0)
        l->r = depends_index_way(l->index, link, &way, &count);
    for (size_t i = 0; i < count; i++)
        depends_add_node(l, way[i]);
}

static int link_file(struct depends_linker *l, uint32_t file, struct wp_error *err)
{
    const struct depends_tree *tree = l->index->tree;
    const char *path = tree->paths[file];
    struct imports found = {0};
    struct depends_place place = {0};
    int r;

    l->err = err;
    depends_link_packages(l, path);
    link_way(l, path);
    if (!path_has_suffix(path, ".py") && !depends_is_zip(path))
        return l->r == -ENOMEM ? error_nomem(err) : l->r;
    r = tree->imports(tree->arg, file, &found, err);
    l->file = file;
    l->text = NULL;
    l->has_dots = false;
    for (size_t i = 0; r == 0 && i < found.count; i++) {
        if (found.items[i].level > 0)
            link_relative(l, &place, path, &found, found.items + i);
        else
            link_absolute(l, &place, path, &found, found.items + i);
    }
    if (r == 0 && found.dynamic)
        depends_link_dynamic(l, path);
    imports_clear(&found);
    buf_free(&place.path);
    if (r == 0)
        r = l->r == -ENOMEM ? error_nomem(err) : l->r;
    return r;
}

int depends_link(struct depends_linker *l, uint32_t node, struct depends_edges *out,
                 struct wp_error *err)
{
    uint32_t files = (uint32_t)l->index->tree->count;

    *out = (struct depends_edges){0};
    l->edges = out;
    l->node = node;
    l->r = 0;
    if (node < files)
        return link_file(l, node, err);
    return depends_link_dir(l, (node - files) / 2, (node - files) % 2, err);
}
