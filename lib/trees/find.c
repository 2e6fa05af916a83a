/* Finds the manifests of a tree: those in it, or the one that is named. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "commit/staging.h"
#include "trees.h"

/* What lies behind a fault of the machine may speak for any file. */
bool trees_pass_over(int r)
{
    return tree_is_damage(r) || r == -EACCES;
}

/* Takes over T. */
static int add(struct trees *trees, struct tree_manifest *t, struct wp_error *err)
{
    if (array_grow(trees->list, trees->count) < 0) {
        tree_manifest_clear(t);
        return error_nomem(err);
    }
    trees->list[trees->count++] = *t;
    return 0;
}

static int pass_over(struct trees *trees, const struct wp_error *why, struct wp_error *err)
{
    if (array_grow(trees->damaged, trees->damaged_count) < 0)
        return error_nomem(err);
    trees->damaged[trees->damaged_count++] = *why;
    return 0;
}

int trees_take_home(struct trees *trees, const char *home, struct wp_error *err)
{
    struct tree_manifest t;
    struct wp_error why = {0};
    int r = tree_manifest_read(trees, &t, home, &why);

    if (r > 0) {
        r = tree_state_read(trees, &t, &why);
        if (r == 0)
            return add(trees, &t, err);
    }
    tree_manifest_clear(&t);
    if (trees_pass_over(r))
        return pass_over(trees, &why, err);
    if (r < 0)
        error_pass(err, &why);
    return r;
}

/* Does PATH lie in the tree, where its own manifests lie? 1: *HOME is its home there; 0: no. */
static int own_home(const struct trees *trees, const char *path, char **home, struct wp_error *err)
{
    _cleanup_free_ char *tree = realpath(trees->dir, NULL);
    _cleanup_free_ char *physical = NULL;
    _cleanup_free_ char *above = NULL;
    const char *below;

    if (!tree)
        return error_set(err, errno, trees->dir, "cannot be read");
    physical = realpath(path, NULL);
    if (!physical)
        return error_set(err, errno, path, "cannot be read");
    above = path_dir(physical);
    if (!above)
        return error_nomem(err);
    if (!path_is_under(above, tree) || strcmp(path_base(physical), MANIFEST_NAME) != 0)
        return 0;
    below = path_from(above, tree);
    if (own_home_prefix(below) < 0)
        return 0;
    *home = strdup(below);
    return *home ? 1 : error_nomem(err);
}

static int take_manifest(struct trees *trees, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *home = NULL;
    struct tree_manifest t;
    int r = own_home(trees, path, &home, err);

    if (r != 0)
        return r < 0 ? r : trees_take_home(trees, home, err);
    r = tree_manifest_read_foreign(trees, &t, path, err);
    if (r == 0)
        return add(trees, &t, err);
    tree_manifest_clear(&t);
    return r;
}

int trees_find(struct trees *trees, const char *manifest, struct wp_error *err)
{
    int r = manifest ? take_manifest(trees, manifest, err) : trees_walk(trees, err);

    if (r < 0 || trees->count)
        return r;
    if (trees->damaged_count) {
        error_pass(err, &trees->damaged[0]);
        return -trees->damaged[0].code;
    }
    error_set(
        err, 0, trees->dir,
        "no manifest of warmpack is in it, nor below: is it the directory that an archive was "
        "unpacked in?");
    return -ENOENT;
}

int trees_recover(const struct trees *trees, const struct wp_context *context, struct wp_error *err)
{
    int r = 0, found = 0;

    for (size_t i = 0; i < trees->staged.count && r >= 0; i++) {
        r = staging_recover_in(trees->staged.v[i], false, context, err);
        found |= r > 0;
    }
    return r < 0 ? r : found;
}

void trees_clear(struct trees *trees)
{
    for (size_t i = 0; i < trees->count; i++)
        tree_manifest_clear(&trees->list[i]);
    free(take_ptr(trees->list));
    free(take_ptr(trees->damaged));
    path_list_clear(&trees->staged);
    trees->count = trees->damaged_count = 0;
}
