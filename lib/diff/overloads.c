/* Which compiled versions of a function one index has and the other has not. */

#include "judge/overloads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "job.h"
#include "numba/index.h"

/* An index that was read for its overloads. */
struct overloads {
    struct wp_index_status s;
    char *numba;
};

static void overloads_free(struct overloads *o)
{
    overloads_clear(&o->s);
    free(o->numba);
}

/* 1; 0: the index is not there or cannot be read; -ENOMEM. */
static int read_overloads(struct overloads *out, const struct diff_item *item, struct wp_error *err)
{
    struct wp_error why = {0};
    struct index index = {0};
    int r;

    if (!item || !item->text)
        return 0;
    r = index_read(&index, item->text->data, item->text->size, &why);
    if (r == 0) {
        out->numba = strdup(index.numba);
        r = out->numba ? overloads_fill(&out->s, &index, NULL, NULL, &why) : -ENOMEM;
    }
    index_clear(&index);
    if (r == -ENOMEM)
        return error_nomem(err);
    return r == 0;
}

/* Texts that are not there come first. */
static int compare_texts(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

static int compare_overloads(const void *a, const void *b)
{
    const struct wp_overload *x = *(const struct wp_overload *const *)a;
    const struct wp_overload *y = *(const struct wp_overload *const *)b;
    const char *const texts[][2] = {{x->signature, y->signature}, {x->code, y->code},
                                    {x->cells, y->cells},         {x->target, y->target},
                                    {x->triple, y->triple},       {x->cpu, y->cpu},
                                    {x->features, y->features},   {x->version, y->version},
                                    {x->launch, y->launch},       {x->other, y->other}};
    int order = 0;

    for (size_t i = 0; i < sizeof texts / sizeof *texts && order == 0; i++)
        order = compare_texts(texts[i][0], texts[i][1]);
    return order;
}

/* The overloads of O in an order in which they are found. Allocated. */
static const struct wp_overload **sorted(const struct overloads *o)
{
    const struct wp_overload **list = calloc(o->s.overload_count + 1, sizeof *list);

    for (size_t i = 0; list && i < o->s.overload_count; i++)
        list[i] = &o->s.overloads[i];
    array_sort(list, list ? o->s.overload_count : 0, compare_overloads);
    return list;
}

/* Moves into *OUT the overloads of FROM that OTHER lacks. */
static int take_missing(struct overloads *from, const struct overloads *other,
                        struct wp_overload **out, size_t *count, struct wp_error *err)
{
    _cleanup_free_ const struct wp_overload **others = sorted(other);
    struct wp_overload *list = from->s.overloads;
    size_t kept = 0;

    *out = calloc(from->s.overload_count + 1, sizeof **out);
    if (!*out || !others)
        return error_nomem(err);
    for (size_t i = 0; i < from->s.overload_count; i++) {
        const struct wp_overload *wanted = &list[i];

        if (array_find(&wanted, others, other->s.overload_count, compare_overloads))
            list[kept++] = list[i];
        else
            (*out)[(*count)++] = list[i];
    }
    from->s.overload_count = kept;
    return 0;
}

int diff_overloads(const struct diff_item *a, const struct diff_item *b, struct wp_difference *d,
                   struct wp_error *err)
{
    _cleanup_(overloads_free) struct overloads in_a = {0}, in_b = {0};
    int read_a = read_overloads(&in_a, a, err);
    int read_b = read_a < 0 ? read_a : read_overloads(&in_b, b, err);
    struct overloads none = {0};
    int r;

    if (read_b < 0)
        return read_b;
    if ((a && !read_a) || (b && !read_b))
        return 1;
    /* What A has more is found while B is still whole. */
    r = take_missing(&in_a, b ? &in_b : &none, &d->lost, &d->lost_count, err);
    /* What A lost was moved away, and is not in B. */
    if (r == 0)
        r = take_missing(&in_b, a ? &in_a : &none, &d->gained, &d->gained_count, err);
    return r < 0 ? r
                 : d->gained_count || d->lost_count || compare_texts(in_a.numba, in_b.numba) != 0;
}
