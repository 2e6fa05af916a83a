/* Remembers values of a pickle's graph in a hash table with open addressing. */

#include "numba/pickle_seen.h"

#include <errno.h>
#include <stdlib.h>

/* Where the pair is, or may be put: there is always room. */
static struct pickle_pair *find(const struct pickle_seen *s, const struct pickle_value *a,
                                const struct pickle_value *b)
{
    size_t at = ((uintptr_t)a * 31 + (uintptr_t)b) * UINT64_C(0x9e3779b97f4a7c15) >> 32;

    for (;; at++) {
        struct pickle_pair *p = &s->pairs[at & (s->room - 1)];

        if (!p->a || (p->a == a && p->b == b))
            return p;
    }
}

static int grow(struct pickle_seen *s)
{
    struct pickle_seen larger = {.count = s->count, .room = s->room ? 2 * s->room : 64};

    larger.pairs = calloc(larger.room, sizeof *larger.pairs);
    if (!larger.pairs)
        return -ENOMEM;
    for (size_t i = 0; i < s->room; i++)
        if (s->pairs[i].a)
            *find(&larger, s->pairs[i].a, s->pairs[i].b) = s->pairs[i];
    free(s->pairs);
    *s = larger;
    return 0;
}

int pickle_seen_add(struct pickle_seen *s, const struct pickle_value *a,
                    const struct pickle_value *b)
{
    struct pickle_pair *p;

    if (2 * s->count >= s->room && grow(s) < 0)
        return -ENOMEM;
    p = find(s, a, b);
    if (p->a)
        return 1;
    *p = (struct pickle_pair){a, b};
    s->count++;
    return 0;
}
