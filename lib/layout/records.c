/* The layout, what there is: directories of cache files, and the destinations that are spoken for.
 * A tree may have thousands of either, so each is found without looking at all of them. */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "layout.h"
#include "numba/index.h"

/* ---- Records ----------------------------------------------------------------------------- */

void layout_record_clear(struct layout_record *r)
{
    for (size_t i = 0; i < r->file_count; i++)
        free(r->files[i].name);
    free(r->files);
    free(r->dir);
    free(r->source);
    free(r->inside);
    *r = (struct layout_record){0};
}

int layout_add_record(struct layout *l, struct layout_record *r)
{
    if (!r->dir || !r->source || array_grow(l->records, l->record_count) < 0) {
        layout_record_clear(r);
        return -ENOMEM;
    }
    l->records[l->record_count++] = *r;
    return 0;
}

int layout_add_file(struct layout_record *r, const char *name, bool valid)
{
    struct layout_file f = {.valid = valid, .was_valid = valid};
    struct index_name parts;

    if (index_name_parse(name, &parts) == 0) {
        f.is_index = true;
        f.stem = parts.stem;
    } else if (!index_is_data_name(name, &f.stem)) {
        return 0;
    }
    f.name = strdup(name);
    if (!f.name || array_grow(r->files, r->file_count) < 0) {
        free(f.name);
        return -ENOMEM;
    }
    r->files[r->file_count++] = f;
    return 1;
}

/* By what an index and its data files share, so that they follow one another. */
static int compare_stems(const void *a, const void *b)
{
    const struct layout_file *x = a, *y = b;
    int order = strncmp(x->name, y->name, x->stem < y->stem ? x->stem : y->stem);

    if (order != 0)
        return order;
    return x->stem < y->stem ? -1 : x->stem > y->stem;
}

static int compare_files(const void *a, const void *b)
{
    const struct layout_file *x = a, *y = b;
    int order = compare_stems(a, b);

    return order ? order : strcmp(x->name, y->name);
}

void layout_sort_files(struct layout_record *r)
{
    if (r->file_count)
        qsort(r->files, r->file_count, sizeof *r->files, compare_files);
}

struct layout_file *layout_stem(const struct layout_record *r, const struct layout_file *f,
                                size_t *count)
{
    size_t low = 0, high = r->file_count, last;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_stems(&r->files[middle], f) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (last = low; last < r->file_count && compare_stems(&r->files[last], f) == 0; last++)
        ;
    *count = last - low;
    return &r->files[low];
}

/* ---- All of them ------------------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
    const struct layout_record *x = *(struct layout_record *const *)a;
    const struct layout_record *y = *(struct layout_record *const *)b;

    return strcmp(x->dir, y->dir);
}

int layout_sort_records(struct layout *l)
{
    l->by_dir = calloc(l->record_count + 1, sizeof *l->by_dir);
    if (!l->by_dir)
        return -ENOMEM;
    for (size_t i = 0; i < l->record_count; i++) {
        layout_sort_files(&l->records[i]);
        l->by_dir[i] = &l->records[i];
    }
    qsort(l->by_dir, l->record_count, sizeof *l->by_dir, compare_places);
    return 0;
}

struct layout_record **layout_records_at(const struct layout *l, const char *dir, size_t *count)
{
    size_t low = 0, high = l->record_count, last;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(l->by_dir[middle]->dir, dir) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (last = low; last < l->record_count && strcmp(l->by_dir[last]->dir, dir) == 0; last++)
        ;
    *count = last - low;
    return l->by_dir + low;
}

/* ---- Destinations that are spoken for ---------------------------------------------------- */

static char *taken_key(const struct layout_destination *d, const struct layout_file *f)
{
    _cleanup_free_ char *stem = strndup(f->name, f->stem);

    return stem ? path_join(d->path, stem) : NULL;
}

static uint64_t hash_of(enum layout_root root, const char *key)
{
    uint64_t hash = 14695981039346656037U + root; /* FNV-1a */

    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 1099511628211U;
    return hash;
}

bool layout_is_taken(const struct layout *l, const struct layout_destination *d,
                     const struct layout_file *f)
{
    _cleanup_free_ char *key = taken_key(d, f);
    uint64_t hash = key ? hash_of(d->root, key) : 0;
    size_t mask = l->slot_count - 1;

    if (!key || !l->slot_count)
        return false;
    for (size_t i = hash & mask; l->slots[i]; i = (i + 1) & mask) {
        const struct layout_taken *taken = &l->taken[l->slots[i] - 1];

        if (taken->hash == hash && taken->root == d->root && strcmp(taken->path, key) == 0)
            return true;
    }
    return false;
}

static void fill_slot(struct layout *l, size_t number)
{
    size_t i = l->taken[number].hash & (l->slot_count - 1);

    while (l->slots[i])
        i = (i + 1) & (l->slot_count - 1);
    l->slots[i] = number + 1;
}

/* Room for one more, with half of the slots free. */
static int grow_slots(struct layout *l)
{
    size_t count = l->slot_count ? 2 * l->slot_count : 64;
    size_t *grown;

    if (2 * (l->taken_count + 1) <= l->slot_count)
        return 0;
    grown = calloc(count, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    free(l->slots);
    l->slots = grown;
    l->slot_count = count;
    for (size_t i = 0; i < l->taken_count; i++)
        fill_slot(l, i);
    return 0;
}

int layout_take(struct layout *l, const struct layout_destination *d, const struct layout_file *f)
{
    char *key = taken_key(d, f);

    if (!key || grow_slots(l) < 0 || array_grow(l->taken, l->taken_count) < 0) {
        free(key);
        return -ENOMEM;
    }
    l->taken[l->taken_count] = (struct layout_taken){d->root, key, hash_of(d->root, key)};
    fill_slot(l, l->taken_count++);
    return 0;
}

void layout_records_clear(struct layout *l)
{
    for (size_t i = 0; i < l->record_count; i++)
        layout_record_clear(&l->records[i]);
    for (size_t i = 0; i < l->taken_count; i++)
        free(l->taken[i].path);
    free(l->records);
    free(l->by_dir);
    free(l->taken);
    free(l->slots);
}
