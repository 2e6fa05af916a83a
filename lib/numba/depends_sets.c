/* Sorts sets of files, merges each set that only one other set uses into that one, and lists the
 * files of a set together with those of the sets that it uses. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "numba/depends_private.h"

static int compare_sizes(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return (x > y) - (x < y);
}

/* Sorts, and drops duplicates from, the N sorted values of SIZE bytes at V. Names are equal if
 * their pointers are: each name is stored once. */
static size_t sort_unique(void *v, size_t n, size_t size,
                          int (*compare)(const void *, const void *))
{
    char *values = v;
    size_t kept = 0;

    array_sort_items(v, n, size, compare);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || memcmp(values + (kept - 1) * size, values + i * size, size) != 0)
            memmove(values + kept++ * size, values + i * size, size);
    return kept;
}

size_t depends_number_of(const char *const *paths, size_t count, const char *path)
{
    size_t at = array_first(i, count, strcmp(paths[i], path) < 0);

    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): the first COUNT are set */
    return at < count && strcmp(paths[at], path) == 0 ? at : SIZE_MAX;
}

size_t depends_sort_unique(size_t *v, size_t n)
{
    return sort_unique(v, n, sizeof *v, compare_sizes);
}

void depends_sort_set(struct depends_set *s)
{
    s->file_count = depends_sort_unique(s->files, s->file_count);
    s->use_count = depends_sort_unique(s->uses, s->use_count);
    s->outside_count = sort_unique(s->outside, s->outside_count, sizeof *s->outside, path_compare);
}

void depends_clear_set(struct depends_set *s)
{
    free(s->files);
    free(s->uses);
    free(s->outside);
    *s = (struct depends_set){0};
}

/* Moves the members of FROM to TO. */
static int merge(struct depends_set *to, struct depends_set *from)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < from->file_count; i++)
        r = array_add(to->files, to->file_count, from->files[i]);
    for (size_t i = 0; r == 0 && i < from->use_count; i++)
        r = array_add(to->uses, to->use_count, from->uses[i]);
    for (size_t i = 0; r == 0 && i < from->outside_count; i++)
        r = array_add(to->outside, to->outside_count, from->outside[i]);
    depends_clear_set(from);
    return r;
}

/* Finds the set that each set is merged into, or itself if it stays: a set that only one other set
 * uses becomes part of that one. Sets stand behind those that they use, so that the users of a set
 * are known when it is reached. */
static int plan_merges(const struct depends *d, const size_t *sources_sets, size_t sources,
                       uint32_t **out)
{
    enum { MANY = UINT32_MAX - 1 };
    uint32_t *into = malloc((d->count + 1) * sizeof *into);

    if (!into)
        return -ENOMEM;
    for (size_t i = 0; i < d->count; i++)
        into[i] = NONE;
    for (size_t i = 0; i < sources; i++)
        into[sources_sets[i]] = MANY;
    for (size_t i = d->count; i-- > 0;) {
        if (into[i] == NONE || into[i] == MANY)
            into[i] = (uint32_t)i;
        for (size_t k = 0; k < d->sets[i].use_count; k++) {
            uint32_t *user = into + d->sets[i].uses[k];

            if (*user == NONE)
                *user = into[i];
            else if (*user != into[i])
                *user = MANY;
        }
    }
    *out = into;
    return 0;
}

/* Drops the merged sets, and renumbers the others without gaps. */
static void renumber(struct depends *d, const uint32_t *into, uint32_t *number)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->count; i++)
        if (into[i] == i)
            number[i] = (uint32_t)kept++;
    kept = 0;
    for (size_t i = 0; i < d->count; i++) {
        struct depends_set *s = d->sets + i;
        size_t uses = 0;

        if (into[i] != i)
            continue;
        for (size_t k = 0; k < s->use_count; k++)
            if (into[s->uses[k]] != i)
                s->uses[uses++] = number[into[s->uses[k]]];
        s->use_count = uses;
        depends_sort_set(s);
        d->sets[kept++] = *s;
    }
    d->count = kept;
}

int depends_condense(struct depends *d, size_t sources)
{
    _cleanup_free_ uint32_t *into = NULL;
    _cleanup_free_ uint32_t *number = NULL;
    int r = plan_merges(d, d->of_source, sources, &into);

    number = malloc((d->count + 1) * sizeof *number);
    if (r < 0 || !number)
        return -ENOMEM;
    for (size_t i = d->count; r == 0 && i-- > 0;)
        if (into[i] != i)
            r = merge(d->sets + into[i], d->sets + i);
    if (r < 0)
        return r;
    renumber(d, into, number);
    for (size_t i = 0; i < sources; i++)
        d->of_source[i] = number[d->of_source[i]];
    return 0;
}

/* Marks a set and all sets that it uses, which have smaller numbers. */
static bool *mark(const struct depends *d, size_t set)
{
    bool *marked = calloc(set + 1, sizeof *marked);

    if (!marked)
        return NULL;
    marked[set] = true;
    for (size_t i = set + 1; i-- > 0;)
        for (size_t k = 0; marked[i] && k < d->sets[i].use_count; k++)
            marked[d->sets[i].uses[k]] = true;
    return marked;
}

int depends_files(const struct depends *d, size_t set, size_t **files, size_t *count)
{
    _cleanup_free_ bool *marked = mark(d, set);
    struct depends_set all = {0};
    int r = marked ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i <= set; i++)
        for (size_t k = 0; r == 0 && marked[i] && k < d->sets[i].file_count; k++)
            r = array_add(all.files, all.file_count, d->sets[i].files[k]);
    if (r < 0) {
        depends_clear_set(&all);
        return r;
    }
    *count = depends_sort_unique(all.files, all.file_count);
    *files = all.files;
    return 0;
}
