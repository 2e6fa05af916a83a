/* The layout, which index goes where. */

#include "layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/path.h"
#include "numba/caches.h"

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
            report(l->context, WP_NOTE, r->dir, "%s would go to %s", f->name, d[i].path);
        else
            res = layout_put_index(l, r, f, &d[i], !stays && i == last, err);
        if (res == 0)
            res = note_laid(l, r, f, &d[i], false, err);
    }
    if (res < 0 || stays)
        return res;
    if (left_out) {
        report(l->context, WP_DETAIL, r->dir,
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
    res = layout_destinations(l, r, d, n, err);
    return res < 0 ? res : layout_add_hashed(l, d, n, LAYOUT_TREE, l->inside_root, r->source, err);
}

/* Lays the indexes of R that are VALID, or those that are not. */
static int lay_record(struct layout *l, struct layout_record *r, bool valid, enum lay_pass pass,
                      struct wp_error *err)
{
    struct layout_destination *d = NULL;
    size_t n = 0;
    int res = pass == LAY_INSIDE_COPIES ? copy_destinations(l, r, &d, &n, err)
                                        : layout_destinations(l, r, &d, &n, err);

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
        report(l->context, WP_NOTE, layout_user_root(l),
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
