/* Visits the values of a pickle's graph, which may have cycles, without recursion. */

#include <stdlib.h>

#include "base/array.h"
#include "numba/pickle_seen.h"

struct walk {
    struct pickle_seen seen;
    const struct pickle_value **waiting; /* whose members were not looked at yet; owned */
    size_t waiting_count;
};

static int meet(struct walk *w, const struct pickle_value *v)
{
    int r = v ? pickle_seen_add(&w->seen, v, v) : 1;

    if (r != 0)
        return r < 0 ? r : 0;
    return array_add(w->waiting, w->waiting_count, v);
}

static int meet_members(struct walk *w, const struct pickle_value *v)
{
    int r = meet(w, v->state);

    for (size_t i = 0; r == 0 && i < v->more_count; i++)
        r = meet(w, v->more[i]);
    for (size_t i = 0; r == 0 && i < v->count; i++)
        r = meet(w, v->items[i]);
    return r;
}

int pickle_walk(const struct pickle_value *root, int (*fn)(void *arg, const struct pickle_value *v),
                void *arg)
{
    struct walk w = {0};
    int r = meet(&w, root);

    while (r == 0 && w.waiting_count > 0) {
        const struct pickle_value *v = w.waiting[--w.waiting_count];

        r = fn(arg, v);
        if (r == 0)
            r = meet_members(&w, v);
    }
    free(w.seen.pairs);
    free(w.waiting);
    return r;
}
