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

void layout_record_clear(struct layout_record *record)
{
    for (size_t i = 0; i < record->file_count; i++)
        free(record->files[i].name);
    free(record->files);
    free(record->dir);
    free(record->source);
    free(record->inside);
    *record = (struct layout_record){0};
}

int layout_add_record(struct layout *l, struct layout_record *record)
{
    if (!record->dir || !record->source || array_grow(l->records, l->record_count) < 0) {
        layout_record_clear(record);
        return -ENOMEM;
    }
    l->records[l->record_count++] = *record;
    return 0;
}

int layout_add_file(struct layout_record *record, const char *name, bool valid)
{
    struct layout_file f = {.valid = valid, .was_valid = valid};
    struct index_name parts;

    if (index_name_parse(name, &parts) == 0) {
        f.is_index = true;
        f.stem = parts.stem;
    } else if (!index_is_part_name(name, &f.stem)) {
        return 0;
    }
    f.name = strdup(name);
    if (!f.name || array_grow(record->files, record->file_count) < 0) {
        free(f.name);
        return -ENOMEM;
    }
    record->files[record->file_count++] = f;
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

void layout_sort_files(struct layout_record *record)
{
    if (record->file_count)
        qsort(record->files, record->file_count, sizeof *record->files, compare_files);
}

struct layout_file *layout_stem(const struct layout_record *record, const struct layout_file *f,
                                size_t *count)
{
    size_t low = array_first(i, record->file_count, compare_stems(&record->files[i], f) < 0), last;

    for (last = low; last < record->file_count && compare_stems(&record->files[last], f) == 0;
         last++)
        ;
    *count = last - low;
    return &record->files[low];
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
    size_t low = array_first(i, l->record_count, strcmp(l->by_dir[i]->dir, dir) < 0), last;

    for (last = low; last < l->record_count && strcmp(l->by_dir[last]->dir, dir) == 0; last++)
        ;
    *count = last - low;
    return l->by_dir + low;
}

/* ---- Destinations that are spoken for ---------------------------------------------------- */

static char *claim_key(const struct layout_destination *d, const struct layout_file *f)
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

bool layout_is_claimed(const struct layout *l, const struct layout_destination *d,
                       const struct layout_file *f)
{
    _cleanup_free_ char *key = claim_key(d, f);
    uint64_t hash = key ? hash_of(d->root, key) : 0;
    size_t mask = l->claims.slot_count - 1;

    if (!key || !l->claims.slot_count)
        return false;
    for (size_t i = hash & mask; l->claims.slots[i]; i = (i + 1) & mask) {
        const struct layout_claim *claim = &l->claims.list[l->claims.slots[i] - 1];

        if (claim->hash == hash && claim->root == d->root && strcmp(claim->path, key) == 0)
            return true;
    }
    return false;
}

static void fill_slot(struct layout *l, size_t number)
{
    size_t i = l->claims.list[number].hash & (l->claims.slot_count - 1);

    while (l->claims.slots[i])
        i = (i + 1) & (l->claims.slot_count - 1);
    l->claims.slots[i] = number + 1;
}

/* Room for one more, with half of the slots free. */
static int grow_slots(struct layout *l)
{
    size_t count = l->claims.slot_count ? 2 * l->claims.slot_count : 64;
    size_t *grown;

    if (2 * (l->claims.count + 1) <= l->claims.slot_count)
        return 0;
    grown = calloc(count, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    free(l->claims.slots);
    l->claims.slots = grown;
    l->claims.slot_count = count;
    for (size_t i = 0; i < l->claims.count; i++)
        fill_slot(l, i);
    return 0;
}

int layout_add_claim(struct layout *l, const struct layout_destination *d,
                     const struct layout_file *f)
{
    char *key = claim_key(d, f);

    if (!key || grow_slots(l) < 0 || array_grow(l->claims.list, l->claims.count) < 0) {
        free(key);
        return -ENOMEM;
    }
    l->claims.list[l->claims.count] = (struct layout_claim){d->root, key, hash_of(d->root, key)};
    fill_slot(l, l->claims.count++);
    return 0;
}

void layout_records_clear(struct layout *l)
{
    for (size_t i = 0; i < l->record_count; i++)
        layout_record_clear(&l->records[i]);
    for (size_t i = 0; i < l->claims.count; i++)
        free(l->claims.list[i].path);
    free(l->records);
    free(l->by_dir);
    free(l->claims.list);
    free(l->claims.slots);
}
