/* The layout, where to: which destinations each record has, and which index goes there. */

#include "layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "caches.h"
#include "numba/index.h"
#include "numba/places.h"
#include "tree/beneath.h"

/* ---- Roots ------------------------------------------------------------------------------- */

int layout_prepare(struct layout *l, struct wp_error *err)
{
    _cleanup_free_ char *path = NULL;
    const char *below;

    if (l->prepared)
        return 0;
    l->prepared = true;
    if (!l->cache_dir)
        return 0;
    path = path_absolute(l->cache_dir);
    if (!path)
        return error_set(err, errno, l->cache_dir, "cannot be found");
    if (!path_is_under(path, l->dir_path))
        return 0;
    below = path + strlen(l->dir_path);
    while (*below == '/')
        below++;
    l->cache_below = strdup(below);
    return l->cache_below ? 0 : error_nomem(err);
}

const char *layout_user_root(struct layout *l)
{
    if (!l->user_root)
        l->user_root = places_user_wide(&l->verify->user, l->verify->is_caller);
    return l->user_root;
}

int layout_area(struct layout *l, enum layout_root root, struct wp_error *err)
{
    const char *path = root == LAYOUT_TREE        ? l->dir
                       : root == LAYOUT_CACHE_DIR ? l->cache_dir
                       : root == LAYOUT_OLD       ? l->old_root
                                                  : layout_user_root(l);
    bool given = l->give && (root == LAYOUT_CACHE_DIR || root == LAYOUT_USER_WIDE);
    struct staging_owner owner = {.uid = l->verify->user.uid,
                                  .gid = l->verify->user.gid,
                                  .guarded = root == LAYOUT_USER_WIDE};
    int r = 0;

    if (l->has_area[root])
        return l->area[root];
    if (root == LAYOUT_USER_WIDE && !l->verify->is_caller && !l->verify->user.name)
        return error_set(err, 0, NULL, "the user has no name, and so no home directory for caches");
    if (!path)
        return error_nomem(err);
    if (!*l->staging)
        r = staging_new(l->staging, &l->staging_options, err);
    /* The tree is always the first. */
    if (r == 0 && root != LAYOUT_TREE)
        r = layout_area(l, LAYOUT_TREE, err);
    if (r >= 0)
        r = staging_add_area_for(*l->staging, path, given ? &owner : NULL, err);
    if (r < 0)
        return r;
    l->has_area[root] = true;
    return l->area[root] = r;
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

/* SOURCE's hashed names under each path of the tree, in directory BELOW of ROOT. */
static int add_hashed(struct layout *l, struct layout_destination **d, size_t *n,
                      enum layout_root root, const char *below, const char *source,
                      struct wp_error *err)
{
    for (char **base = l->roots; *base; base++) {
        _cleanup_free_ char *absolute = *source ? path_join(*base, source) : strdup(*base);
        _cleanup_free_ char *name = absolute ? places_hash_name(absolute) : NULL;
        int r;

        if (!name && absolute && errno == EILSEQ) {
            report(l->report, WP_WARNING, absolute,
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

/* Could SOURCE/__pycache__ be a directory, here and in the tree that this one is merged into? */
static bool can_be_in_tree(const struct layout *l, const char *source)
{
    _cleanup_free_ char *path = path_join(source, "__pycache__");
    struct stat st;

    if (!path)
        return false;
    if (beneath_stat(l->tree_fd, path, &st) == 0 && !S_ISDIR(st.st_mode))
        return false;
    return beneath_stat(l->target_fd, path, &st) != 0 || S_ISDIR(st.st_mode);
}

/* Says why caches cannot go beside their sources, where that is not plain. */
static void warn_of_link(const struct layout *l, const char *source)
{
    _cleanup_free_ char *path = path_join(source, "__pycache__");
    struct stat st;

    if (path &&
        (beneath_stat(l->tree_fd, path, &st) == 0 || beneath_stat(l->target_fd, path, &st) == 0) &&
        S_ISLNK(st.st_mode))
        report(
            l->report, WP_WARNING, path,
            "is a symbolic link, through which nothing is written: where it leads to a directory, "
            "Numba looks there; name a place with --cache-dir, or make it a directory");
}

/* Where the layout wants R: the kind of place. KEEP: of the kind where it lies. */
static int wanted_place(const struct layout *l, struct layout_record *r, enum wp_layout *place,
                        struct wp_error *err)
{
    bool given = l->cache_dir != NULL;
    /* What lies beside its source stays, but that of another tree has yet to come. */
    bool stays = r->kind == LAYOUT_IN_TREE && r->root != LAYOUT_FOREIGN;

    if (r->zipped) { /* Numba looks nowhere else for it */
        *place = WP_LAYOUT_USER_WIDE;
        return 0;
    }
    switch (l->kind) {
    case WP_LAYOUT_AUTO:
        if (r->kind == LAYOUT_INSIDE)
            *place = WP_LAYOUT_KEEP;
        else if (given)
            *place = WP_LAYOUT_CACHE_DIR;
        else if (stays)
            *place = WP_LAYOUT_KEEP;
        else
            *place = can_be_in_tree(l, r->source) ? WP_LAYOUT_IN_TREE : WP_LAYOUT_USER_WIDE;
        if (*place == WP_LAYOUT_USER_WIDE && !r->warned)
            warn_of_link(l, r->source);
        r->warned = true;
        return 0;
    case WP_LAYOUT_KEEP:
        *place = r->kind == LAYOUT_HASHED              ? WP_LAYOUT_CACHE_DIR
                 : r->kind == LAYOUT_HASHED_USER_WIDE  ? WP_LAYOUT_USER_WIDE
                 : r->kind == LAYOUT_IN_TREE && !stays ? WP_LAYOUT_IN_TREE
                                                       : WP_LAYOUT_KEEP;
        break;
    default:
        *place = l->kind;
    }
    if (*place == WP_LAYOUT_CACHE_DIR && !given)
        return error_set(err, 0, NULL,
                         "this layout puts caches into a cache directory: name it with --cache-dir "
                         "or NUMBA_CACHE_DIR");
    if (*place == WP_LAYOUT_IN_TREE && !can_be_in_tree(l, r->source)) {
        if (!r->warned)
            report(l->report, WP_WARNING, *r->source ? r->source : ".",
                   "its __pycache__ is not a directory: the caches go to the user-wide place");
        r->warned = true;
        *place = WP_LAYOUT_USER_WIDE;
    }
    return 0;
}

static int add_cache_dir(struct layout *l, const struct layout_record *r,
                         struct layout_destination **d, size_t *n, struct wp_error *err)
{
    l->used_cache_dir = true;
    return l->cache_below ? add_hashed(l, d, n, LAYOUT_TREE, l->cache_below, r->source, err)
                          : add_hashed(l, d, n, LAYOUT_CACHE_DIR, "", r->source, err);
}

static int destinations(struct layout *l, struct layout_record *r, struct layout_destination **d,
                        size_t *n, struct wp_error *err)
{
    enum wp_layout place;
    int res = wanted_place(l, r, &place, err);

    if (res < 0)
        return res;
    switch (place) {
    case WP_LAYOUT_CACHE_DIR:
        return add_cache_dir(l, r, d, n, err);
    case WP_LAYOUT_USER_WIDE:
        *(r->zipped ? &l->used_zipped : &l->used_user_wide) = true;
        return layout_user_root(l) ? add_hashed(l, d, n, LAYOUT_USER_WIDE, "", r->source, err)
                                   : error_nomem(err);
    case WP_LAYOUT_KEEP:
        if (r->kind != LAYOUT_INSIDE)
            break;
        l->used_inside = true;
        if (!l->inside_root && !(l->inside_root = strdup(r->inside)))
            return error_nomem(err);
        res = add_hashed(l, d, n, LAYOUT_TREE, r->inside, r->source, err);
        /* Numba will look in the given one; who sets the other finds them there, too. */
        if (res == 0 && l->kind == WP_LAYOUT_AUTO && l->cache_dir)
            res = add_cache_dir(l, r, d, n, err);
        return res;
    default:
        break;
    }
    l->used_in_tree = true;
    return add_destination(d, n, LAYOUT_TREE, path_join(r->source, "__pycache__"), err);
}

/* ---- Which index goes where -------------------------------------------------------------- */

static bool is_own(const struct layout_record *r, const struct layout_destination *d)
{
    return r->root == d->root && strcmp(r->dir, d->path) == 0;
}

/* Where Python, run here, will see PATH below a root. */
static char *final_path(struct layout *l, enum layout_root root, const char *path)
{
    const char *base = root == LAYOUT_TREE        ? l->dir_path
                       : root == LAYOUT_USER_WIDE ? layout_user_root(l)
                                                  : l->cache_dir;

    return !base ? NULL : *path ? path_join(base, path) : strdup(base);
}

static int note_laid(struct layout *l, const struct layout_record *r, const struct layout_file *f,
                     const struct layout_destination *d, bool own, struct wp_error *err)
{
    struct laid_index laid = {.was_valid = f->was_valid,
                              .tag = r->tag,
                              .user_wide = d->root == LAYOUT_USER_WIDE,
                              .root = d->root,
                              .record = r,
                              .file = f};
    bool found;

    laid.path = path_join(d->path, f->name);
    if (!laid.path || array_grow(l->laid, l->laid_count) < 0) {
        free(laid.path);
        return error_nomem(err);
    }
    laid.fd = own ? r->fd : l->dry_run ? -1 : staging_tree(*l->staging, l->area[d->root]);
    laid.index = final_path(l, d->root, laid.path);
    laid.shown = d->root == LAYOUT_TREE ? strdup(laid.path) : final_path(l, d->root, laid.path);
    laid.source_shown = caches_source_of(f->name, r->source, l->is_source, l->ctx, &found);
    laid.source = laid.source_shown ? path_join(l->dir_path, laid.source_shown) : NULL;
    laid.source_dir = path_join(l->dir_path, r->source);
    l->laid[l->laid_count++] = laid;
    return laid.index && laid.shown && laid.source && laid.source_dir ? 0 : error_nomem(err);
}

/* F stays where it is if that is one of its destinations. */
static int lay_own(struct layout *l, const struct layout_record *r, const struct layout_file *f,
                   const struct layout_destination *d, size_t n, struct wp_error *err)
{
    int res;

    for (size_t i = 0; i < n; i++) {
        if (!is_own(r, &d[i]) || layout_is_taken(l, &d[i], f))
            continue;
        if (layout_take(l, &d[i], f) < 0)
            return error_nomem(err);
        res = l->give ? layout_give_own(l, r, &d[i], err) : 0;
        return res < 0 ? res : note_laid(l, r, f, &d[i], true, err);
    }
    return 0;
}

static int lay_elsewhere(struct layout *l, struct layout_record *r, const struct layout_file *f,
                         const struct layout_destination *d, size_t n, struct wp_error *err)
{
    size_t last = n;
    bool stays = false, left_out = true;
    int res = 0;

    for (size_t i = 0; i < n; i++) {
        stays |= is_own(r, &d[i]);
        if (!is_own(r, &d[i]) && !layout_is_taken(l, &d[i], f))
            last = i;
    }
    for (size_t i = 0; i < n && res == 0 && last < n; i++) {
        if (is_own(r, &d[i]) || layout_is_taken(l, &d[i], f))
            continue;
        left_out = false;
        r->moved = true;
        if (layout_take(l, &d[i], f) < 0)
            return error_nomem(err);
        if (l->dry_run)
            report(l->report, WP_NOTE, r->dir, "%s would go to %s", f->name, d[i].path);
        else
            res = layout_put_index(l, r, f, &d[i], !stays && i == last, err);
        if (res == 0)
            res = note_laid(l, r, f, &d[i], false, err);
    }
    if (res < 0 || stays)
        return res;
    if (left_out) {
        report(l->report, WP_DETAIL, r->dir,
               "%s is left out: the same index has come from another place", f->name);
        if (r->root != LAYOUT_TREE)
            return 0;
        /* In the tree it would be found where Numba does not look for it. */
        r->thinned = true;
    }
    return layout_remove_index(l, r, f, left_out, err);
}

/* Those that stay where they are; those that come; copies that a cache root inside the tree gets
 * of what is in the tree, as Numba looks for all in the root once it is set. */
enum lay_pass { LAY_OWN, LAY_ELSEWHERE, LAY_INSIDE_COPIES, LAY_PASSES };

static int copy_destinations(struct layout *l, struct layout_record *r,
                             struct layout_destination **d, size_t *n, struct wp_error *err)
{
    int res;

    if (l->kind != WP_LAYOUT_AUTO || l->cache_dir || !l->used_inside || r->kind != LAYOUT_IN_TREE)
        return 0;
    res = destinations(l, r, d, n, err);
    return res < 0 ? res : add_hashed(l, d, n, LAYOUT_TREE, l->inside_root, r->source, err);
}

/* Lays the indexes of R that are VALID, or those that are not. */
static int lay_record(struct layout *l, struct layout_record *r, bool valid, enum lay_pass pass,
                      struct wp_error *err)
{
    struct layout_destination *d = NULL;
    size_t n = 0;
    int res = pass == LAY_INSIDE_COPIES ? copy_destinations(l, r, &d, &n, err)
                                        : destinations(l, r, &d, &n, err);

    for (size_t i = 0; i < r->file_count && res == 0; i++) {
        const struct layout_file *f = &r->files[i];

        if (f->is_index && f->valid == valid && n)
            res = pass == LAY_OWN ? lay_own(l, r, f, d, n, err) : lay_elsewhere(l, r, f, d, n, err);
    }
    for (size_t i = 0; i < n; i++)
        free(d[i].path);
    free(d);
    return res;
}

/* What the result says of where the caches are. */
static int tell_where(struct layout *l, struct wp_error *err)
{
    const char *runtime = l->roots[0];
    const char *below = l->used_cache_dir ? l->cache_below : l->inside_root;

    bool only_zipped = l->used_zipped && !l->used_in_tree;

    l->where = l->used_inside || l->used_cache_dir ? WP_LAYOUT_CACHE_DIR
               : l->used_user_wide || only_zipped  ? WP_LAYOUT_USER_WIDE
                                                   : WP_LAYOUT_IN_TREE;
    if (l->used_zipped && l->where != WP_LAYOUT_USER_WIDE)
        report(l->report, WP_NOTE, layout_user_root(l),
               "holds the caches of sources in zips, for which Numba looks nowhere else");
    if (l->where == WP_LAYOUT_CACHE_DIR)
        l->where_root = !below   ? path_absolute(l->cache_dir)
                        : *below ? path_join(runtime, below)
                                 : strdup(runtime);
    else if (l->where == WP_LAYOUT_USER_WIDE)
        l->where_root = strdup(layout_user_root(l));
    else
        return 0;
    return l->where_root ? 0 : error_nomem(err);
}

int layout_run(struct layout *l, struct wp_error *err)
{
    int r = layout_prepare(l, err);

    if (r == 0 && layout_sort_records(l) < 0)
        r = error_nomem(err);
    for (int pass = 0; pass < 2 * LAY_PASSES; pass++)
        for (size_t i = 0; i < l->record_count && r == 0; i++)
            r = lay_record(l, &l->records[i], pass < LAY_PASSES, pass % LAY_PASSES, err);
    for (size_t i = 0; i < l->record_count; i++)
        l->renamed += l->records[i].moved;
    if (r == 0 && !l->dry_run)
        r = layout_remove_leftovers(l, err);
    return r < 0 ? r : tell_where(l, err);
}

void layout_clear(struct layout *l)
{
    layout_records_clear(l);
    layout_listings_clear(l);
    for (size_t i = 0; i < l->laid_count; i++) {
        free(l->laid[i].index);
        free(l->laid[i].source);
        free(l->laid[i].shown);
        free(l->laid[i].source_shown);
        free(l->laid[i].source_dir);
        free(l->laid[i].path);
    }
    for (size_t i = 0; i < l->kept_count; i++)
        free(l->kept[i]);
    free(l->laid);
    free(l->kept);
    free(l->cache_below);
    free(l->user_root);
    free(l->inside_root);
    free(l->where_root);
    *l = (struct layout){0};
}
