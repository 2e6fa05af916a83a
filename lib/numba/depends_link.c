/* Finds the edges of one file: the files that its import statements load. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/texts.h"
#include "numba/depends_private.h"

void depends_add_node(struct depends_linker *l, uint32_t node)
{
    if (l->r < 0 || node == l->node || l->met[node] == l->node + 1)
        return;
    l->met[node] = l->node + 1;
    l->r = array_grow(l->edges->to, l->edges->count);
    if (l->r == 0)
        l->edges->to[l->edges->count++] = node;
}

static void add_outside(struct depends_linker *l, const char *name, size_t size)
{
    uint32_t number = text_table_get(&l->names, name, size);

    if (l->r < 0)
        return;
    if (number == NONE) {
        const char *text = texts_add(l->texts, name, size);

        number = (uint32_t)l->names.count;
        l->r = text ? array_grow(l->name_list, number) : -ENOMEM;
        if (l->r == 0)
            l->r = text_table_put(&l->names, text, size, number);
        if (l->r < 0)
            return;
        l->name_list[number] = text;
    }
    l->r = array_grow(l->edges->outside, l->edges->outside_count);
    if (l->r == 0)
        l->edges->outside[l->edges->outside_count++] = number;
}

/* Adds every file of the module KEY. Are there any? */
static bool add_key(struct depends_linker *l, const char *key, size_t size)
{
    const struct depends_index *x = l->index;
    uint32_t at = depends_index_module(x, key, size);

    if (at == NONE)
        return false;
    for (size_t i = at; i < x->module_count && x->modules[i].size == size &&
                        memcmp(x->modules[i].key, key, size) == 0;
         i++)
        depends_add_node(l, x->modules[i].file);
    return true;
}

/* Sets the scratch key to DIR and NAME. */
static bool set_key(struct depends_linker *l, const char *dir, size_t size, const char *name,
                    size_t n)
{
    if (l->r < 0)
        return false;
    buf_clear(&l->key);
    if (size > 0)
        l->r = buf_add(&l->key, dir, size);
    if (l->r == 0 && size > 0)
        l->r = buf_add_str(&l->key, "/");
    if (l->r == 0)
        l->r = buf_add(&l->key, name, n);
    return l->r == 0;
}

static bool add_init(struct depends_linker *l, const char *dir, size_t size)
{
    return set_key(l, dir, size, "__init__", strlen("__init__")) &&
           add_key(l, (const char *)l->key.data, l->key.size);
}

static const char *place_path(const struct depends_place *p)
{
    return p->path.size > 0 ? (const char *)p->path.data : "";
}

void depends_enter(struct depends_linker *l, struct depends_place *p, const char *name, size_t n)
{
    bool module, there, init;

    if (!p->there || !set_key(l, place_path(p), p->path.size, name, n)) {
        p->there = false;
        return;
    }
    buf_clear(&p->path);
    l->r = buf_add(&p->path, l->key.data, l->key.size);
    if (l->r < 0)
        return;
    module = add_key(l, place_path(p), p->path.size);
    there = depends_index_dir(l->index, place_path(p), p->path.size) != NONE;
    init = there && add_init(l, place_path(p), p->path.size);
    p->any |= module || init;
    p->there = there;
}

/* Enters each part of a dotted name in turn. */
static void enter_all(struct depends_linker *l, struct depends_place *p, const char *name)
{
    while (*name && p->there) {
        size_t n = strcspn(name, ".");

        depends_enter(l, p, name, n);
        name += n + (name[n] == '.');
    }
}

/* The text of the current file, or NULL. */
static const struct buf *text_of(struct depends_linker *l)
{
    const struct depends_tree *tree = l->index->tree;

    if (l->r == 0 && !l->text && tree->text)
        l->r = tree->text(tree->arg, l->file, &l->text, l->err);
    return l->r == 0 ? l->text : NULL;
}

/* The source binds a name to the package at P: it can use modules of that package as attributes,
 * once somebody has loaded them. */
static void bind(struct depends_linker *l, const struct depends_place *p)
{
    const struct depends_index *x = l->index;
    uint32_t dir = p->there ? depends_index_dir(x, place_path(p), p->path.size) : NONE;
    const struct buf *text;

    if (dir == NONE ||
        x->dirs[depends_index_dir(x, place_path(p), depends_parent(place_path(p), p->path.size))]
            .installed)
        return;
    text = text_of(l);
    if (text)
        depends_link_attributes(l, dir, text);
}

/* The names behind "import", which may be modules; a star is all of them. */
static void enter_names(struct depends_linker *l, struct depends_place *p,
                        const struct imports *found, const struct import *s)
{
    const char *name = imports_names(found, s);
    size_t size = p->path.size;

    if (!p->there || l->r < 0)
        return;
    if (!s->from)
        bind(l, p);
    if (s->star)
        depends_add_node(
            l, depends_star_node(l->index, depends_index_dir(l->index, place_path(p), size)));
    for (size_t i = 0; i < s->name_count; i++, name = imports_next_name(name)) {
        if (!depends_index_has_name(l->index, name, strlen(name)))
            continue; /* a function or something else that is not a module */
        depends_enter(l, p, name, strlen(name));
        bind(l, p);
        p->path.size = size;
        p->there = true;
    }
}

void depends_start_place(struct depends_linker *l, struct depends_place *p, const char *path,
                         size_t size)
{
    buf_clear(&p->path);
    p->any = false;
    if (l->r == 0 && size > 0)
        l->r = buf_add(&p->path, path, size);
    p->there = l->r == 0 && depends_index_dir(l->index, path, size) != NONE;
}

/* "from ..a import b": each dot but the first goes up from the file's directory. */
static void link_relative(struct depends_linker *l, struct depends_place *p, const char *file,
                          const struct imports *found, const struct import *s)
{
    const char *package = l->index->tree->package;
    size_t size = depends_parent(file, strlen(file));

    for (uint32_t i = 1; i < s->level; i++) {
        if (size == 0) { /* above the tree's top */
            add_outside(l, package ? package : "..", package ? strcspn(package, ".") : 2);
            return;
        }
        size = depends_parent(file, size);
    }
    depends_start_place(l, p, file, size);
    add_init(l, file, size);
    enter_all(l, p, imports_module(found, s));
    enter_names(l, p, found, s);
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
           set_key(l, e->key, e->size, "__init__", strlen("__init__")) &&
           depends_index_module(l->index, (const char *)l->key.data, l->key.size) != NONE;
}

/* The entry of the package that FILE itself lies in: if a tree holds several copies of a package,
 * such as releases side by side, Python has loaded that one. NULL: the module does not belong to
 * FILE's own package. */
static const struct depends_entry *own_package(struct depends_linker *l, const char *file,
                                               const char *module, size_t n)
{
    const struct depends_index *x = l->index;
    const struct depends_entry *own = NULL;

    for (size_t i = depends_index_entry(x, module, n); i < x->entry_count; i++) {
        const struct depends_entry *e = x->entries + i;

        if (e->size - e->name_at != n || memcmp(e->key + e->name_at, module, n) != 0)
            break;
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

/* Is E a copy of another entry from I on that FILE, which is no copy, is not to find? Unless caches
 * were compiled from there. */
static bool is_copy(const struct depends_index *x, size_t i, const struct depends_entry *e,
                    const char *file)
{
    const size_t n = copies_dir(e), name = e->size - e->name_at;

    if (n == 0 || (strncmp(file, e->key, n) == 0 && file[n] == '/'))
        return false;
    for (size_t k = 0; k < x->tree->root_count; k++)
        if (strlen(x->tree->roots[k]) == n && memcmp(x->tree->roots[k], e->key, n) == 0)
            return false;
    for (size_t end = i + MOST_COPIES; i < x->entry_count && i < end; i++) {
        const struct depends_entry *other = x->entries + i;

        if (other->size - other->name_at != name ||
            memcmp(other->key + other->name_at, e->key + e->name_at, name) != 0)
            return false;
        if (!copies_dir(other))
            return true;
    }
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
    size_t n = strcspn(module, ".");
    const struct depends_entry *own = own_package(l, file, module, n);
    bool any = false;

    if (is_in_package(x->tree->package, module, &rest)) {
        depends_start_place(l, p, "", 0);
        any |= add_init(l, "", 0);
        enter_all(l, p, rest);
        enter_names(l, p, found, s);
    }
    for (size_t first = depends_index_entry(x, module, n), i = first; i < x->entry_count; i++) {
        const struct depends_entry *e = x->entries + i;

        if (e->size - e->name_at != n || memcmp(e->key + e->name_at, module, n) != 0)
            break;
        if ((own && own != e) || (!own && is_copy(x, first, e, file)))
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
        add_outside(l, module, n);
}

/* Adds the __init__ of each package around a file's directory. */
static void link_packages(struct depends_linker *l, const char *file)
{
    size_t size = depends_parent(file, strlen(file));

    for (;; size = depends_parent(file, size)) {
        uint32_t dir = depends_index_dir(l->index, file, size);

        if (dir != NONE && l->index->dirs[dir].installed)
            break;
        add_init(l, file, size);
        if (size == 0)
            break;
    }
}

static bool is_init(const char *file)
{
    size_t n = strlen(file), k = strlen("__init__.py");

    return n > k && strcmp(file + n - k, "__init__.py") == 0 && file[n - k - 1] == '/';
}

/* Adds other directories with the name of a package: its __init__ may extend its path by them. */
static void link_namesakes(struct depends_linker *l, const struct depends_dir *package)
{
    const struct depends_index *x = l->index;
    size_t parent = depends_parent(package->path, package->size);
    const char *name = package->path + (parent ? parent + 1 : 0);
    size_t n = package->size - (size_t)(name - package->path);

    for (size_t i = depends_index_entry(x, name, n); n && i < x->entry_count; i++) {
        const struct depends_entry *e = x->entries + i;
        uint32_t dir = depends_index_dir(x, e->key, e->size);

        if (e->size - e->name_at != n || memcmp(e->key + e->name_at, name, n) != 0)
            break;
        if (dir != NONE)
            depends_add_node(l, depends_all_node(x, dir));
    }
}

/* Adds all files that a source may load if its imports cannot be followed: see depends.h. */
static void link_dynamic(struct depends_linker *l, const char *file)
{
    const struct depends_index *x = l->index;
    size_t size = depends_parent(file, strlen(file)), below = size;
    uint32_t package = NONE, dir;
    const struct buf *text;

    for (;; size = depends_parent(file, size)) {
        dir = depends_index_dir(x, file, size);
        if (x->dirs[dir].installed)
            break;
        if (x->dirs[dir].regular)
            package = dir;
        else if (package != NONE)
            break;
        if (size == 0)
            break;
        below = size;
    }
    if (package == NONE) {
        if (size == depends_parent(file, strlen(file))) { /* it lies there itself */
            if (x->dirs[dir].installed)
                return;
            package = dir;
        } else {
            package = depends_index_dir(x, file, below);
        }
    }
    depends_add_node(l, depends_all_node(x, package));
    if (is_init(file))
        link_namesakes(l, x->dirs + package);
    text = text_of(l);
    if (text)
        depends_link_mentions(l, text);
}

static int link_file(struct depends_linker *l, uint32_t file, struct wp_error *err)
{
    const struct depends_tree *tree = l->index->tree;
    const char *path = tree->paths[file];
    struct imports found = {0};
    struct depends_place place = {0};
    size_t n = strlen(path);
    int r;

    l->err = err;
    link_packages(l, path);
    if ((n < 3 || strcmp(path + n - 3, ".py") != 0) && !depends_is_zip(path))
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
        link_dynamic(l, path);
    imports_clear(&found);
    buf_free(&place.path);
    if (r == 0)
        r = l->r == -ENOMEM ? error_nomem(err) : l->r;
    return r;
}

/* Adds the modules beneath a directory; for a star, only those directly in it. */
static int link_dir(struct depends_linker *l, uint32_t dir, bool star, struct wp_error *err)
{
    const struct depends_index *x = l->index;
    const struct depends_dir *d = x->dirs + dir;
    size_t first, end, start = d->size ? d->size + 1 : 0;

    depends_index_beneath(x, dir, &first, &end);
    for (size_t i = first; i < end && l->r == 0; i++) {
        const struct depends_module *m = x->modules + i;
        size_t parent = depends_parent(m->key, m->size);

        if (star) {
            bool init = m->size - parent == strlen("/__init__") &&
                        memcmp(m->key + parent, "/__init__", m->size - parent) == 0;

            if (parent > d->size && (!init || memchr(m->key + start, '/', parent - start)))
                continue;
        } else {
            /* Packages that are installed beneath belong to somebody else. */
            while (parent > d->size && !x->dirs[depends_index_dir(x, m->key, parent)].installed)
                parent = depends_parent(m->key, parent);
            if (parent > d->size)
                continue;
        }
        depends_add_node(l, m->file);
    }
    return l->r < 0 ? error_nomem(err) : 0;
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
    return link_dir(l, (node - files) / 2, (node - files) % 2, err);
}
