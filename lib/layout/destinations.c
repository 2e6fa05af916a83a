/* The layout, where to: finds the roots, and the destinations that each record has below them. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "layout.h"
#include "numba/places.h"
#include "tree/beneath.h"

/* ---- Roots ------------------------------------------------------------------------------- */

/* --cache-dir as a path in the tree, where it lies there. */
static int find_cache_below(struct layout *l, struct wp_error *err)
{
    _cleanup_free_ char *path = NULL;

    if (!l->o.cache_dir)
        return 0;
    path = path_absolute(l->o.cache_dir);
    if (!path)
        return error_set(err, errno, l->o.cache_dir, "cannot be found");
    if (!path_is_under(path, l->o.dir_path))
        return 0;
    l->cache_below = strdup(path_from(path, l->o.dir_path));
    return l->cache_below ? 0 : error_nomem(err);
}

int layout_begin(struct layout *l, const struct layout_options *o, struct wp_error *err)
{
    *l = (struct layout){.o = *o};
    for (enum layout_root root = 0; root < LAYOUT_ROOTS; root++)
        l->area[root] = -1;
    if (*o->staging)
        l->area[LAYOUT_TREE] = 0;
    return find_cache_below(l, err);
}

int layout_refuse_unwritable(int errnum, const char *dir, struct wp_error *err)
{
    return error_set(
        err, errnum, dir,
        "cannot be written to: name a place for its caches with --cache-dir, or seal it "
        "where it can be, and Numba reads it as it is: see warmpack-locator(7)");
}

int layout_is_apart(int fd, const char *dir_path, enum wp_layout kind, const char *cache_dir,
                    struct wp_error *err)
{
    _cleanup_free_ char *path = NULL;

    if (!cache_dir || (kind != WP_LAYOUT_AUTO && kind != WP_LAYOUT_CACHE_DIR) ||
        faccessat(fd, ".", W_OK, AT_EACCESS) == 0 || (errno != EROFS && errno != EACCES))
        return 0;
    path = path_absolute(cache_dir);
    return path ? !path_is_under(path, dir_path)
                : error_set(err, errno, cache_dir, "cannot be found");
}

const char *layout_user_root(struct layout *l)
{
    if (!l->user_root)
        l->user_root = places_user_wide(&l->o.verify->user, l->o.verify->is_caller);
    return l->user_root;
}

/* Numba makes further directories in a cache root: one that is new is the group's, too. */
static int share_root(struct layout *l, int area, struct wp_error *err)
{
    struct staging_dir attributes = {
        .path = "", .mode = (0777 & ~l->o.umask) | S_IRWXG, .uid = (uid_t)-1, .gid = (gid_t)-1};

    clock_gettime(CLOCK_REALTIME, &attributes.mtime);
    return staging_set_dir(*l->o.staging, area, &attributes) < 0 ? error_nomem(err) : 0;
}

int layout_area(struct layout *l, enum layout_root root, struct wp_error *err)
{
    const char *path = root == LAYOUT_TREE        ? l->o.dir
                       : root == LAYOUT_CACHE_DIR ? l->o.cache_dir
                       : root == LAYOUT_OLD       ? l->o.old_root
                                                  : layout_user_root(l);
    bool given = l->o.give && (root == LAYOUT_CACHE_DIR || root == LAYOUT_USER_WIDE);
    struct staging_owner owner = {.uid = l->o.verify->user.uid,
                                  .gid = l->o.verify->user.gid,
                                  .guarded = root == LAYOUT_USER_WIDE};
    struct stat st;
    bool shared;
    int r = 0;

    if (l->area[root] >= 0)
        return l->area[root];
    if (l->o.looking)
        return -EAGAIN;
    if (root == LAYOUT_USER_WIDE && !l->o.verify->is_caller && !l->o.verify->user.name)
        return error_set(err, 0, NULL, "the user has no name, and so no home directory for caches");
    if (!path)
        return error_nomem(err);
    if (root == LAYOUT_TREE && faccessat(l->o.target_fd, ".", W_OK, AT_EACCESS) < 0 &&
        (errno == EROFS || errno == EACCES))
        return layout_refuse_unwritable(errno, path, err);
    shared = l->o.group_writable && root == LAYOUT_CACHE_DIR && lstat(path, &st) < 0 &&
             error_is_absence(-errno);
    if (!*l->o.staging)
        r = staging_new(l->o.staging, &l->o.staging_options, err);
    /* The tree is always the first, where anything is written to it. */
    if (r == 0 && root != LAYOUT_TREE && !l->o.apart)
        r = layout_area(l, LAYOUT_TREE, err);
    if (r >= 0)
        r = staging_add_area_for(*l->o.staging, path, given ? &owner : NULL, err);
    if (r < 0)
        return r;
    l->area[root] = r;
    r = shared ? share_root(l, r, err) : 0;
    return r < 0 ? r : l->area[root];
}

/* ---- Destinations ------------------------------------------------------------------------ */

static int add_destination(struct layout_destination **d, size_t *n, enum layout_root root,
                           char *path, struct wp_error *err)
{
    if (!path || array_grow(*d, *n) < 0) {
        free(path);
        return error_nomem(err);
    }
    for (size_t i = 0; i < *n; i++)
        if ((*d)[i].root == root && strcmp((*d)[i].path, path) == 0) {
            free(path);
            return 0;
        }
    (*d)[(*n)++] = (struct layout_destination){root, path};
    return 0;
}

int layout_add_hashed(struct layout *l, struct layout_destination **d, size_t *n,
                      enum layout_root root, const char *below, const char *source,
                      struct wp_error *err)
{
    for (char **base = l->o.roots; *base; base++) {
        _cleanup_free_ char *absolute = path_append(*base, source);
        _cleanup_free_ char *name = absolute ? places_hash_name(absolute) : NULL;
        int r;

        if (!name && absolute && errno == EILSEQ) {
            report(l->o.context, WP_WARNING, absolute,
                   "is not UTF-8: Numba cannot cache for it outside the tree");
            continue;
        }
        if (!name)
            return error_nomem(err);
        r = add_destination(d, n, root, path_join(below, name), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Could SOURCE/__pycache__ be a directory, here and in the tree that this one is merged into? 1, 0
 * or negative errno. */
static int can_be_in_tree(const struct layout *l, const char *source, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(source, "__pycache__");
    const int at[] = {l->o.tree_fd, l->o.target_fd};
    struct stat st;

    if (!path)
        return error_nomem(err);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        int r = beneath_stat(at[i], path, &st);

        if (r < 0 && !beneath_is_absence(r))
            return error_set(err, -r, path, "cannot stat");
        if (r == 0 && !S_ISDIR(st.st_mode))
            return 0;
    }
    return 1;
}

/* Says why caches cannot go beside their sources, where that is not plain. */
static void warn_of_link(const struct layout *l, const char *source)
{
    _cleanup_free_ char *path = path_join(source, "__pycache__");
    struct stat st;

    if (path &&
        (beneath_stat(l->o.tree_fd, path, &st) == 0 ||
         beneath_stat(l->o.target_fd, path, &st) == 0) &&
        S_ISLNK(st.st_mode))
        report(
            l->o.context, WP_WARNING, path,
            "is a symbolic link, through which nothing is written: where it leads to a directory, "
            "Numba looks there; name a place with --cache-dir, or make it a directory");
}

/* Finds the kind of place where the layout wants R. KEEP: the kind in which it lies. */
static int wanted_place(const struct layout *l, struct layout_record *record, enum wp_layout *place,
                        struct wp_error *err)
{
    bool given = l->o.cache_dir != NULL;
    int r;
    /* What lies beside its source stays, but that of another tree has yet to come. */
    bool stays = record->kind == LAYOUT_IN_TREE && record->root != LAYOUT_FOREIGN;

    if (record->zipped) { /* Numba looks nowhere else for it */
        *place = WP_LAYOUT_USER_WIDE;
        return 0;
    }
    switch (l->o.kind) {
    case WP_LAYOUT_AUTO:
        if (record->kind == LAYOUT_INSIDE)
            *place = WP_LAYOUT_KEEP;
        else if (given)
            *place = WP_LAYOUT_CACHE_DIR;
        else if (stays)
            *place = WP_LAYOUT_KEEP;
        else {
            r = can_be_in_tree(l, record->source, err);
            if (r < 0)
                return r;
            *place = r > 0 ? WP_LAYOUT_IN_TREE : WP_LAYOUT_USER_WIDE;
        }
        if (*place == WP_LAYOUT_USER_WIDE && !record->warned)
            warn_of_link(l, record->source);
        record->warned = true;
        return 0;
    case WP_LAYOUT_KEEP:
        *place = record->kind == LAYOUT_HASHED              ? WP_LAYOUT_CACHE_DIR
                 : record->kind == LAYOUT_HASHED_USER_WIDE  ? WP_LAYOUT_USER_WIDE
                 : record->kind == LAYOUT_IN_TREE && !stays ? WP_LAYOUT_IN_TREE
                                                            : WP_LAYOUT_KEEP;
        break;
    default:
        *place = l->o.kind;
    }
    if (*place == WP_LAYOUT_CACHE_DIR && !given)
        return error_set(err, 0, NULL,
                         "this layout puts caches into a cache directory: name it with --cache-dir "
                         "or NUMBA_CACHE_DIR");
    r = *place == WP_LAYOUT_IN_TREE ? can_be_in_tree(l, record->source, err) : 1;
    if (r < 0)
        return r;
    if (r == 0) {
        if (!record->warned)
            report(l->o.context, WP_WARNING, *record->source ? record->source : ".",
                   "its __pycache__ is not a directory: the caches go to the user-wide place");
        record->warned = true;
        *place = WP_LAYOUT_USER_WIDE;
    }
    return 0;
}

static int add_cache_dir(struct layout *l, const struct layout_record *record,
                         struct layout_destination **d, size_t *n, struct wp_error *err)
{
    l->used.cache_dir = true;
    return l->cache_below
               ? layout_add_hashed(l, d, n, LAYOUT_TREE, l->cache_below, record->source, err)
               : layout_add_hashed(l, d, n, LAYOUT_CACHE_DIR, "", record->source, err);
}

int layout_destinations(struct layout *l, struct layout_record *record,
                        struct layout_destination **d, size_t *n, struct wp_error *err)
{
    enum wp_layout place;
    int r = wanted_place(l, record, &place, err);

    if (r < 0)
        return r;
    switch (place) {
    case WP_LAYOUT_CACHE_DIR:
        return add_cache_dir(l, record, d, n, err);
    case WP_LAYOUT_USER_WIDE:
        *(record->zipped ? &l->used.zipped : &l->used.user_wide) = true;
        return layout_user_root(l)
                   ? layout_add_hashed(l, d, n, LAYOUT_USER_WIDE, "", record->source, err)
                   : error_nomem(err);
    case WP_LAYOUT_KEEP:
        if (record->kind != LAYOUT_INSIDE)
            break;
        l->used.inside = true;
        if (!l->inside_root && !(l->inside_root = strdup(record->inside)))
            return error_nomem(err);
        r = layout_add_hashed(l, d, n, LAYOUT_TREE, record->inside, record->source, err);
        /* Numba will look in the given one; who sets the other finds them there, too. */
        if (r == 0 && l->o.kind == WP_LAYOUT_AUTO && l->o.cache_dir)
            r = add_cache_dir(l, record, d, n, err);
        return r;
    default:
        break;
    }
    l->used.in_tree = true;
    return add_destination(d, n, LAYOUT_TREE, path_join(record->source, "__pycache__"), err);
}
