/* Merging: groups the indexes of all inputs. Those of one name that belong to one directory of
 * sources form a group, wherever each of them lies. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/path.h"
#include "job.h"

static int compare_texts(const struct merge_member *x, const struct merge_member *y)
{
    const struct manifest_index *a = x->index->line, *b = y->index->line;
    int order = !a->source - !b->source;

    if (!order)
        order = strcmp(x->index->where, y->index->where);
    return order ? order : strcmp(path_base(a->index), path_base(b->index));
}

static int compare_members(const void *a, const void *b)
{
    const struct merge_member *x = a, *y = b;
    int order = compare_texts(x, y);

    if (!order)
        order = (x->input > y->input) - (x->input < y->input);
    if (!order) /* Numba looks beside the source first */
        order = (x->index->cache != NULL) - (y->index->cache != NULL);
    return order ? order : strcmp(x->index->line->index, y->index->line->index);
}

size_t merge_group_size(const struct merge_groups *g, size_t from)
{
    size_t n = 1;

    while (from + n < g->count && compare_texts(&g->members[from], &g->members[from + n]) == 0)
        n++;
    return n;
}

/* One input may hold the same index in two places: Numba uses the one where it looks first. */
static void leave_copies(struct merge *m, struct merge_groups *g)
{
    size_t n = 0;

    for (size_t i = 0; i < g->count; i++) {
        struct merge_member *one = &g->members[i];

        if (n > 0 && g->members[n - 1].input == one->input &&
            compare_texts(&g->members[n - 1], one) == 0)
            merge_leave_out(m, &m->inputs[one->input], one->index, "it lies there twice");
        else
            g->members[n++] = *one;
    }
    g->count = n;
}

int merge_group(struct merge *m, struct merge_groups *out, struct wp_error *err)
{
    size_t all = 0;

    for (size_t i = 0; i < m->count; i++)
        all += m->inputs[i].index_count;
    out->members = calloc(all + 1, sizeof *out->members);
    if (!out->members)
        return error_nomem(err);
    for (size_t i = 0; i < m->count; i++)
        for (size_t k = 0; k < m->inputs[i].index_count; k++)
            if (!m->inputs[i].indexes[k].is_out)
                out->members[out->count++] =
                    (struct merge_member){.input = i, .index = &m->inputs[i].indexes[k]};
    array_sort(out->members, out->count, compare_members);
    leave_copies(m, out);
    return 0;
}
