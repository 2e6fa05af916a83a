/* Repairing, third step: finds where the caches of each source directory lie now: in the tree,
 * where the archive had them, under the names that earlier paths of the tree gave them, or where
 * they belong. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"

/* DIR's path below the base of its tree. */
static const char *below_base(const struct repair *repair, size_t dir)
{
    return path_from(repair->t->dirs[dir].path, repair->t->base);
}

/* The path in the tree of the cache directory of line C, with the home at HOME. Allocated. */
static char *cache_path(const struct tree_manifest *t, const struct manifest_cache *c,
                        const char *home, unsigned strip)
{
    const char *left;

    if (t->m.home && path_is_under(c->cache, t->m.home))
        return path_join(home, path_from(c->cache, t->m.home));
    left = path_strip(c->cache, strip);
    return strdup(left ? left : "");
}

/* The root of caches that lie in the tree; from a tree that is only read they are copied. */
static enum layout_root tree_root(const struct restore *restore)
{
    return restore->apart ? LAYOUT_FOREIGN : LAYOUT_TREE;
}

/* Caches as the archive had them: in the tree's own home, and inside the tree. */
static int add_archived(struct restore *restore, struct repair *repair, size_t dir,
                        struct wp_error *err)
{

    bool elsewhere = repair->t->foreign >= 0;
    int r;

    for (size_t i = 0; i < repair->t->m.cache_count; i++) {
        const struct manifest_cache *c = &repair->t->m.caches[i];
        _cleanup_free_ char *path = NULL, *below = NULL;
        struct restore_place p = {.kind = layout_kind_of(c->kind),
                                  .root = elsewhere ? LAYOUT_FOREIGN : tree_root(restore),
                                  .fd = elsewhere ? repair->t->foreign : restore->fd};

        if (strcmp(c->source, repair->t->dirs[dir].archived) != 0)
            continue;
        path = elsewhere
                   ? cache_path(repair->t, c, repair->t->foreign_home, repair->t->foreign_strip)
                   : cache_path(repair->t, c, repair->t->home, repair->t->strip);
        if (path && !elsewhere && !path_is_under(path, repair->t->home)) {
            char *whole = path_join(repair->t->base, path);

            free(path);
            path = whole;
        }
        below = path ? path_dir(path) : NULL;
        if (!below)
            return error_nomem(err);
        /* A root inside the other tree becomes a cache directory like others. */
        if (p.root == LAYOUT_FOREIGN && p.kind == LAYOUT_INSIDE)
            p.kind = LAYOUT_HASHED;
        p.below = below;
        if (!path_is_safe(path))
            return error_set(err, 0, path, "would lead outside the directory: refused");
        r = restore_place_add(restore, repair, &p, path_base(path), dir, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_inside(struct restore *restore, struct repair *repair, size_t dir,
                      struct wp_error *err)
{
    for (size_t i = 0; i < repair->t->insides.count; i++) {
        struct restore_place p = {.kind = restore->apart ? LAYOUT_HASHED : LAYOUT_INSIDE,
                                  .root = tree_root(restore),
                                  .fd = restore->fd,
                                  .below = repair->t->insides.v[i]};

        int r = restore_place_add_hashed(restore, repair, &p, restore->roots,
                                         repair->t->dirs[dir].path, dir, err);

        if (r == 0)
            r = restore_place_add_hashed(restore, repair, &p, repair->t->old_bases,
                                         below_base(repair, dir), dir, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_in_tree(struct restore *restore, struct repair *repair, size_t dir,
                       struct wp_error *err)
{
    struct restore_place own = {
        .kind = LAYOUT_IN_TREE, .root = tree_root(restore), .fd = restore->fd};
    struct restore_place other = {
        .kind = LAYOUT_IN_TREE, .root = LAYOUT_FOREIGN, .fd = repair->t->foreign};
    const char *archived = repair->t->dirs[dir].archived;
    const char *left = path_strip(archived, repair->t->foreign_strip);
    int r;

    own.below = repair->t->dirs[dir].path;
    r = restore_place_add(restore, repair, &own, "__pycache__", dir, err);
    if (r < 0 || repair->t->foreign < 0)
        return r;
    other.below = left ? left : "";
    return restore_place_add(restore, repair, &other, "__pycache__", dir, err);
}

/* ---- Cache roots ------------------------------------------------------------------------- */

static bool same_path(const char *a, const char *b)
{
    _cleanup_free_ char *x = a ? path_absolute(a) : NULL;
    _cleanup_free_ char *y = b ? path_absolute(b) : NULL;

    return x && y && strcmp(x, y) == 0;
}

/* Fills P for the cache root at PATH, opened into *FD where it is outside the tree. 1; 0: there is
 * none, or none for us; negative errno. */
static int open_root(struct restore *restore, struct repair *repair, const char *path,
                     enum layout_root otherwise, struct restore_place *p, int *fd,
                     struct wp_error *err)
{
    p->below = "";
    if (path_is_under(path, restore->dir_path)) {
        p->root = tree_root(restore);
        p->fd = restore->fd;
        p->below = path_from(path, restore->dir_path);
        return 1;
    }
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return error_is_absence(-errno) || errno == EACCES
                   ? 0
                   : error_set(err, errno, path, "cannot open the cache directory");
    p->fd = *fd;
    p->root = same_path(path, repair->layout->o.cache_dir)        ? LAYOUT_CACHE_DIR
              : same_path(path, layout_user_root(repair->layout)) ? LAYOUT_USER_WIDE
              : faccessat(*fd, ".", W_OK, AT_EACCESS)
                  ? otherwise == LAYOUT_OLD ? LAYOUT_FOREIGN : otherwise
                  : otherwise;
    return 1;
}

/* Does the cache root of earlier times lie where the archive had one inside the tree? */
static bool was_inside(const struct restore *restore, const struct tree_manifest *t)
{
    for (size_t i = 0; i < t->insides.count; i++) {
        _cleanup_free_ char *whole = path_join(restore->dir_path, t->insides.v[i]);

        if (same_path(whole, t->old_root))
            return true;
    }
    return false;
}

/* The names by the paths that the tree had. Where something has taken its place there, they are
 * the caches of that now (a copy was made, or another release has come): they are only read. */
static int add_old_names(struct restore *restore, struct repair *repair,
                         const struct restore_place *old, size_t dir, struct wp_error *err)
{
    for (char **base = repair->t->old_bases; base && *base; base++) {
        char *one[] = {*base, NULL};
        struct restore_place p = *old;
        bool is_now = false;
        struct stat st;
        int r;

        for (char **root = restore->roots; *root && !is_now; root++) {
            _cleanup_free_ char *now = path_append(*root, repair->t->base);

            if (!now)
                return error_nomem(err);
            is_now = strcmp(now, *base) == 0;
        }
        if (is_now)
            continue;
        p.old = true;
        if (stat(*base, &st) == 0 && p.root != LAYOUT_TREE) {
            p.root = LAYOUT_FOREIGN;
            p.old = false;
        }
        r = restore_place_add_hashed(restore, repair, &p, one, below_base(repair, dir), dir, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool has_zipped(const struct tree_manifest *t)
{
    for (size_t i = 0; i < t->dir_count; i++)
        if (t->dirs[i].zipped)
            return true;
    return false;
}

static int add_roots(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    struct layout *l = repair->layout;
    _cleanup_free_ char *cache_dir = l->o.cache_dir ? path_absolute(l->o.cache_dir) : NULL;
    bool user_wide = l->o.kind == WP_LAYOUT_USER_WIDE || l->o.kind == WP_LAYOUT_KEEP;
    bool was_user_wide = repair->t->has_state && strcmp(repair->t->state.layout, "user-wide") == 0;
    struct restore_place old = {.kind = was_user_wide                    ? LAYOUT_HASHED_USER_WIDE
                                        : was_inside(restore, repair->t) ? LAYOUT_INSIDE
                                                                         : LAYOUT_HASHED};
    struct restore_place cache = {.kind = LAYOUT_HASHED}, user = {.kind = LAYOUT_HASHED_USER_WIDE};
    int has_old = repair->t->old_root ? open_root(restore, repair, repair->t->old_root, LAYOUT_OLD,
                                                  &old, &repair->old_fd, err)
                                      : 0;
    int has_cache = cache_dir ? open_root(restore, repair, cache_dir, LAYOUT_CACHE_DIR, &cache,
                                          &repair->cache_fd, err)
                              : 0;
    int has_user = !user_wide && !has_zipped(repair->t) ? 0
                   : layout_user_root(l) ? open_root(restore, repair, layout_user_root(l),
                                                     LAYOUT_USER_WIDE, &user, &repair->user_fd, err)
                   : errno == ENOMEM     ? error_nomem(err)
                                         : 0;
    struct restore_place user_then = user;

    if (has_old < 0 || has_cache < 0 || has_user < 0)
        return has_old < 0 ? has_old : has_cache < 0 ? has_cache : has_user;

    /* Outside of the tree's own directory, what the state says is no more than a hint. */
    old.doubted =
        has_old && (old.root != LAYOUT_TREE || !path_is_under(old.below, repair->t->base));
    user_then.doubted = true;

    for (size_t i = 0; i < repair->t->dir_count; i++) {
        const char *path = repair->t->dirs[i].path;
        int r = 0;

        if (has_cache)
            r = restore_place_add_hashed(restore, repair, &cache, restore->roots, path, i, err);
        if (has_user && (user_wide || repair->t->dirs[i].zipped) && r == 0)
            r = restore_place_add_hashed(restore, repair, &user, restore->roots, path, i, err);
        if (has_user && repair->t->dirs[i].zipped && r == 0)
            r = add_old_names(restore, repair, &user_then, i, err);
        if (has_old && r == 0)
            r = restore_place_add_hashed(restore, repair, &old, restore->roots, path, i, err);
        if (has_old && r == 0)
            r = add_old_names(restore, repair, &old, i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Without other wishes, caches stay in the kind of place where the last run put them. */
static int choose_layout(struct restore *restore, struct repair *repair, struct layout_options *o,
                         struct wp_error *err)
{
    const struct tree_manifest *t = repair->t;
    const char *was = t->has_state ? t->state.layout : "in-tree";

    o->kind = restore->o->layout;
    o->cache_dir = restore->o->cache_dir;
    o->old_root = t->old_root;
    if (o->cache_dir || !t->old_root)
        return 0;
    if (strcmp(was, "cache-dir") == 0 && o->kind != WP_LAYOUT_IN_TREE &&
        o->kind != WP_LAYOUT_USER_WIDE && !was_inside(restore, t)) {
        o->cache_dir = repair->state_cache_dir = strdup(t->old_root);
        if (!o->cache_dir)
            return error_nomem(err);
        if (o->kind == WP_LAYOUT_AUTO)
            o->kind = WP_LAYOUT_KEEP;
    }
    if (strcmp(was, "user-wide") == 0 && o->kind == WP_LAYOUT_AUTO)
        o->kind = WP_LAYOUT_KEEP;
    return 0;
}

/* With nothing but the user-wide place to keep caches in, those of an archive go there, too. */
static void choose_kinds(struct layout *l)
{
    for (size_t i = 0; i < l->record_count && l->o.kind == WP_LAYOUT_KEEP && !l->o.cache_dir; i++)
        if (l->records[i].kind == LAYOUT_HASHED && l->o.old_root)
            l->records[i].kind = LAYOUT_HASHED_USER_WIDE;
}

int restore_begin_layout(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    struct layout_options o = {
        .context = restore->context,
        .give = restore->o->user && geteuid() == 0,
        .group_writable = restore->o->group_writable,
        .verify = &restore->verify,
        .roots = restore->roots,
        .dir = restore->o->dir,
        .dir_path = restore->dir_path,
        .tree_fd = restore->fd,
        .target_fd = restore->fd,
        .apart = restore->apart,
        .dry_run = restore->o->dry_run,
        .looking = restore->looking,
        .umask = restore->umask,
        .is_source = restore_is_source,
        .ctx = restore,
        .staging_options = {.sync = restore->o->sync, .context = restore->context},
        .staging = &repair->staging};
    int r = choose_layout(restore, repair, &o, err);

    if (restore->apart) /* a cache root inside the tree, too, goes there */
        o.kind = WP_LAYOUT_CACHE_DIR;
    return r < 0 ? r : layout_begin(repair->layout, &o, err);
}

int restore_add_caches(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    const size_t dirs = repair->t->dir_count;
    int r = tree_find_insides(repair->t) < 0 ? error_nomem(err) : 0;

    for (size_t i = 0; i < dirs && r == 0; i++)
        r = add_in_tree(restore, repair, i, err);
    if (r == 0)
        r = add_roots(restore, repair, err);
    for (size_t i = 0; i < dirs && r == 0; i++) {
        r = add_inside(restore, repair, i, err);
        if (r == 0)
            r = add_archived(restore, repair, i, err);
    }
    choose_kinds(repair->layout);
    return r < 0 ? r : restore_memory(repair, err);
}
