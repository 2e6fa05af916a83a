/* Unpacking over what other archives have left: finds which of their manifests this one supersedes.
 *
 * A later release over an earlier one: the earlier manifest goes. Another archive beside the first,
 * though both bring a README or the __init__.py of a namespace: both stay, each for its own files.
 * What tells them apart is how much of the earlier archive would be left. Of its files that will be
 * in the tree, at least nine in ten must be this archive's; a release that drops more than that
 * leaves a manifest which still speaks for them. One whose files have all gone is superseded, too.
 *
 * A manifest that stays, but has lost a file to other content or another time, is no longer what
 * --if-needed looks for. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "numba/places.h"
#include "tree/beneath.h"
#include "trees/trees.h"

enum { LEAST_SHARE = 9 /* of ten */ };

/* An earlier manifest in the tree. */
struct earlier {
    struct tree_manifest tree;
    size_t taken, left; /* files that this archive brings, and others that stay */
    bool has_gone;      /* some are neither */
    bool has_changed;   /* one of those taken is not the same */
};

static void earlier_clear(struct earlier *old)
{
    tree_manifest_clear(&old->tree);
}

/* ---- What is left of it ------------------------------------------------------------------ */

static bool is_same(const struct entry *a, const struct entry *b)
{
    if (a->type != b->type || (a->target && b->target && strcmp(a->target, b->target) != 0))
        return false;
    if (a->type != ENTRY_FILE)
        return true;
    return a->size == b->size && time_is(a->mtime, b->mtime) &&
           (!a->has_sha256 || !b->has_sha256 ||
            memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0);
}

/* The path that E of OLD has in the tree; NULL: none, or it is no file of the archive's own. */
static const char *file_path(const struct earlier *old, const struct entry *e)
{
    if (e->type == ENTRY_DIR || own_home_at(e->path) >= 0)
        return NULL;
    return path_strip(e->path, old->tree.state.strip);
}

static const struct unpacked *find_taker(const struct unpack *unpack, const char *path)
{
    const struct unpacked *item = unpack_find(unpack, path);

    return item && !item->skipped ? item : NULL;
}

/* Will the file PATH, which this archive does not bring, be there afterwards? 1, 0 or negative
 * errno. */
static int stays(const struct unpack *unpack, const char *path)
{
    _cleanup_free_ char *top = strndup(path, strcspn(path, "/"));
    struct stat st;
    int r = 0;

    if (!top)
        return -ENOMEM;
    if (unpack->o->replace && path[strlen(top)])
        r = beneath_look(unpack->tree, top, &st);
    return r < 0 ? r : r > 0 ? 0 : beneath_look(unpack->target, path, &st);
}

/* Stops at the file that decides. */
static int count_left(const struct unpack *unpack, struct earlier *old, size_t most,
                      struct wp_error *err)
{
    for (size_t i = 0; i < old->tree.m.entry_count && old->left <= most; i++) {
        const char *path = file_path(old, &old->tree.m.entries[i]);
        int r;

        if (!path || find_taker(unpack, path))
            continue;
        r = stays(unpack, path);
        if (r < 0)
            return error_set(err, -r, path, "cannot stat");
        old->left += r > 0;
        old->has_gone |= r == 0;
    }
    return 0;
}

static void count_taken(const struct unpack *unpack, struct earlier *old)
{
    for (size_t i = 0; i < old->tree.m.entry_count; i++) {
        const struct entry *e = &old->tree.m.entries[i];
        const char *path = file_path(old, e);
        const struct unpacked *taker = path ? find_taker(unpack, path) : NULL;

        old->taken += taker != NULL;
        old->has_changed |= taker && !is_same(e, &taker->e);
    }
}

/* Is nothing, or next to nothing, left for OLD to speak for? An archive without a manifest
 * describes nothing, and supersedes none. 1, 0 or negative errno. */
static int is_superseded(const struct unpack *unpack, struct earlier *old, struct wp_error *err)
{
    size_t most = old->taken / LEAST_SHARE * (10 - LEAST_SHARE);
    int r;

    /* Without a record it is not known what its files are called here. */
    if (!unpack->has_manifest || (!old->taken && !old->tree.has_state))
        return 0;
    r = count_left(unpack, old, most, err);
    return r < 0 ? r : old->left <= most && (old->taken || old->has_gone);
}

/* Of a manifest that stays, the record no longer says that DIR holds that very archive. */
static int forget_archive(struct unpack *unpack, struct earlier *old, struct wp_error *err)
{
    struct manifest_state now = old->tree.state;

    now.options = now.archive = NULL;
    if (manifest_state_write(&now, &old->tree.state_text) < 0)
        return error_nomem(err);
    return trees_state_stage(unpack->staging, old->tree.home, &old->tree.state_text, err);
}

/* ---- Caches named for earlier paths ------------------------------------------------------ */

/* Adds the cache roots inside the tree as M has them and STATE says of them. */
static int inside_roots(const struct manifest *m, const struct manifest_state *state,
                        struct path_list *roots)
{
    for (size_t i = 0; i <= m->cache_count; i++) {
        const struct manifest_cache *c = i < m->cache_count ? &m->caches[i] : NULL;
        const char *base = state->root_count ? state->roots[0] : NULL, *below = NULL;
        _cleanup_free_ char *root = NULL;

        if (c && c->kind == MANIFEST_CACHE_INSIDE && (below = path_strip(c->cache, state->strip)))
            root = path_dir(below);
        else if (!c && base && state->cache_root && path_is_under(state->cache_root, base)) {
            root = strdup(path_from(state->cache_root, base));
        }
        if (root && (!roots->count || strcmp(roots->v[roots->count - 1], root) != 0) &&
            path_list_add(roots, take_ptr(root)) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Is it a path that the tree has now, where caches of a cache root stay? */
static bool names_stay(const struct unpack *unpack, const char *root)
{
    for (char **now = unpack->roots; *now; now++)
        if (strcmp(*now, root) == 0)
            return unpack->o->layout == WP_LAYOUT_AUTO || unpack->o->layout == WP_LAYOUT_KEEP;
    return false;
}

/* Removes what lies in cache root INSIDE under the names that STATE's paths give to directory
 * SOURCE, unless this archive brings it. */
static int remove_names(struct unpack *unpack, const struct manifest_state *state,
                        const char *inside, const char *source)
{
    for (size_t i = 0; i < state->root_count; i++) {
        const char *root = state->roots[i];
        _cleanup_free_ char *whole = path_append(root, source);
        _cleanup_free_ char *name = whole ? places_hash_name(whole) : NULL;
        _cleanup_free_ char *path = name ? path_join(inside, name) : NULL;
        struct stat st;

        if (!path && !(whole && !name && errno == EILSEQ))
            return -ENOMEM;
        if (path && !names_stay(unpack, root) && path_is_safe(path) &&
            beneath_stat(unpack->tree, path, &st) < 0 &&
            beneath_stat(unpack->target, path, &st) == 0 && S_ISDIR(st.st_mode) &&
            staging_set_remove(unpack->staging, 0, path) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* The tree was unpacked before, and moved, or its caches go elsewhere now: what was named for then
 * would never be found. */
static int remove_old_names(struct unpack *unpack, const struct manifest *m,
                            const struct manifest_state *state)
{
    _cleanup_(path_list_clear) struct path_list insides = {0};
    _cleanup_free_ char *last = NULL;
    int r = inside_roots(m, state, &insides);

    for (size_t i = 0; i < m->entry_count && r == 0 && insides.count; i++) {
        const char *path = path_strip(m->entries[i].path, state->strip);
        _cleanup_free_ char *dir = path && path_has_suffix(path, ".py") ? path_dir(path) : NULL;

        if (!dir || (last && strcmp(last, dir) == 0))
            continue;
        for (size_t k = 0; k < insides.count && r == 0; k++)
            r = remove_names(unpack, state, insides.v[k], dir);
        free(last);
        last = take_ptr(dir);
    }
    return r;
}

/* ---- The manifests of the tree ----------------------------------------------------------- */

static int judge(struct unpack *unpack, struct earlier *old, struct wp_error *err)
{
    bool is_own = unpack->home && strcmp(old->tree.home, unpack->home) == 0;
    int r = is_own;

    if (!is_own) {
        count_taken(unpack, old);
        r = is_superseded(unpack, old, err);
    }
    if (r < 0)
        return r;
    if (r > 0) {
        if (remove_old_names(unpack, &old->tree.m, &old->tree.state) < 0 ||
            (!is_own && staging_set_remove(unpack->staging, 0, old->tree.home) < 0))
            return error_nomem(err);
        return 0;
    }
    return old->has_changed && old->tree.has_state && old->tree.state.options
               ? forget_archive(unpack, old, err)
               : 0;
}

/* One that is damaged is left alone; a state that is, is none. */
static int supersede_one(struct unpack *unpack, const struct trees *trees, const char *home,
                         struct wp_error *err)
{
    _cleanup_(earlier_clear) struct earlier old = {0};
    struct wp_error why = {0};
    int r = tree_manifest_and_state_read(trees, &old.tree, home, &why);

    /* Another user's in a shared directory must not keep everybody from unpacking there. */
    if (r == -EACCES) {
        report(unpack->a->context, WP_WARNING, home,
               "cannot be read: what it says of files that are replaced stays");
        return 0;
    }
    if (r < 0)
        error_pass(err, &why);
    return r > 0 ? judge(unpack, &old, err) : r;
}

/* Manifests below directory TOP, "" for DIR itself. */
static int supersede_in(struct unpack *unpack, const char *top, struct wp_error *err)
{
    _cleanup_free_ char *place = path_join(top, MANIFEST_DIR);
    struct trees trees = {.dir = unpack->dir,
                          .fd = unpack->target,
                          .pool = unpack->a->pool,
                          .context = unpack->a->context};
    _cleanup_(path_list_clear) struct path_list homes = {0};
    int r;

    if (*top && unpack->o->replace)
        return 0; /* they go with the directory */
    r = place ? trees_homes(trees.fd, place, &homes) : -ENOMEM;
    if (r < 0)
        return error_set(err, -r, place, "cannot read directory");
    for (size_t i = 0; i < homes.count && r == 0; i++) {
        (void)trees_sweep(&trees, homes.v[i]);
        r = supersede_one(unpack, &trees, homes.v[i], err);
    }
    return r;
}

int unpack_supersede(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_free_ char *last = NULL;
    int r = unpack->o->keep_old ? 0 : supersede_in(unpack, "", err);

    for (size_t i = 0; i < unpack->count && r == 0 && !unpack->o->keep_old; i++) {
        const char *path = unpack->items[i]->e.path;
        size_t n = strcspn(path, "/");

        if (unpack->items[i]->skipped || !path[n] || (last && strncmp(last, path, n + 1) == 0))
            continue;
        free(last);
        last = strndup(path, n + 1);
        if (!last)
            return error_nomem(err);
        last[n] = '\0';
        r = supersede_in(unpack, last, err);
        last[n] = '/';
    }
    return r;
}
