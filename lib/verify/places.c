/* Verifying a tree: judges the indexes of each place, by whether Numba looks there. */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"
#include "judge/judge.h"
#include "numba/zipped.h"

static bool exists_in_tree(void *ctx, const char *path)
{
    struct verify_tree *tree = ctx;
    const struct walk_item *item = walk_find(&tree->walk, path);
    _cleanup_free_ char *zip = item ? NULL : zipped_file(path);

    if (zip)
        item = walk_find(&tree->walk, zip);
    return item && item->entry.type != ENTRY_DIR;
}

/* Is there a valid index of that name where Numba looks with NUMBA_CACHE_DIR? 0 or -ENOMEM. */
static int look_in_cache_dir(struct verify_tree *tree, const struct verify_place *place,
                             const char *sources, bool *valid, struct wp_error *err)
{
    const struct judge_expect *expect = tree->verify.expect;
    int r = 0;

    *valid = false;
    for (char **base = tree->bases; *base && r == 0 && !*valid; base++) {
        _cleanup_free_ char *dir = path_append(*base, sources);
        _cleanup_free_ char *name = dir ? places_hash_name(dir) : NULL;
        _cleanup_free_ char *cache = name ? path_join(tree->cache_dir, name) : NULL;
        _cleanup_free_ char *index = cache ? path_join(cache, path_base(place->index)) : NULL;
        struct verify_place there = {.index = index,
                                     .index_shown = index,
                                     .source = place->source,
                                     .source_shown = place->source_shown};
        struct wp_index_status s = {0};

        if (dir && !name && errno == EILSEQ)
            continue;
        if (!index)
            return error_nomem(err);
        if (access(index, F_OK) < 0)
            continue;
        tree->verify.expect = NULL; /* notes are taken where it is judged itself */
        r = verify_place(&tree->verify, &there, &s, err);
        tree->verify.expect = expect;
        *valid = r == 0 && wp_status_loads(s.status);
        judge_clear(&s);
    }
    return r;
}

/* Numba does not need a MISPLACED one that it has in its cache directory, too. */
int verify_judge_one(struct verify_tree *tree, const char *index, const char *shown,
                     const char *sources, const char *misplaced, struct wp_error *err)
{
    _cleanup_free_ char *source = NULL, *source_path = NULL;
    _cleanup_(judge_clear) struct wp_index_status s = {0};
    struct verify_place place;
    bool found = false, spare = false;
    int r = 0;

    if (sources) {
        source = caches_source_of(path_base(index), sources, exists_in_tree, tree, &found);
        source_path = source ? path_join(tree->dir, source) : NULL;
        if (!source_path)
            return error_nomem(err);
    }
    place = (struct verify_place){.index = index,
                                  .index_shown = shown,
                                  .source = source_path,
                                  .source_shown = source,
                                  .misplaced = misplaced};
    if (misplaced && tree->cache_dir && sources)
        r = look_in_cache_dir(tree, &place, sources, &spare, err);
    if (spare)
        place.misplaced = NULL;
    tree->verify.old_root = trees_packed_root(&tree->trees, sources ? sources : shown);
    if (r == 0)
        r = verify_place(&tree->verify, &place, &s, err);
    if (r == 0 && spare) {
        s.status = WP_VALID;
        free(take_ptr(s.reason));
    }
    if (r == 0 && judge_add(tree->out, &s) < 0)
        r = error_nomem(err);
    return r;
}

static bool is_same_place(const char *a, const char *b)
{
    struct stat x, y;

    return a && b && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* Why Numba does not look at a hashed directory whose root is ROOT, inside the tree: *WHY,
 * allocated, or NULL. Who has not said which interpreter it is may set the variable there. 0 or
 * -ENOMEM. */
static int wrong_root(const struct verify_tree *tree, const char *root, char **why)
{
    _cleanup_free_ char *user_wide = places_user_wide(&tree->verify.user, tree->verify.is_caller);
    _cleanup_free_ char *path = user_wide || errno != ENOMEM ? path_absolute(root) : NULL;

    *why = NULL;
    if (!path && errno == ENOMEM)
        return -ENOMEM;
    if (tree->cache_dir ? is_same_place(root, tree->cache_dir)
                        : !tree->o->python || is_same_place(root, user_wide))
        return 0;
    if (tree->cache_dir)
        *why = strdup("it lies in a cache directory that is not NUMBA_CACHE_DIR");
    else if (path && asprintf(why,
                              "Numba looks there with NUMBA_CACHE_DIR=%s alone, which is not "
                              "set",
                              path) < 0)
        *why = NULL;
    return *why ? 0 : -ENOMEM;
}

bool verify_is_in_cache(const char *path)
{
    _cleanup_free_ char *dir = path_dir(path);
    size_t base;

    return dir && (strcmp(path_base(dir), "__pycache__") == 0 ||
                   places_is_hash_name(path_base(dir), &base));
}

const char *verify_not_in_tree(const struct verify_tree *tree)
{
    return tree->cache_dir ? "NUMBA_CACHE_DIR is set, so Numba does not look in the tree" : NULL;
}

int verify_has_source(struct verify_tree *tree, const char *sources, const char *name)
{
    bool found = false;
    _cleanup_free_ char *source = caches_source_of(name, sources, exists_in_tree, tree, &found);

    return source ? found : -ENOMEM;
}

int verify_is_own(struct verify_tree *tree, const char *dir, const char *name)
{
    _cleanup_free_ char *parent = path_dir(dir);

    if (!parent)
        return -ENOMEM;
    if (strcmp(path_base(dir), "__pycache__") == 0)
        return verify_has_source(tree, parent, name);
    return caches_find(tree->known, path_base(dir)) != NULL;
}

/* A directory with the name of an index is one to Numba, which fails when it opens it. */
int verify_judge_in_tree(struct verify_tree *tree, const struct entry *e, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(tree->dir, e->path);
    _cleanup_free_ char *dir = path_dir(e->path);
    _cleanup_free_ char *parent = dir ? path_dir(dir) : NULL;
    _cleanup_free_ char *root = parent ? path_join(tree->dir, parent) : NULL;
    _cleanup_free_ char *wrong = NULL;
    const char *sources, *misplaced = NULL;

    if (!path || !root)
        return error_nomem(err);
    if (e->type == ENTRY_DIR ? !verify_is_in_cache(e->path) : !caches_is_index_at(e, path))
        return 0;
    if (verify_links_lead_to(tree, dir)) {
        int own = verify_is_own(tree, dir, path_base(e->path));

        if (own <= 0) /* judged where a link has it */
            return own < 0 ? error_nomem(err) : 0;
    }
    if (strcmp(path_base(dir), "__pycache__") == 0)
        return verify_judge_one(tree, path, e->path, parent, verify_not_in_tree(tree), err);
    sources = caches_find(tree->known, path_base(dir));
    if (sources && wrong_root(tree, root, &wrong) < 0)
        return error_nomem(err);
    if (sources)
        misplaced = wrong;
    else if ((sources = caches_find(tree->was, path_base(dir))))
        misplaced = "its directory is named for a path that the tree had earlier";
    else
        misplaced = "no directory of this tree has the path that its directory is named for";
    return verify_judge_one(tree, path, e->path, sources ? sources : parent, misplaced, err);
}

/* Why Numba does not look in the user-wide place for what is in directory SOURCES. *WHY, allocated,
 * is NULL where it does. 0 or -ENOMEM. */
static int not_user_wide(struct verify_tree *tree, const char *sources, char **why)
{
    _cleanup_free_ char *source_dir = path_join(tree->dir, sources);

    if (!source_dir)
        return -ENOMEM;
    if (!tree->cache_dir)
        return verify_shadowed(&tree->verify, source_dir, why);
    *why = strdup("NUMBA_CACHE_DIR is set, so Numba looks there");
    return *why ? 0 : -ENOMEM;
}

/* Indexes in hashed directory PATH outside the tree. */
static int judge_hashed(struct verify_tree *tree, const char *path, const char *sources,
                        const char *misplaced, struct wp_error *err)
{
    _cleanup_closedir_ DIR *d = opendir(path);
    struct dirent *item;
    int r;

    if (!d)
        return error_set(err, errno, path, "cannot read the cache directory");
    while ((r = file_next(d, &item)) > 0) {
        _cleanup_free_ char *index = NULL;

        index = path_join(path, item->d_name);
        if (!index)
            return error_nomem(err);
        if (!caches_is_index(item->d_name)) {
            if (leftovers_add(&tree->leftovers, index) < 0)
                return error_nomem(err);
            continue;
        }
        r = verify_judge_one(tree, index, index, sources, misplaced, err);
        if (r < 0)
            return r;
    }
    return r < 0 ? error_set(err, -r, path, "cannot read the cache directory") : 0;
}

int verify_judge_root(struct verify_tree *tree, const char *root, bool user_wide,
                      struct wp_error *err)
{
    _cleanup_closedir_ DIR *d = opendir(root);
    struct dirent *item;
    int r;

    if (!d && (error_is_absence(-errno) || (user_wide && errno == EACCES)))
        return 0; /* nobody has cached anything there */
    if (!d)
        return error_set(err, errno, root, "cannot read the cache directory");
    if (walk_has_dir(&tree->walk, dirfd(d)))
        return 0;
    while ((r = file_next(d, &item)) > 0) {
        const char *sources = caches_find(tree->known, item->d_name);
        const char *zipped = user_wide ? caches_find(tree->zipped, item->d_name) : NULL;
        _cleanup_free_ char *path = sources || zipped ? path_join(root, item->d_name) : NULL;
        _cleanup_free_ char *misplaced = NULL;

        if (!sources && !zipped)
            continue;
        if (!path || (user_wide && sources && not_user_wide(tree, sources, &misplaced) < 0))
            return error_nomem(err);
        r = judge_hashed(tree, path, sources ? sources : zipped, misplaced, err);
        if (r < 0)
            return r;
    }
    return r < 0 ? error_set(err, -r, root, "cannot read the cache directory") : 0;
}
