/* Adds what a source may load besides what it imports: the packages around it, and where its
 * imports cannot be followed, all modules that it may mean. */

#include <string.h>

#include "base/path.h"
#include "numba/depends_private.h"

const struct buf *depends_text_of(struct depends_linker *l)
{
    const struct depends_tree *tree = l->index->tree;

    if (l->r == 0 && !l->text && tree->text)
        l->r = tree->text(tree->arg, l->file, &l->text, l->err);
    return l->r == 0 ? l->text : NULL;
}

void depends_link_packages(struct depends_linker *l, const char *file)
{
    size_t size = depends_parent(file, strlen(file));

    for (;; size = depends_parent(file, size)) {
        uint32_t dir = depends_index_dir(l->index, file, size);

        if (dir != NONE && l->index->dirs[dir].installed)
            break;
        depends_add_init(l, file, size);
        if (size == 0)
            break;
    }
}

/* Adds other directories with the name of a package: its __init__ may extend its path by them. */
static void link_namesakes(struct depends_linker *l, const struct depends_dir *package)
{
    const struct depends_index *x = l->index;
    size_t parent = depends_parent(package->path, package->size);
    const char *name = package->path + (parent ? parent + 1 : 0);
    size_t n = package->size - (size_t)(name - package->path), end;

    for (size_t i = depends_index_entries(x, name, n, &end); n && i < end; i++) {
        const struct depends_entry *e = x->entries + i;
        uint32_t dir = depends_index_place(x, e->key, e->size);

        if (dir != NONE)
            depends_add_node(l, depends_all_node(x, dir));
    }
}

void depends_link_dynamic(struct depends_linker *l, const char *file)
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
    if (path_has_suffix(file, "/__init__.py"))
        link_namesakes(l, x->dirs + package);
    text = depends_text_of(l);
    if (text)
        depends_link_mentions(l, text);
}

/* Adds what symbolic links beneath directory D lead to; for a star, only those directly in it. */
static void link_links(struct depends_linker *l, const struct depends_dir *d, bool star)
{
    const struct depends_index *x = l->index;

    for (size_t i = 0; i < x->link_count; i++) {
        const struct depends_dirlink *link = &x->links[i];
        const size_t parent = depends_parent(link->path, link->size);

        if (link->size <= d->size || memcmp(link->path, d->path, d->size) != 0 ||
            (star ? parent != d->size : d->size && link->path[d->size] != '/'))
            continue;
        depends_add_node(l, link->file);
        if (star)
            depends_add_init(l, x->dirs[link->dir].path, x->dirs[link->dir].size);
        else
            depends_add_node(l, depends_all_node(x, link->dir));
    }
}

int depends_link_dir(struct depends_linker *l, uint32_t dir, bool star, struct wp_error *err)
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
    link_links(l, d, star);
    return l->r < 0 ? error_nomem(err) : 0;
}
