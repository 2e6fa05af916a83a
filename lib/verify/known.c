/* Verifying a tree: knows the names that Numba gives the cache directories of its sources, now and
 * by what manifests remember. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"
#include "job.h"

static int find_manifests(struct verify_tree *t, struct wp_error *err)
{
    t->trees.context = t->context;
    t->trees.trust = &t->trust;
    t->trees.dir = t->dir;
    t->trees.dir_path = t->dir_path = path_absolute(t->dir);
    if (!t->dir_path)
        return error_nomem(err);
    t->trees.fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->trees.fd < 0)
        return error_set(err, errno, t->dir, "cannot open directory");
    return trees_find(&t->trees, t->o->manifest, err);
}

/* Reads what the manifests say of the packing. Without them, less can be told, and that is all. */
static int remember(struct verify_tree *t, struct wp_error *err)
{
    struct wp_error why = {0};
    int r = find_manifests(t, &why);

    if (r == 0)
        r = trees_find_packed_roots(&t->trees, t->bases);
    if (r == -ENOMEM)
        return error_nomem(err);
    /* Somebody has asked for it, or takes nothing without. */
    if (r < 0 && (t->o->manifest || (t->trust.count && !error_is_absence(r)))) {
        if (err)
            *err = why;
        return r;
    }
    if (r < 0 && !error_is_absence(r))
        report(t->context, WP_WARNING, NULL, "%s", why.message);
    /* To who trusts a key they are an error, told with it. */
    for (size_t i = 0; r == 0 && i < t->trees.damaged_count && !t->trust.count; i++)
        report(t->context, WP_WARNING, NULL, "%s", t->trees.damaged[i].message);
    return 0;
}

/* Names the directories in item E, if that is a zip. */
static int know_zip(struct verify_tree *t, const struct entry *e, const char *base,
                    struct wp_error *err)
{
    const char *bases[] = {base, NULL};
    _cleanup_free_ char *path = NULL;
    _cleanup_close_ int fd = -1;

    if (e->type == ENTRY_DIR || !path_has_suffix(e->path, ".zip"))
        return 0;
    path = path_join(t->dir, e->path);
    if (!path)
        return error_nomem(err);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? 0 : caches_add_zip(t->zipped, fd, bases, e->path, e->path, err);
}

/* Where Python sees the tree, or will see it. */
static int find_bases(struct verify_tree *t, struct wp_error *err)
{
    struct wp_error why = {0};

    if (t->o->runtime_roots)
        return caches_roots(&t->bases, t->dir, t->o->runtime_roots, err);
    t->bases = caches_bases(t->dir, NULL, &why);
    if (!t->bases && err)
        *err = why;
    return -why.code;
}

/* Adds the directories of tree T by the paths that they had when caches were last named. */
static int know_earlier(struct verify_tree *v, const struct tree_manifest *t, struct wp_error *err)
{
    int r = 0;

    for (char **base = t->old_bases; base && *base && r == 0; base++) {
        r = caches_add(v->was, *base, "", t->base, err);
        for (size_t i = 0; i < v->walk.count && r == 0; i++) {
            const struct entry *e = &v->walk.items[i].entry;
            const char *below;

            if (e->type != ENTRY_DIR || !path_is_under(e->path, t->base))
                continue;
            below = path_from(e->path, t->base);
            if (*below)
                r = caches_add(v->was, *base, below, e->path, err);
        }
    }
    return r;
}

int verify_know_directories(struct verify_tree *t, struct wp_error *err)
{
    int r = find_bases(t, err);

    if (r == 0)
        r = caches_new(&t->known, err);
    if (r == 0)
        r = caches_new(&t->zipped, err);
    for (char **base = t->bases; *base && r == 0; base++) {
        r = caches_add(t->known, *base, "", "", err);
        for (size_t i = 0; i < t->walk.count && r == 0; i++)
            if (t->walk.items[i].entry.type == ENTRY_DIR)
                r = caches_add(t->known, *base, t->walk.items[i].entry.path,
                               t->walk.items[i].entry.path, err);
            else
                r = know_zip(t, &t->walk.items[i].entry, *base, err);
    }
    if (r == 0) {
        caches_sort(t->known);
        caches_sort(t->zipped);
    }
    if (r == 0)
        r = remember(t, err);
    if (r == 0)
        r = caches_new(&t->was, err);
    for (size_t i = 0; i < t->trees.count && r == 0; i++)
        r = know_earlier(t, &t->trees.list[i], err);
    if (r == 0)
        caches_sort(t->was);
    return r;
}
