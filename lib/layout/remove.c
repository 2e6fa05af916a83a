/* The layout, what goes: removes files that stand where others come, and what has gone elsewhere.
 */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "layout.h"
#include "numba/index.h"
#include "tree/beneath.h"

/* ---- Making room ------------------------------------------------------------------------- */

static void clear_listing(struct layout_listing *listing)
{
    path_list_clear(&listing->names);
    free(listing->path);
    *listing = (struct layout_listing){0};
}

void layout_listings_clear(struct layout *l)
{
    for (size_t i = 0; i < LAYOUT_LISTINGS; i++)
        clear_listing(&l->listings[i]);
}

static int fill_listing(struct layout_listing *listing, int fd)
{
    _cleanup_closedir_ DIR *dir = NULL;
    struct dirent *item;
    size_t stem;
    int r = beneath_list(fd, listing->path, &dir);

    while (r > 0 && (r = file_next(dir, &item)) > 0)
        if (index_is_part_name(item->d_name, &stem) &&
            path_list_add(&listing->names, strdup(item->d_name)) < 0)
            return -ENOMEM;
    path_list_sort(&listing->names);
    return r;
}

/* The data files that the target has in D; all indexes of a record ask for the same few. NULL with
 * ERR on failure. */
static const struct layout_listing *list_target(struct layout *l, int area, const char *path,
                                                struct wp_error *err)
{
    struct layout_listing *listing;
    int r;

    for (size_t i = 0; i < LAYOUT_LISTINGS; i++) {
        listing = &l->listings[i];
        if (listing->path && listing->area == area && strcmp(listing->path, path) == 0)
            return listing;
    }
    listing = &l->listings[l->next_listing++ % LAYOUT_LISTINGS];
    clear_listing(listing);
    listing->area = area;
    listing->path = strdup(path);
    r = listing->path ? fill_listing(listing, staging_target(*l->o.staging, area)) : -ENOMEM;
    if (r == 0)
        return listing;
    error_set(err, -r, path, "cannot read the cache directory");
    clear_listing(listing);
    return NULL;
}

static bool has_file(const struct layout_file *files, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i].name, name) == 0)
            return true;
    return false;
}

int layout_remove_old_data(struct layout *l, const struct layout_record *record,
                           const struct layout_destination *d, int area,
                           const struct layout_file *index, struct wp_error *err)
{
    const struct layout_listing *listing = list_target(l, area, d->path, err);
    size_t low, count, stem;
    const struct layout_file *own = layout_stem(record, index, &count);

    if (!listing)
        return err && err->code ? -err->code : error_nomem(err);
    const struct path_list *there = &listing->names;
    low = array_first(i, there->count, strncmp(there->v[i], index->name, index->stem) < 0);
    for (; low < there->count; low++) {
        const char *name = there->v[low];
        _cleanup_free_ char *path = NULL;

        if (strncmp(name, index->name, index->stem) != 0)
            break;
        if (!index_is_part_name(name, &stem) || stem != index->stem || has_file(own, count, name))
            continue;
        path = path_join(d->path, name);
        if (!path || staging_set_remove(*l->o.staging, area, path) < 0)
            return error_nomem(err);
    }
    return 0;
}

int layout_remove_stem(struct layout *l, const struct layout_destination *d,
                       const struct layout_file *f, struct wp_error *err)
{
    size_t count = 0, n;
    struct layout_record **there =
        d->root == LAYOUT_TREE ? layout_records_at(l, d->path, &count) : NULL;

    for (size_t i = 0; i < count; i++) {
        const struct layout_file *files = layout_stem(there[i], f, &n);

        for (size_t k = 0; k < n && there[i]->staged; k++) {
            _cleanup_free_ char *path = NULL;
            int r;

            if (&files[k] == f)
                continue;
            path = path_join(there[i]->dir, files[k].name);
            r = path ? beneath_remove(there[i]->fd, path) : -ENOMEM;
            if (r < 0)
                return error_set(err, -r, there[i]->dir, "a cache file cannot be replaced");
        }
    }
    return 0;
}

/* ---- What is left ------------------------------------------------------------------------ */

static int remove_file(struct layout *l, const struct layout_record *record, const char *name,
                       struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(record->dir, name);
    int area, r;

    if (!path)
        return error_nomem(err);
    if (record->staged) {
        r = beneath_remove(record->fd, path);
        return r < 0 ? error_set(err, -r, path, "cannot be removed") : 0;
    }
    area = layout_area(l, record->root, err);
    if (area < 0)
        return area;
    return staging_set_remove(*l->o.staging, area, path) < 0 ? error_nomem(err) : 0;
}

int layout_remove_index(struct layout *l, struct layout_record *record, const struct layout_file *f,
                        bool left_out, struct wp_error *err)
{
    size_t count;
    const struct layout_file *files = layout_stem(record, f, &count);
    int r = 0;

    if ((record->staged && !left_out) || l->o.dry_run || record->root == LAYOUT_FOREIGN)
        return 0; /* moved, or not ours to remove */
    for (size_t i = 0; i < count && r == 0; i++)
        r = remove_file(l, record, files[i].name, err);
    record->gone++;
    return r;
}

/* Data files that no index of the record names are of no use in a place of their own. */
static int remove_orphans(struct layout *l, const struct layout_record *record,
                          struct wp_error *err)
{
    for (size_t i = 0; i < record->file_count; i++) {
        bool orphan = !record->files[i].is_index;
        size_t count;
        const struct layout_file *files = layout_stem(record, &record->files[i], &count);
        int r;

        for (size_t k = 0; k < count && orphan; k++)
            orphan = !files[k].is_index;
        r = orphan ? remove_file(l, record, record->files[i].name, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static bool may_vanish(const struct layout_record *record)
{
    return (record->moved || record->thinned) && record->kind != LAYOUT_IN_TREE &&
           record->root != LAYOUT_FOREIGN;
}

/* Removes a directory where it is empty. */
static int remove_emptied(const struct layout_record *record)
{
    int r = beneath_rmdir(record->fd, record->dir);

    return r == -ENOTEMPTY || r == -EEXIST || error_is_no_entry(r) ? 0 : r;
}

/* Does nothing stay in R's directory, and come to it? An error leaves the directory where it is. */
static bool is_emptied(struct layout *l, const struct layout_record *record)
{
    _cleanup_closedir_ DIR *d = NULL;
    size_t there = 0, indexes = 0;
    struct dirent *item;
    struct stat st;
    int r = beneath_list(record->fd, record->dir, &d);

    while (r > 0 && (r = file_next(d, &item)) > 0)
        there++;
    if (!d || r < 0)
        return false;
    for (size_t i = 0; i < record->file_count; i++)
        indexes += record->files[i].is_index;
    return there == record->file_count && indexes == record->gone && l->area[record->root] >= 0 &&
           beneath_look(staging_tree(*l->o.staging, l->area[record->root]), record->dir, &st) == 0;
}

int layout_remove_leftovers(struct layout *l, struct wp_error *err)
{
    for (size_t i = 0; i < l->record_count; i++) {
        const struct layout_record *record = &l->records[i];
        int r = may_vanish(record) ? remove_orphans(l, record, err) : 0;

        /* With the files, so that a kill after the commit leaves no directory behind. */
        if (r == 0 && !record->staged && may_vanish(record) && is_emptied(l, record) &&
            staging_set_remove(*l->o.staging, l->area[record->root], record->dir) < 0)
            return error_nomem(err);
        if (r == 0 && record->staged && may_vanish(record)) {
            r = remove_emptied(record);
            if (r < 0)
                return error_set(err, -r, record->dir, "cannot be removed");
        }
        if (r < 0)
            return r;
    }
    return 0;
}

void layout_finish(struct layout *l)
{
    /* Best effort: an empty directory harms nobody. */
    for (size_t i = 0; i < l->record_count; i++)
        if (!l->records[i].staged && may_vanish(&l->records[i]))
            (void)remove_emptied(&l->records[i]);
}
