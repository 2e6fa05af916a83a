/* Removes what a killed run of restore, retarget or verify --fix has left in a tree. */

#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/lock_file.h"
#include "base/path.h"
#include "tree/beneath.h"
#include "trees.h"

/* In the directories of the indexes that T speaks for, which lie side by side in its list. */
static void sweep_indexes(const struct trees *trees, const struct tree_manifest *t)
{
    _cleanup_free_ char *last = NULL;

    for (size_t i = 0; i < t->m.index_count; i++) {
        bool gone;
        _cleanup_free_ char *path = tree_path(t, t->m.indexes[i].index, &gone);
        _cleanup_free_ char *dir = path ? path_dir(path) : NULL;

        if (!dir || (last && strcmp(last, dir) == 0))
            continue;
        beneath_sweep(trees->fd, dir);
        free(last);
        last = take_ptr(dir);
    }
}

void trees_sweep(const struct trees *trees, const char *home)
{
    _cleanup_close_ int fd = beneath_open(trees->fd, home, O_RDONLY | O_DIRECTORY, 0);
    _cleanup_(tree_manifest_clear) struct tree_manifest t = {.foreign = -1};
    struct stat st;

    if (fd < 0 || fstatat(fd, OWN_LOCK, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (tree_manifest_and_state_read(trees, &t, home, NULL) > 0)
        sweep_indexes(trees, &t);
    beneath_sweep(trees->fd, home);
    lock_file_remove_dead(fd, OWN_LOCK);
}

void trees_sweep_all(const struct wp_context *context, const char *dir, int fd,
                     const char *manifest)
{
    const struct wp_context stops = {.interrupted = context_interrupted(context)};
    struct trees trees = {.dir = dir, .fd = fd, .context = &stops};

    (void)trees_find(&trees, manifest, NULL);
    for (size_t i = 0; i < trees.count; i++)
        if (trees.list[i].home)
            trees_sweep(&trees, trees.list[i].home);
    trees_clear(&trees);
}
