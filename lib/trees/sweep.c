/* Removes what a killed run of restore, retarget or verify --fix has left in a tree. */

#include <errno.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/lock_file.h"
#include "base/path.h"
#include "numba/places.h"
#include "tree/beneath.h"
#include "trees.h"

/* The directory of what ARCHIVED is called in the tree, as *LAST. 1; 0: it is that of before, or
 * has no name there; -ENOMEM. */
static int next_dir(const struct tree_manifest *t, const char *archived, char **last)
{
    bool gone = !archived;
    _cleanup_free_ char *path = archived ? tree_path(t, archived, &gone) : NULL;
    _cleanup_free_ char *dir = path ? path_dir(path) : NULL;

    if (!dir)
        return gone ? 0 : -ENOMEM;
    if (text_same(*last, dir))
        return 0;
    free(*last);
    *last = take_ptr(dir);
    return 1;
}

/* In ROOT, the cache root of earlier times, where the caches of directory DIR were put. */
static int sweep_root(const struct tree_manifest *t, int root, const char *dir)
{
    int first = 0;

    for (char **base = t->old_bases; base && *base; base++) {
        _cleanup_free_ char *was = path_append(*base, path_from(dir, t->base));
        _cleanup_free_ char *hashed = was ? places_hash_name(was) : NULL;
        int r = hashed ? beneath_sweep(root, hashed) : -ENOMEM;

        if (first == 0)
            first = r;
    }
    return first;
}

/* In the directories of the indexes that T speaks for, which lie side by side in its list, and in
 * those of a cache root. */
static int sweep_indexes(const struct trees *trees, const struct tree_manifest *t)
{
    _cleanup_close_ int root =
        t->old_root ? open(t->old_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    _cleanup_free_ char *last = NULL, *last_source = NULL;
    int first = t->old_root && root < 0 && !error_is_absence(-errno) ? -errno : 0;

    for (size_t i = 0; i < t->m.index_count; i++) {
        const struct manifest_index *line = &t->m.indexes[i];
        int r = next_dir(t, line->index, &last), in_root;

        if (r > 0)
            r = beneath_sweep(trees->fd, last);
        in_root = root >= 0 ? next_dir(t, line->source, &last_source) : 0;
        if (in_root > 0)
            in_root = sweep_root(t, root, last_source);
        if (first == 0)
            first = r < 0 ? r : in_root;
    }
    return first;
}

int trees_sweep(const struct trees *trees, const char *home)
{
    _cleanup_close_ int fd = beneath_open(trees->fd, home, O_RDONLY | O_DIRECTORY, 0);
    _cleanup_(tree_manifest_clear) struct tree_manifest t = {.foreign = -1};
    struct stat st;
    int r = fd < 0 ? fd : beneath_look(fd, OWN_LOCK, &st), in_home;

    if (r <= 0)
        return beneath_is_absence(r) ? 0 : r;
    r = tree_manifest_and_state_read(trees, &t, home, NULL);
    if (r > 0)
        r = sweep_indexes(trees, &t);
    in_home = beneath_sweep(trees->fd, home);
    if (r < 0 || in_home < 0)
        return r < 0 ? r : in_home;
    lock_file_remove_dead(fd, OWN_LOCK);
    return 0;
}

int trees_sweep_all(const struct wp_context *context, const char *dir, int fd, const char *manifest,
                    struct wp_error *err)
{
    const struct wp_context stops = {.interrupted = context_interrupted(context)};
    struct trees trees = {.dir = dir, .fd = fd, .context = &stops};
    int r;

    (void)trees_find(&trees, manifest, NULL);
    r = trees_recover(&trees, context, err);
    if (r > 0) {
        trees_clear(&trees);
        (void)trees_find(&trees, manifest, NULL);
    }
    for (size_t i = 0; i < trees.count; i++)
        if (trees.list[i].home)
            (void)trees_sweep(&trees, trees.list[i].home);
    trees_clear(&trees);
    return r;
}
