/* The layout, what there is: keeps the directories of cache files, and the destinations that are
 * claimed. A tree may have thousands of either, so each is found without looking at all of them. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
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

/* Compares by what an index and its data files share, so that they follow one another. */
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
    array_sort(record->files, record->file_count, compare_files);
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

/* ---- Destinations that are claimed -------------------------------------------------------- */

static char *claim_key(const struct layout_destination *d, const struct layout_file *f)
{
    char *key;
    int n = asprintf(&key, "%d %s/%.*s", (int)d->root, d->path, (int)f->stem, f->name);

    return n < 0 ? NULL : key;
}

int layout_is_claimed(const struct layout *l, const struct layout_destination *d,
                      const struct layout_file *f)
{
    _cleanup_free_ char *key = claim_key(d, f);

    return key ? text_table_get(&l->claims, key, strlen(key)) != TEXT_TABLE_NONE : -ENOMEM;
}

int layout_add_claim(struct layout *l, const struct layout_destination *d,
                     const struct layout_file *f)
{
    _cleanup_free_ char *key = claim_key(d, f);
    const char *own = key ? texts_add(&l->claim_texts, key, strlen(key)) : NULL;

    return own ? text_table_put(&l->claims, own, strlen(own), 0) : -ENOMEM;
}

void layout_records_clear(struct layout *l)
{
    for (size_t i = 0; i < l->record_count; i++)
        layout_record_clear(&l->records[i]);
    free(l->records);
    free(l->by_dir);
    text_table_free(&l->claims);
    texts_free(&l->claim_texts);
}
