/* Verifying a tree: judges caches in directories called __pycache__ that are symbolic links. Numba
 * follows them, and finds caches by the path as Python has it, so their place is the link's. Each
 * may serve several source directories. */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"

/* The path of the directory in the tree itself, or NULL. */
static const char *find_real(const struct walk *w, const struct stat *st)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->items[i].entry.type == ENTRY_DIR && w->items[i].dev == st->st_dev &&
            w->items[i].ino == st->st_ino)
            return w->items[i].entry.path;
    return NULL;
}

static int add_link(struct verify_tree *tree, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *on_disk = path_join(tree->dir, path);
    struct cache_link *link;
    struct stat st;

    if (!on_disk)
        return error_nomem(err);
    if (stat(on_disk, &st) < 0 && !error_is_absence(-errno) && errno != ELOOP && errno != EACCES)
        return error_set(err, errno, path, "cannot stat");
    if (stat(on_disk, &st) < 0 || !S_ISDIR(st.st_mode))
        return 0; /* to Numba, there is none */
    if (array_grow(tree->links, tree->link_count) < 0)
        return error_nomem(err);
    link = &tree->links[tree->link_count++];
    *link = (struct cache_link){.path = path,
                                .sources = path_dir(path),
                                .real = find_real(&tree->walk, &st),
                                .dev = st.st_dev,
                                .ino = st.st_ino};
    return link->sources ? 0 : error_nomem(err);
}

int verify_links_find(struct verify_tree *tree, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < tree->walk.count && r == 0; i++) {
        const struct entry *e = &tree->walk.items[i].entry;

        if (e->type == ENTRY_SYMLINK && strcmp(path_base(e->path), "__pycache__") == 0)
            r = add_link(tree, e->path, err);
    }
    return r;
}

void verify_links_clear(struct verify_tree *tree)
{
    for (size_t i = 0; i < tree->link_count; i++)
        free(tree->links[i].sources);
    free(tree->links);
}

bool verify_links_lead_to(const struct verify_tree *tree, const char *dir)
{
    for (size_t i = 0; i < tree->link_count; i++)
        if (tree->links[i].real && strcmp(tree->links[i].real, dir) == 0)
            return true;
    return false;
}

/* Is the index called NAME in link number N for Numba to find there? One that is for no source is
 * told of once. 1, 0 or -ENOMEM. */
static int is_for_link(struct verify_tree *tree, size_t n, const char *name)
{
    const struct cache_link *link = &tree->links[n];
    int has = verify_has_source(tree, link->sources, name);

    if (has)
        return has;
    if (link->real)
        has = verify_is_own(tree, link->real, name);
    for (size_t i = 0; i < tree->link_count && has == 0; i++)
        if (tree->links[i].dev == link->dev && tree->links[i].ino == link->ino)
            has = i < n ? 1 : verify_has_source(tree, tree->links[i].sources, name);
    return has < 0 ? has : !has;
}

static int judge_link(struct verify_tree *tree, size_t n, struct wp_error *err)
{
    const struct cache_link *link = &tree->links[n];
    _cleanup_free_ char *path = path_join(tree->dir, link->path);
    _cleanup_closedir_ DIR *d = path ? opendir(path) : NULL;
    struct dirent *item;
    int r;

    if (!path)
        return error_nomem(err);
    if (!d)
        return error_is_absence(-errno) ? 0 : error_set(err, errno, path, "cannot read directory");
    while ((r = file_next(d, &item)) > 0) {
        _cleanup_free_ char *index = NULL, *shown = NULL;

        if (!caches_is_index(item->d_name))
            continue;
        index = path_join(path, item->d_name);
        shown = path_join(link->path, item->d_name);
        r = index && shown ? is_for_link(tree, n, item->d_name) : -ENOMEM;
        if (r < 0)
            return error_nomem(err);
        if (r)
            r = verify_judge_one(tree, index, shown, link->sources, verify_not_in_tree(tree), err);
        if (r < 0)
            return r;
    }
    return r < 0 ? error_set(err, -r, path, "cannot read directory") : 0;
}

int verify_links(struct verify_tree *tree, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < tree->link_count && r == 0; i++)
        r = judge_link(tree, i, err);
    return r;
}
