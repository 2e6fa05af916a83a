/* Adds edges: to the files of a module that is looked up by its path, part by part. */

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/texts.h"
#include "numba/depends_private.h"

void depends_add_node(struct depends_linker *l, uint32_t node)
{
    if (l->r < 0 || node == l->node || l->met[node] == l->node + 1)
        return;
    l->met[node] = l->node + 1;
    l->r = array_add(l->edges->to, l->edges->count, node);
}

void depends_add_outside(struct depends_linker *l, const char *name, size_t size)
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
    l->r = array_add(l->edges->outside, l->edges->outside_count, number);
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

bool depends_set_key(struct depends_linker *l, const char *dir, size_t size, const char *name,
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

bool depends_add_init(struct depends_linker *l, const char *dir, size_t size)
{
    return depends_set_key(l, dir, size, "__init__", strlen("__init__")) &&
           add_key(l, (const char *)l->key.data, l->key.size);
}

const char *depends_place_path(const struct depends_place *p)
{
    return p->path.size > 0 ? (const char *)p->path.data : "";
}

void depends_enter(struct depends_linker *l, struct depends_place *p, const char *name, size_t n)
{
    const struct depends_dirlink *link;
    bool module, there, init;

    if (!p->there || !depends_set_key(l, depends_place_path(p), p->path.size, name, n)) {
        p->there = false;
        return;
    }
    buf_clear(&p->path);
    l->r = buf_add(&p->path, l->key.data, l->key.size);
    if (l->r < 0)
        return;
    module = add_key(l, depends_place_path(p), p->path.size);
    link = depends_index_link(l->index, depends_place_path(p), p->path.size);
    if (link) {
        const struct depends_dir *dir = &l->index->dirs[link->dir];

        depends_add_node(l, link->file);
        module = true;
        buf_clear(&p->path);
        if (l->r == 0 && dir->size)
            l->r = buf_add(&p->path, dir->path, dir->size);
    }
    there = depends_index_dir(l->index, depends_place_path(p), p->path.size) != NONE;
    init = there && depends_add_init(l, depends_place_path(p), p->path.size);
    p->any |= module || init;
    p->there = there;
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
