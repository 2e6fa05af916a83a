/* Compares what pickles say. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numba/pickle_seen.h"

/* Keys of Numba's nest some ten deep and have some hundred values. */
enum { DEEPEST = 1000, MOST = 1 << 19, HASHED = 200 };

/* The pairs that were met are taken to be equal: they were found to be, or are being compared,
 * which is how what holds itself comes to an end. */
struct comparison {
    struct pickle_seen seen;
    unsigned depth;
};

/* 1: the pair is known; 0: it is now. */
static int know(struct comparison *c, const struct pickle_value *a, const struct pickle_value *b)
{
    return c->depth == DEEPEST || c->seen.count == MOST ? -ENOTSUP
                                                        : pickle_seen_add(&c->seen, a, b);
}

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
           /* By its bits: a NaN is the same, and 0.0 is not -0.0. NOLINTNEXTLINE */
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
    if (!a->count && !b->count && !a->state && !b->state && !a->more_count && !b->more_count)
        return 1;
    int r = know(c, a, b);
    if (r != 0)
        return r;
    c->depth++;
    r = compare_parts(c, a, b);
    c->depth--;
    return r;
}

int pickle_equal(const struct pickle_value *a, const struct pickle_value *b)
{
    struct comparison c = {0};
    int r = compare(&c, a, b);
    free(c.seen.pairs);
    return r;
}

static void hash_bytes(uint64_t *h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        *h = (*h ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

static void hash_value(uint64_t *h, const struct pickle_value *v, unsigned *left)
{
    if (*left == 0)
        return;
    --*left;
    hash_bytes(h, &v->type, sizeof(v->type));
    hash_bytes(h, &v->boolean, sizeof(v->boolean));
    hash_bytes(h, &v->integer, sizeof(v->integer));
    hash_bytes(h, &v->real, sizeof(v->real));
    hash_bytes(h, v->data, v->size);
    hash_bytes(h, &v->count, sizeof(v->count));
    for (size_t i = 0; i < v->count; i++)
        hash_value(h, v->items[i], left);
}

uint64_t pickle_hash(const struct pickle_value *v)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    unsigned left = HASHED; /* what is shared or holds itself has no end */
    hash_value(&h, v, &left);
    return h;
}
