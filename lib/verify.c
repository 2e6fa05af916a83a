/* The job of verifying a tree: finds every index that belongs to it, and judges each. */

#include "verify_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"
#include "judge.h"
#include "numba/zipped.h"

static bool exists_in_tree(void *ctx, const char *path)
{
    struct verify_tree *t = ctx;
    const struct walk_item *item = walk_find(&t->walk, path);
    _cleanup_free_ char *zip = item ? NULL : zipped_file(path);

    if (zip)
        item = walk_find(&t->walk, zip);
    return item && item->entry.type != ENTRY_DIR;
}

/* Is there a valid index of that name where Numba looks with NUMBA_CACHE_DIR? 0 or -ENOMEM. */
static int look_in_cache_dir(struct verify_tree *t, const struct verify_place *place,
                             const char *sources, bool *valid, struct wp_error *err)
{
    const struct judge_expect *expect = t->v.expect;
    int r = 0;

    *valid = false;
    for (char **base = t->bases; *base && r == 0 && !*valid; base++) {
        _cleanup_free_ char *dir = *sources ? path_join(*base, sources) : strdup(*base);
        _cleanup_free_ char *name = dir ? places_hash_name(dir) : NULL;
        _cleanup_free_ char *cache = name ? path_join(t->cache_dir, name) : NULL;
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
        t->v.expect = NULL; /* notes are taken where it is judged itself */
        r = verify_place(&t->v, &there, &s, err);
        t->v.expect = expect;
        *valid = r == 0 && s.status == WP_VALID;
        judge_clear(&s);
    }
    return r;
}

/* Numba does not need a MISPLACED one that it has in its cache directory, too. */
int verify_judge_one(struct verify_tree *t, const char *index, const char *shown,
                     const char *sources, const char *misplaced, struct wp_error *err)
{
    _cleanup_free_ char *source = NULL, *source_path = NULL;
    struct wp_index_status s = {0};
    struct verify_place place;
    bool found = false, spare = false;
    int r = 0;

    if (sources) {
        source = caches_source_of(path_base(index), sources, exists_in_tree, t, &found);
        source_path = source ? path_join(t->dir, source) : NULL;
        if (!source_path)
            return error_nomem(err);
    }
    place = (struct verify_place){.index = index,
                                  .index_shown = shown,
                                  .source = source_path,
                                  .source_shown = source,
                                  .misplaced = misplaced};
    if (misplaced && t->cache_dir && sources)
        r = look_in_cache_dir(t, &place, sources, &spare, err);
    if (spare)
        place.misplaced = NULL;
    t->v.old_root = remembered_root(&t->remembered, sources ? sources : shown);
    if (r == 0)
        r = verify_place(&t->v, &place, &s, err);
    if (r == 0 && spare) {
        s.status = WP_VALID;
        free(take_ptr(s.reason));
    }
    if (r == 0 && judge_add(t->out, &s) < 0)
        r = error_nomem(err);
    judge_clear(&s);
    return r;
}

/* Why Numba does not look at a hashed directory whose root is ROOT, inside the tree. */
static const char *wrong_root(const struct verify_tree *t, const char *root)
{
    struct stat a, b;

    if (!t->cache_dir)
        return NULL;
    if (stat(root, &a) == 0 && stat(t->cache_dir, &b) == 0 && a.st_dev == b.st_dev &&
        a.st_ino == b.st_ino)
        return NULL;
    return "it lies in a cache directory that is not NUMBA_CACHE_DIR";
}

/* Is the file in a directory such as Numba makes? */
static bool is_in_cache(const char *path)
{
    _cleanup_free_ char *dir = path_dir(path);
    size_t base;

    return dir && (strcmp(path_base(dir), "__pycache__") == 0 ||
                   places_is_hash_name(path_base(dir), &base));
}

const char *verify_not_in_tree(const struct verify_tree *t)
{
    return t->cache_dir ? "NUMBA_CACHE_DIR is set, so Numba does not look in the tree" : NULL;
}

int verify_has_source(struct verify_tree *t, const char *sources, const char *name)
{
    bool found = false;
    _cleanup_free_ char *source = caches_source_of(name, sources, exists_in_tree, t, &found);

    return source ? found : -ENOMEM;
}

int verify_is_own(struct verify_tree *t, const char *dir, const char *name)
{
    _cleanup_free_ char *parent = path_dir(dir);

    if (!parent)
        return -ENOMEM;
    if (strcmp(path_base(dir), "__pycache__") == 0)
        return verify_has_source(t, parent, name);
    return caches_find(t->known, path_base(dir)) != NULL;
}

/* A directory with the name of an index is one to Numba, which fails when it opens it. */
static int judge_in_tree(struct verify_tree *t, const struct entry *e, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(t->dir, e->path);
    _cleanup_free_ char *dir = path_dir(e->path);
    _cleanup_free_ char *parent = dir ? path_dir(dir) : NULL;
    _cleanup_free_ char *root = parent ? path_join(t->dir, parent) : NULL;
    const char *sources, *misplaced = NULL;

    if (!path || !root)
        return error_nomem(err);
    if (e->type == ENTRY_DIR ? !is_in_cache(e->path) : !caches_is_index_at(e, path))
        return 0;
    if (verify_links_lead_to(t, dir)) {
        int own = verify_is_own(t, dir, path_base(e->path));

        if (own <= 0) /* judged where a link has it */
            return own < 0 ? error_nomem(err) : 0;
    }
    if (strcmp(path_base(dir), "__pycache__") == 0)
        return verify_judge_one(t, path, e->path, parent, verify_not_in_tree(t), err);
    sources = caches_find(t->known, path_base(dir));
    if (sources)
        misplaced = wrong_root(t, root);
    else if ((sources = caches_find(t->was, path_base(dir))))
        misplaced = "its directory is named for a path that the tree had earlier";
    else
        misplaced = "no directory of this tree has the path that its directory is named for";
    return verify_judge_one(t, path, e->path, sources ? sources : parent, misplaced, err);
}

/* Why Numba does not look in the user-wide place for what is in directory SOURCES. Allocated. */
static char *not_user_wide(struct verify_tree *t, const char *sources)
{
    _cleanup_free_ char *source_dir = path_join(t->dir, sources);

    if (t->cache_dir)
        return strdup("NUMBA_CACHE_DIR is set, so Numba looks there");
    return source_dir ? verify_shadowed(&t->v, source_dir) : NULL;
}

/* Indexes in hashed directory PATH outside the tree. */
static int judge_hashed(struct verify_tree *t, const char *path, const char *sources,
                        const char *misplaced, struct wp_error *err)
{
    _cleanup_closedir_ DIR *d = opendir(path);
    struct dirent *item;

    if (!d)
        return error_set(err, errno, path, "cannot read the cache directory");
    while (errno = 0, (item = readdir(d))) {
        _cleanup_free_ char *index = NULL;
        int r;

        index = path_join(path, item->d_name);
        if (!index)
            return error_nomem(err);
        if (!caches_is_index(item->d_name)) {
            if (leftovers_add(&t->leftovers, index) < 0)
                return error_nomem(err);
            continue;
        }
        r = verify_judge_one(t, index, index, sources, misplaced, err);
        if (r < 0)
            return r;
    }
    return errno ? error_set(err, errno, path, "cannot read the cache directory") : 0;
}

static int judge_root(struct verify_tree *t, const char *root, bool user_wide, struct wp_error *err)
{
    _cleanup_closedir_ DIR *d = opendir(root);
    struct dirent *item;

    if (!d && (errno == ENOENT || errno == ENOTDIR || (user_wide && errno == EACCES)))
        return 0; /* nobody has cached anything there */
    if (!d)
        return error_set(err, errno, root, "cannot read the cache directory");
    if (walk_has_dir(&t->walk, dirfd(d)))
        return 0;
    while (errno = 0, (item = readdir(d))) {
        const char *sources = caches_find(t->known, item->d_name);
        const char *zipped = user_wide ? caches_find(t->zipped, item->d_name) : NULL;
        _cleanup_free_ char *path = sources || zipped ? path_join(root, item->d_name) : NULL;
        _cleanup_free_ char *misplaced = user_wide && sources ? not_user_wide(t, sources) : NULL;
        int r;

        if (!sources && !zipped)
            continue;
        if (!path)
            return error_nomem(err);
        r = judge_hashed(t, path, sources ? sources : zipped, misplaced, err);
        if (r < 0)
            return r;
    }
    return errno ? error_set(err, errno, root, "cannot read the cache directory") : 0;
}

/* Reads what the manifest says of the packing. Without it, less can be told, and that is all. */
static int remember(struct verify_tree *t, struct wp_error *err)
{
    struct wp_error why = {0};
    int r = remembered_read(&t->remembered, t->dir, t->o->manifest, t->bases, &why);

    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0 && t->o->manifest) { /* somebody has asked for it */
        if (err)
            *err = why;
        return r;
    }
    if (r < 0 && r != -ENOENT)
        report(t->o->report, WP_WARNING, NULL, "%s", why.message);
    return 0;
}

/* Names the directories in item E, if that is a zip. */
static int know_zip(struct verify_tree *t, const struct entry *e, const char *base,
                    struct wp_error *err)
{
    const char *bases[] = {base, NULL};
    size_t n = strlen(e->path);
    _cleanup_free_ char *path = NULL;
    _cleanup_close_ int fd = -1;

    if (e->type == ENTRY_DIR || n < 4 || strcmp(e->path + n - 4, ".zip") != 0)
        return 0;
    path = path_join(t->dir, e->path);
    if (!path)
        return error_nomem(err);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? 0 : caches_add_zip(t->zipped, fd, bases, e->path, e->path, err);
}

/* Where the tree is, or will be. NULL on failure. */
static char **find_bases(const struct verify_tree *t, struct wp_error *err)
{
    const char *const *roots = t->o->runtime_roots;
    char **bases;
    size_t n = 0;

    if (!roots)
        return caches_bases(t->dir, NULL, err);
    while (roots[n])
        n++;
    bases = calloc(n + 1, sizeof *bases);
    for (size_t i = 0; bases && i < n; i++) {
        bases[i] = path_absolute(roots[i]);
        if (!bases[i]) {
            error_set(err, errno, roots[i], "cannot be found");
            caches_free_bases(bases);
            return NULL;
        }
    }
    if (!bases)
        error_nomem(err);
    return bases;
}

/* Adds the directories of tree T by the paths that they had when caches were last named. */
static int know_earlier(struct verify_tree *v, const struct restore_tree *t, struct wp_error *err)
{
    int r = 0;

    for (char **base = t->old_bases; base && *base && r == 0; base++) {
        r = caches_add(v->was, *base, "", t->base, err);
        for (size_t i = 0; i < v->walk.count && r == 0; i++) {
            const struct entry *e = &v->walk.items[i].entry;
            const char *below;

            if (e->type != ENTRY_DIR || !path_is_under(e->path, t->base))
                continue;
            below = e->path + strlen(t->base);
            below += *below == '/';
            if (*below)
                r = caches_add(v->was, *base, below, e->path, err);
        }
    }
    return r;
}

static int know_directories(struct verify_tree *t, struct wp_error *err)
{
    struct wp_error why = {0};
    int r;

    t->bases = find_bases(t, &why);
    if (!t->bases) {
        if (err)
            *err = why;
        return -why.code;
    }
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
    for (size_t i = 0; i < t->remembered.found.tree_count && r == 0; i++)
        r = know_earlier(t, &t->remembered.found.trees[i], err);
    if (r == 0)
        caches_sort(t->was);
    return r;
}

/* What links lead to may belong to indexes that are reported by the names of these. */
static int add_leftover(struct verify_tree *t, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(path);

    if (!dir)
        return error_nomem(err);
    if (!is_in_cache(path) || verify_links_lead_to(t, dir))
        return 0;
    return leftovers_add(&t->leftovers, path) < 0 ? error_nomem(err) : 0;
}

static int judge_all(struct verify_tree *t, struct wp_error *err)
{
    _cleanup_free_ char *user_wide = places_user_wide(&t->v.user, t->v.is_caller);
    int r = know_directories(t, err);

    if (r == 0)
        r = verify_links_find(t, err);
    for (size_t i = 0; i < t->walk.count && r == 0; i++) {
        const struct entry *e = &t->walk.items[i].entry;

        if (t->o->interrupted && *t->o->interrupted)
            return error_set(err, EINTR, NULL, "interrupted");
        if (caches_is_index(e->path))
            r = judge_in_tree(t, e, err);
        else if (e->type != ENTRY_FILE && e->type != ENTRY_HARDLINK)
            continue;
        else
            r = add_leftover(t, e->path, err);
    }
    if (r == 0)
        r = verify_links(t, err);
    if (r == 0 && t->cache_dir)
        r = judge_root(t, t->cache_dir, false, err);
    if (r == 0 && user_wide)
        r = judge_root(t, user_wide, true, err);
    if (r == 0)
        r = verify_absent(t, err);
    if (r == 0 && (note_leftovers(t->out, &t->leftovers) < 0 ||
                   note_locators(t->out, t->o->python ? t->v.expect->asked.locators
                                                      : getenv("NUMBA_CACHE_LOCATOR_CLASSES")) < 0))
        r = error_nomem(err);
    for (size_t i = 0; i < t->remembered.found.tree_count && r == 0; i++)
        if (note_settings(t->out, &t->remembered.found.trees[i].m) < 0)
            r = error_nomem(err);
    return r;
}

int wp_verify_tree(const char *dir, const struct wp_verify_options *o,
                   struct wp_verify_report *result, struct wp_error *err)
{
    struct verify_tree t = {.dir = dir, .o = o, .cache_dir = o->cache_dir, .out = result};
    struct judge_expect expect;
    struct walk_options options = {
        .numeric_owner = true, .report = o->report, .interrupted = o->interrupted};
    int root = -1, r;

    *result = (struct wp_verify_report){0};
    walk_init(&t.walk);
    r = verify_begin(&t.v, o->user, err);
    if (r == 0)
        r = judge_expect_begin(&expect, o, err);
    else
        expect = (struct judge_expect){0};
    t.v.expect = &expect;
    t.v.notes = result;
    result->keys = true;
    if (!t.cache_dir)
        t.cache_dir = expect.asked.cache_dir;
    if (r == 0)
        r = root = walk_add_root(&t.walk, dir, err);
    if (r >= 0)
        r = walk_add(&t.walk, (unsigned)root, ".", "", &options, err);
    if (r == 0)
        r = walk_finish(&t.walk, err);
    if (r == 0)
        r = judge_all(&t, err);
    judge_sort(result);
    judge_expect_end(&expect);
    verify_end(&t.v);
    leftovers_clear(&t.leftovers);
    remembered_clear(&t.remembered);
    caches_free(t.known);
    caches_free(t.was);
    caches_free(t.zipped);
    caches_free_bases(t.bases);
    verify_links_clear(&t);
    walk_free(&t.walk);
    if (r < 0)
        wp_verify_report_clear(result);
    return r;
}
