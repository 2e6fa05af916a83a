/* The layout: decides which index goes where. */

#include "layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/path.h"
#include "numba/caches.h"

static bool is_own(const struct layout_record *record, const struct layout_destination *d)
{
    return record->root == d->root && strcmp(record->dir, d->path) == 0;
}

/* The path by which Python, run here, will see PATH below a root. */
static char *final_path(struct layout *l, enum layout_root root, const char *path)
{
    const char *base = root == LAYOUT_TREE        ? l->o.dir_path
                       : root == LAYOUT_USER_WIDE ? layout_user_root(l)
                                                  : l->o.cache_dir;

    return !base ? NULL : path_append(base, path);
}

static int note_placed(struct layout *l, const struct layout_record *record,
                       const struct layout_file *f, const struct layout_destination *d, bool own,
                       struct wp_error *err)
{
    struct placed_index placed = {.was_valid = f->was_valid,
                                  .tag = record->tag,
                                  .user_wide = d->root == LAYOUT_USER_WIDE,
                                  .root = d->root,
                                  .record = record,
                                  .file = f,
                                  .staged = !own || record->staged};
    bool found;

    placed.path = path_join(d->path, f->name);
    if (!placed.path || array_grow(l->placed, l->placed_count) < 0) {
        free(placed.path);
        return error_nomem(err);
    }
    placed.fd = own            ? record->fd
                : l->o.dry_run ? -1
                               : staging_tree(*l->o.staging, l->area[d->root]);
    placed.index = final_path(l, d->root, placed.path);
    placed.shown =
        d->root == LAYOUT_TREE ? strdup(placed.path) : final_path(l, d->root, placed.path);
    placed.source_shown =
        caches_source_of(f->name, record->source, l->o.is_source, l->o.ctx, &found);
    placed.source = placed.source_shown ? path_join(l->o.dir_path, placed.source_shown) : NULL;
    placed.source_dir = path_join(l->o.dir_path, record->source);
    l->placed[l->placed_count++] = placed;
    return placed.index && placed.shown && placed.source && placed.source_dir ? 0
                                                                              : error_nomem(err);
}

/* F stays where it is if that is one of its destinations. */
static int place_own(struct layout *l, const struct layout_record *record,
                     const struct layout_file *f, const struct layout_destination *d, size_t n,
                     struct wp_error *err)
{
    int r;

    for (size_t i = 0; i < n; i++) {
        r = is_own(record, &d[i]) ? layout_is_claimed(l, &d[i], f) : 1;
        if (r < 0)
            return error_nomem(err);
        if (r > 0)
            continue;
        if (layout_add_claim(l, &d[i], f) < 0)
            return error_nomem(err);
        r = l->o.give || l->o.group_writable ? layout_give_own(l, record, f, &d[i], err) : 0;
        return r < 0 ? r : note_placed(l, record, f, &d[i], true, err);
    }
    return 0;
}

/* Puts F into D. MOVE: nobody else needs it where it is. */
static int place_in(struct layout *l, struct layout_record *record, const struct layout_file *f,
                    const struct layout_destination *d, bool move, struct wp_error *err)
{
    int r = 0;

    record->moved = true;
    if (layout_add_claim(l, d, f) < 0)
        return error_nomem(err);
    if (l->o.dry_run)
        report(l->o.context, WP_NOTE, record->dir, "%s would go to %s", f->name, d->path);
    else
        r = layout_put_index(l, record, f, d, move, err);
    return r < 0 ? r : note_placed(l, record, f, d, false, err);
}

static int place_elsewhere(struct layout *l, struct layout_record *record,
                           const struct layout_file *f, const struct layout_destination *d,
                           size_t n, struct wp_error *err)
{
    const struct layout_destination *last = NULL;
    bool stays = false;
    int r = 0;

    if (f->stays)
        return 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        const bool own = is_own(record, &d[i]);
        const int claimed = own ? 1 : layout_is_claimed(l, &d[i], f);

        stays |= own;
        if (claimed < 0)
            return error_nomem(err);
        if (claimed)
            continue;
        if (last) /* the last one can be moved, when it is known to be that */
            r = place_in(l, record, f, last, false, err);
        last = &d[i];
    }
    if (r == 0 && last)
        r = place_in(l, record, f, last, !stays, err);
    if (r < 0 || stays)
        return r;
    if (!last) {
        report(l->o.context, WP_DETAIL, record->dir,
               "%s is left out: the same index has come from another place", f->name);
        if (record->root != LAYOUT_TREE)
            return 0;
        /* In the tree it would be found where Numba does not look for it. */
        record->thinned = true;
    }
    return layout_remove_index(l, record, f, !last, err);
}

/* First come indexes that stay where they are, then those that move, then copies that a cache root
 * inside the tree gets of what is in the tree: once it is set, Numba looks for all there. */
enum place_pass { PLACE_OWN, PLACE_ELSEWHERE, PLACE_INSIDE_COPIES };

static int copy_destinations(struct layout *l, struct layout_record *record,
                             struct layout_destination **d, size_t *n, struct wp_error *err)
{
    int r;

    if (l->o.kind != WP_LAYOUT_AUTO || l->o.cache_dir || !l->used.inside ||
        record->kind != LAYOUT_IN_TREE)
        return 0;
    r = layout_destinations(l, record, d, n, err);
    return r < 0 ? r : layout_add_hashed(l, d, n, LAYOUT_TREE, l->inside_root, record->source, err);
}

/* Places the indexes of R that are VALID, or those that are not. */
static int place_record(struct layout *l, struct layout_record *record, bool valid,
                        enum place_pass pass, struct wp_error *err)
{
    struct layout_destination *d = NULL;
    size_t n = 0;
    int r = pass == PLACE_INSIDE_COPIES ? copy_destinations(l, record, &d, &n, err)
                                        : layout_destinations(l, record, &d, &n, err);

    for (size_t i = 0; i < record->file_count && r == 0; i++) {
        const struct layout_file *f = &record->files[i];

        if (f->is_index && f->valid == valid && n)
            r = pass == PLACE_OWN ? place_own(l, record, f, d, n, err)
                                  : place_elsewhere(l, record, f, d, n, err);
    }
    for (size_t i = 0; i < n; i++)
        free(d[i].path);
    free(d);
    return r;
}

/* Finds where the caches are now, for the result. */
static int find_where(struct layout *l, struct wp_error *err)
{
    const char *runtime = l->o.roots[0];
    const char *below = l->used.cache_dir ? l->cache_below : l->inside_root;

    bool only_zipped = l->used.zipped && !l->used.in_tree;

    l->where = l->used.inside || l->used.cache_dir ? WP_LAYOUT_CACHE_DIR
               : l->used.user_wide || only_zipped  ? WP_LAYOUT_USER_WIDE
                                                   : WP_LAYOUT_IN_TREE;
    if (l->used.zipped && l->where != WP_LAYOUT_USER_WIDE)
        report(l->o.context, WP_NOTE, layout_user_root(l),
               "holds the caches of sources in zips, for which Numba looks nowhere else");
    if (l->where == WP_LAYOUT_CACHE_DIR)
        l->where_root = !below ? path_absolute(l->o.cache_dir) : path_append(runtime, below);
    else if (l->where == WP_LAYOUT_USER_WIDE)
        l->where_root = strdup(layout_user_root(l));
    else
        return 0;
    return l->where_root ? 0 : error_nomem(err);
}

/* Places what is staged before what is there. */
static int place_records(struct layout *l, bool valid, struct wp_error *err)
{
    static const struct {
        enum place_pass pass;
        bool staged;
    } order[] = {{PLACE_OWN, true},           {PLACE_ELSEWHERE, true},
                 {PLACE_OWN, false},          {PLACE_ELSEWHERE, false},
                 {PLACE_INSIDE_COPIES, true}, {PLACE_INSIDE_COPIES, false}};
    int r = 0;

    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (size_t i = 0; i < l->record_count && r == 0; i++)
            if (l->records[i].staged == order[k].staged)
                r = place_record(l, &l->records[i], valid, order[k].pass, err);
    return r;
}

int layout_run(struct layout *l, struct wp_error *err)
{
    int r = layout_sort_records(l) < 0 ? error_nomem(err) : 0;

    if (r == 0)
        r = place_records(l, true, err);
    if (r == 0)
        r = place_records(l, false, err);
    for (size_t i = 0; i < l->record_count; i++)
        l->renamed += l->records[i].moved;
    if (r == 0 && !l->o.dry_run)
        r = layout_remove_leftovers(l, err);
    return r < 0 ? r : find_where(l, err);
}

void layout_clear(struct layout *l)
{
    layout_records_clear(l);
    layout_listings_clear(l);
    for (size_t i = 0; i < l->placed_count; i++) {
        free(l->placed[i].index);
        free(l->placed[i].source);
        free(l->placed[i].shown);
        free(l->placed[i].source_shown);
        free(l->placed[i].source_dir);
        free(l->placed[i].path);
    }
    free(l->placed);
    path_list_clear(&l->kept);
    free(l->cache_below);
    free(l->user_root);
    free(l->inside_root);
    free(l->where_root);
    *l = (struct layout){0};
}

const char *wp_layout_name(enum wp_layout l)
{
    static const char *const names[] = {
        [WP_LAYOUT_AUTO] = "auto",           [WP_LAYOUT_KEEP] = "keep",
        [WP_LAYOUT_IN_TREE] = "in-tree",     [WP_LAYOUT_CACHE_DIR] = "cache-dir",
        [WP_LAYOUT_USER_WIDE] = "user-wide",
    };

    return (unsigned)l < sizeof names / sizeof *names ? names[l] : NULL;
}
