/* Repairing a tree that distributions were installed in, with a manifest that lies in none of their
 * metadata: what was added for the sources of one is listed in its RECORD, so that pip and uv
 * remove it with them. The manifest is, where all of its caches are that one's. */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/own_names.h"
#include "record.h"
#include "tree/beneath.h"

struct installed {
    struct restore *restore;
    const struct layout *layout;
    struct record *records; /* owned */
    size_t count;
};

static void clear(struct installed *in)
{
    for (size_t i = 0; i < in->count; i++)
        record_clear(&in->records[i]);
    free(in->records);
}

static bool counts(const struct placed_index *placed)
{
    return !placed->removed && !placed->record->zipped;
}

/* The directories that a distribution may have been installed in: all above the sources. */
static int list_places(const struct installed *in, struct path_list *places)
{
    const char *last = NULL;

    for (size_t i = 0; i < in->layout->placed_count; i++) {
        const struct placed_index *placed = &in->layout->placed[i];
        const char *dir = placed->record->source;

        if (!counts(placed) || (last && strcmp(last, dir) == 0))
            continue;
        last = dir;
        for (size_t n = strlen(dir) + 1; n-- > 0;)
            if ((!n || !dir[n] || dir[n] == '/') && path_list_add(places, strndup(dir, n)) < 0)
                return -ENOMEM;
    }
    path_list_sort(places);
    return 0;
}

/* Was the file packed, so that its content is the manifest's to tell? */
static bool is_packed(const struct restore *restore, const char *path)
{
    const struct restore_owner *owner = restore_owner(restore, path);

    return owner && !restore->trees.list[owner->tree].m.entries[owner->file].absent;
}

static int add_record(struct installed *in, const char *place, const char *name)
{
    _cleanup_free_ char *info = path_join(place, name);
    struct record rec;
    int r;

    if (!info || array_grow(in->records, in->count) < 0)
        return -ENOMEM;
    r = record_read(&rec, in->restore, info, place);
    if (r > 0 && !is_packed(in->restore, rec.path))
        in->records[in->count++] = rec;
    else
        record_clear(&rec);
    return r < 0 ? r : 0;
}

static int find_records(struct installed *in, const char *place)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    int r = beneath_list(in->restore->fd, place, &d);

    while (r > 0 && (r = file_next(d, &item)) > 0) {
        size_t n = strlen(item->d_name);

        if (own_is_metadata(item->d_name, n) && strcmp(item->d_name, EGG_DIR) != 0 &&
            add_record(in, place, item->d_name) < 0)
            return -ENOMEM;
    }
    if (r < 0 && r != -ENOMEM)
        record_tell(in->restore, place, r);
    return r == -ENOMEM ? r : 0;
}

/* Adds PLACED to the RECORD that has its source. 1; 0: none has. */
static int add_placed(struct installed *in, const struct placed_index *placed)
{
    _cleanup_free_ char *source = path_join(placed->record->source, path_base(placed->source));

    if (!source)
        return -ENOMEM;
    for (size_t i = 0; i < in->count; i++) {
        struct record *rec = &in->records[i];
        int r = record_has(rec, source);

        if (r == 0)
            continue;
        rec->is_used = true;
        if (r > 0 && placed->root == LAYOUT_TREE)
            r = record_add_index(rec, placed);
        return r < 0 ? r : 1;
    }
    return 0;
}

/* Adds all; *ALONE becomes the one RECORD that has all sources, or NULL. */
static int add_all(struct installed *in, struct record **alone)
{
    bool has_all = true;
    size_t used = 0;

    for (size_t i = 0; i < in->layout->placed_count; i++) {
        const struct placed_index *placed = &in->layout->placed[i];
        int r = counts(placed) ? add_placed(in, placed) : 1;

        if (r < 0)
            return r;
        has_all &= r > 0;
    }
    for (size_t i = 0; i < in->count; i++) {
        used += in->records[i].is_used;
        if (in->records[i].is_used)
            *alone = &in->records[i];
    }
    if (used != 1 || !has_all)
        *alone = NULL;
    return 0;
}

int restore_installed(struct restore *restore, struct repair *repair)
{
    _cleanup_(clear) struct installed in = {.restore = restore, .layout = repair->layout};
    _cleanup_(path_list_clear) struct path_list places = {0};
    struct record *alone = NULL;
    int r = list_places(&in, &places);

    for (size_t i = 0; i < places.count && r == 0; i++)
        if (!i || strcmp(places.v[i - 1], places.v[i]) != 0)
            r = find_records(&in, places.v[i]);
    if (r == 0)
        r = add_all(&in, &alone);
    if (r == 0 && alone && repair->t->home)
        r = record_add_home(alone, restore->fd, repair->t->home);
    for (size_t i = 0; i < in.count && r == 0; i++)
        r = record_write(restore, &in.records[i]);
    return r;
}
