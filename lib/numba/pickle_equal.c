/* Comparing what two pickles say. */

#include <errno.h>
#include <string.h>

#include "numba/pickle.h"

/* Keys of Numba's nest some ten deep and have some hundred values. What is shared is compared as
 * often as it is met, and what holds itself for ever, so both are bounded. */
enum { DEEPEST = 200, MOST = 1 << 20 };

struct comparison {
    size_t left; /* values that may yet be looked at */
    unsigned depth;
};

static int compare(struct comparison *c, const struct pickle_value *a,
                   const struct pickle_value *b);

static int compare_runs(struct comparison *c, struct pickle_value *const *a, size_t a_count,
                        struct pickle_value *const *b, size_t b_count)
{
    if (a_count != b_count)
        return 0;
    for (size_t i = 0; i < a_count; i++) {
        int r = compare(c, a[i], b[i]);
        if (r != 1)
            return r;
    }
    return 1;
}

static bool is_same_literal(const struct pickle_value *a, const struct pickle_value *b)
{
    return a->boolean == b->boolean && a->integer == b->integer && a->size == b->size &&
           memcmp(&a->real, &b->real, sizeof(a->real)) == 0 &&
           (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static int compare_parts(struct comparison *c, const struct pickle_value *a,
                         const struct pickle_value *b)
{
    int r = compare_runs(c, a->items, a->count, b->items, b->count);
    if (r == 1)
        r = compare_runs(c, a->more, a->more_count, b->more, b->more_count);
    if (r == 1 && (a->state || b->state))
        r = a->state && b->state ? compare(c, a->state, b->state) : 0;
    return r;
}

static int compare(struct comparison *c, const struct pickle_value *a, const struct pickle_value *b)
{
    if (a == b)
        return 1;
    if (a->type != b->type || !is_same_literal(a, b))
        return 0;
    if (c->left == 0 || c->depth == DEEPEST)
        return -ENOTSUP;
    c->left--;
    c->depth++;
    int r = compare_parts(c, a, b);
    c->depth--;
    return r;
}

int pickle_equal(const struct pickle_value *a, const struct pickle_value *b)
{
    struct comparison c = {.left = MOST};
    return compare(&c, a, b);
}
