/* Keeps the map of a sparse file's data. */

#include "sparse.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "tar_header.h"

/* 64 MiB of map: more than any filesystem fragments a file, less than a hostile archive wants. */
enum { MAX_RUNS = 4 << 20 };

void sparse_clear(struct sparse_map *m)
{
    free(m->runs);
    *m = (struct sparse_map){0};
}

int sparse_add(struct sparse_map *m, uint64_t offset, uint64_t size)
{
    uint64_t end;

    if (__builtin_add_overflow(offset, size, &end) || end > INT64_MAX)
        return -EINVAL;
    if (m->count > 0) {
        const struct sparse_run *last = &m->runs[m->count - 1];

        if (offset < last->offset + last->size)
            return -EINVAL;
    }
    if (m->count == MAX_RUNS)
        return -E2BIG;
    return array_add(m->runs, m->count, (struct sparse_run){offset, size});
}

bool sparse_fits(const struct sparse_map *m, uint64_t real, uint64_t stored)
{
    uint64_t sum = 0;

    /* Runs do not overlap and end below 2^63, so that their sum does not overflow. */
    for (size_t i = 0; i < m->count; i++)
        sum += m->runs[i].size;
    if (m->count > 0) {
        const struct sparse_run *last = &m->runs[m->count - 1];

        if (last->offset + last->size > real)
            return false;
    }
    return sum <= stored;
}

int sparse_add_old(struct sparse_map *m, const char *pairs, unsigned count)
{
    for (; count > 0; count--, pairs += 24) {
        int64_t offset, size;
        int rc;

        if (pairs[0] == '\0' && pairs[12] == '\0')
            return 0;
        if (tar_get_number(pairs, 12, &offset) < 0 || tar_get_number(pairs + 12, 12, &size) < 0 ||
            offset < 0 || size < 0)
            return -EINVAL;
        rc = sparse_add(m, (uint64_t)offset, (uint64_t)size);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void sparse_text_begin(struct sparse_text *t)
{
    *t = (struct sparse_text){.left = 1};
}

/* A number is complete: the count, an offset or a size. */
static int take_number(struct sparse_text *t, struct sparse_map *m)
{
    uint64_t value = t->value;

    t->left--;
    t->value = 0;
    t->digits = false;
    if (!t->counted) {
        t->counted = true;
        if (value > MAX_RUNS)
            return -E2BIG;
        t->left = 2 * value;
        return 0;
    }
    t->has_offset = !t->has_offset;
    if (t->has_offset) {
        t->offset = value;
        return 0;
    }
    return sparse_add(m, t->offset, value);
}

int sparse_text_block(struct sparse_text *t, struct sparse_map *m, const char *block)
{
    for (size_t i = 0; i < TAR_BLOCK && t->left > 0; i++) {
        int rc;

        if (block[i] >= '0' && block[i] <= '9') {
            if (__builtin_mul_overflow(t->value, 10, &t->value) ||
                __builtin_add_overflow(t->value, block[i] - '0', &t->value))
                return -EINVAL;
            t->digits = true;
            continue;
        }
        if (block[i] != '\n' || !t->digits)
            return -EINVAL;
        rc = take_number(t, m);
        if (rc < 0)
            return rc;
    }
    return t->left > 0;
}
