/* Sorts items bytewise, in whatever order they were found, and drops doubles. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "walk.h"

struct key {
    const char *path;
    size_t index; /* in the items: their order of being added */
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Sorts the keys of what stays, those that were added last under each name, before all others;
 * their number in *KEPT. The other items are dropped. */
static int choose(struct walk *w, struct key *keys, size_t *kept, struct wp_error *err)
{
    const size_t n = w->count;
    int e = 0;

    for (size_t i = 0; i < n; i++)
        keys[i] = (struct key){.path = w->items[i].entry.path, .index = i};
    qsort(keys, n, sizeof *keys, compare_keys);
    *kept = 0;
    for (size_t k = 0; k < n; k++) {
        struct walk_item *item = &w->items[keys[k].index];
        struct walk_item *next = k + 1 < n ? &w->items[keys[k + 1].index] : NULL;
        struct key now = keys[k];

        if (!next || strcmp(now.path, keys[k + 1].path) != 0) {
            keys[k] = keys[*kept];
            keys[(*kept)++] = now;
            continue;
        }
        if ((item->entry.type == ENTRY_DIR) != (next->entry.type == ENTRY_DIR))
            e = error_set(err, 0, now.path, "named twice, as a directory and as something else");
        walk_item_clear(item);
    }
    return e;
}

/* Brings the items into the order of the keys, cycle by cycle: there may be millions, of which a
 * second list would be the most that packing ever holds. */
static void put_in_order(struct walk *w, struct key *keys)
{
    for (size_t start = 0; start < w->count; start++) {
        struct walk_item first = w->items[start];
        size_t at = start;

        if (keys[start].index == start)
            continue;
        while (keys[at].index != start) {
            size_t from = keys[at].index;

            w->items[at] = w->items[from];
            keys[at].index = at;
            at = from;
        }
        w->items[at] = first;
        keys[at].index = at;
    }
}

static int sort(struct walk *w, struct wp_error *err)
{
    _cleanup_free_ struct key *keys = reallocarray(NULL, w->count, sizeof *keys);
    size_t kept;
    int e;

    if (!keys)
        return error_nomem(err);
    e = choose(w, keys, &kept, err);
    put_in_order(w, keys);
    w->count = kept;
    return e;
}

static size_t hash(const struct walk_item *i)
{
    uint64_t h = ((uint64_t)i->dev << 32 ^ (uint64_t)i->dev >> 32 ^ i->ino) * 0x9e3779b97f4a7c15;
    return (size_t)(h >> 20);
}

/* Finds earlier names in a table of open addresses, at most half full. */
static int find_links(struct walk *w, struct wp_error *err)
{
    size_t linked = 0, size = 16;
    for (size_t i = 0; i < w->count; i++)
        linked += w->items[i].linked;
    if (linked < 2)
        return 0;
    while (size < linked * 2)
        size *= 2;
    _cleanup_free_ const struct walk_item **table = calloc(size, sizeof(struct walk_item *));
    if (!table)
        return error_nomem(err);
    for (size_t i = 0; i < w->count; i++) {
        struct walk_item *item = &w->items[i];
        if (!item->linked)
            continue;
        size_t at = hash(item) & (size - 1);
        while (table[at] && (table[at]->dev != item->dev || table[at]->ino != item->ino))
            at = (at + 1) & (size - 1);
        if (!table[at]) {
            table[at] = item;
            continue;
        }
        free(item->entry.target); /* of a symlink */
        item->entry.target = strdup(table[at]->entry.path);
        if (!item->entry.target)
            return error_nomem(err);
        item->entry.type = ENTRY_HARDLINK;
        item->entry.size = 0;
    }
    return 0;
}

int walk_finish(struct walk *w, struct wp_error *err)
{
    if (w->count == 0)
        return 0;
    int e = sort(w, err);
    return e < 0 || w->copies ? e : find_links(w, err);
}

struct walk_item *walk_find(const struct walk *w, const char *path)
{
    return array_find(&path, w->items, w->count, path_compare);
}

bool walk_has_dir(const struct walk *w, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return false;
    for (size_t i = 0; i < w->count; i++) {
        const struct walk_item *item = &w->items[i];

        if (item->entry.type == ENTRY_DIR && item->dev == st.st_dev && item->ino == st.st_ino)
            return true;
    }
    return false;
}
