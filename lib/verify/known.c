/* Verifying a tree: knows the names that Numba gives the cache directories of its sources, now and
 * by what manifests remember. */

#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"
#include "job.h"
#include "tree/beneath.h"

static int find_manifests(struct verify_tree *tree, struct wp_error *err)
{
    tree->trees.context = tree->context;
    tree->trees.trust = &tree->trust;
    tree->trees.dir = tree->dir;
    tree->dir_path = path_absolute(tree->dir);
    if (!tree->dir_path)
        return error_nomem(err);
    tree->trees.fd = open(tree->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tree->trees.fd < 0)
        return error_set(err, errno, tree->dir, "cannot open directory");
    return trees_find(&tree->trees, tree->o->manifest, err);
}

/* Reads what the manifests say of the packing. Without them, less can be told, and that is all. */
static int remember(struct verify_tree *tree, struct wp_error *err)
{
    struct wp_error why = {0};
    int r = find_manifests(tree, &why);

    if (r == 0)
        r = trees_find_packed_roots(&tree->trees, tree->bases);
    if (r == -ENOMEM)
        return error_nomem(err);
    /* Somebody has asked for it, or takes nothing without, or it is there and cannot be read. */
    if (r < 0 &&
        (tree->o->manifest || !trees_pass_over(r) || (tree->trust.count && !error_is_absence(r)))) {
        error_pass(err, &why);
        return r;
    }
    if (r < 0 && !error_is_absence(r))
        report(tree->context, WP_WARNING, NULL, "%s", why.message);
    /* To who trusts a key they are an error, told with it. */
    for (size_t i = 0; r == 0 && i < tree->trees.damaged_count && !tree->trust.count; i++)
        report(tree->context, WP_WARNING, NULL, "%s", tree->trees.damaged[i].message);
    return 0;
}

/* Names the directories in item E, if that is a zip. */
static int know_zip(struct verify_tree *tree, const struct entry *e, const char *base,
                    struct wp_error *err)
{
    const char *bases[] = {base, NULL};
    _cleanup_free_ char *path = NULL;
    _cleanup_close_ int fd = -1;

    if (e->type == ENTRY_DIR || !path_has_suffix(e->path, ".zip"))
        return 0;
    path = path_join(tree->dir, e->path);
    if (!path)
        return error_nomem(err);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    /* What Python cannot read either has no sources. */
    if (fd < 0)
        return beneath_is_out_of_reach(-errno) ? 0 : error_set(err, errno, path, "cannot be read");
    return caches_add_zip(tree->zipped, fd, bases, e->path, e->path, err);
}

/* Finds the paths by which Python sees the tree, or will see it. */
static int find_bases(struct verify_tree *tree, struct wp_error *err)
{
    struct wp_error why = {0};

    if (tree->o->runtime_roots)
        return caches_roots(&tree->bases, tree->dir, tree->o->runtime_roots, err);
    tree->bases = caches_bases(tree->dir, NULL, &why);
    if (!tree->bases)
        error_pass(err, &why);
    return -why.code;
}

/* Adds the directories of MANIFEST by the paths that they had when caches were last named. */
static int know_earlier(struct verify_tree *tree, const struct tree_manifest *manifest,
                        struct wp_error *err)
{
    int r = 0;

    for (char **base = manifest->old_bases; base && *base && r == 0; base++) {
        r = caches_add(tree->was, *base, "", manifest->base, err);
        for (size_t i = 0; i < tree->walk.count && r == 0; i++) {
            const struct entry *e = &tree->walk.items[i].entry;
            const char *below;

            if (e->type != ENTRY_DIR || !path_is_under(e->path, manifest->base))
                continue;
            below = path_from(e->path, manifest->base);
            if (*below)
                r = caches_add(tree->was, *base, below, e->path, err);
        }
    }
    return r;
}

int verify_know_directories(struct verify_tree *tree, struct wp_error *err)
{
    int r = find_bases(tree, err);

    if (r == 0)
        r = caches_new(&tree->known, err);
    if (r == 0)
        r = caches_new(&tree->zipped, err);
    for (char **base = tree->bases; r == 0 && *base; base++) {
        r = caches_add(tree->known, *base, "", "", err);
        for (size_t i = 0; i < tree->walk.count && r == 0; i++)
            if (tree->walk.items[i].entry.type == ENTRY_DIR)
                r = caches_add(tree->known, *base, tree->walk.items[i].entry.path,
                               tree->walk.items[i].entry.path, err);
            else
                r = know_zip(tree, &tree->walk.items[i].entry, *base, err);
    }
    if (r == 0) {
        caches_sort(tree->known);
        caches_sort(tree->zipped);
    }
    if (r == 0)
        r = remember(tree, err);
    if (r == 0)
        r = caches_new(&tree->was, err);
    for (size_t i = 0; i < tree->trees.count && r == 0; i++)
        r = know_earlier(tree, &tree->trees.list[i], err);
    if (r == 0)
        caches_sort(tree->was);
    return r;
}
