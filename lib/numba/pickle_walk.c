/* Visits the values of a pickle's graph, which may have cycles, without recursion. */

#include "numba/pickle.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"

/* The values that were visited: a hash table of pointers, half full at most, and those of them
 * whose members were not looked at yet. */
struct walk {
    const struct pickle_value **visited; /* owned; of a power of two slots */
    size_t slots, count;
    const struct pickle_value **waiting; /* owned */
    size_t waiting_count;
};

static const struct pickle_value **slot_of(const struct walk *w, const struct pickle_value *v)
{
    size_t at = (size_t)((uintptr_t)v >> 4) * 0x9e3779b97f4a7c15U >> 7;

    while (w->visited[at & (w->slots - 1)] && w->visited[at & (w->slots - 1)] != v)
        at++;
    return &w->visited[at & (w->slots - 1)];
}

static int grow(struct walk *w)
{
    struct walk larger = {.slots = w->slots ? 2 * w->slots : 256};

    larger.visited = calloc(larger.slots, sizeof *larger.visited);
    if (!larger.visited)
        return -ENOMEM;
    for (size_t i = 0; i < w->slots; i++)
        if (w->visited[i])
            *slot_of(&larger, w->visited[i]) = w->visited[i];
    free(w->visited);
    w->visited = larger.visited;
    w->slots = larger.slots;
    return 0;
}

static int meet(struct walk *w, const struct pickle_value *v)
{
    const struct pickle_value **slot;
    int r;

    if (!v)
        return 0;
    if (2 * w->count >= w->slots && (r = grow(w)) < 0)
        return r;
    slot = slot_of(w, v);
    if (*slot)
        return 0;
    r = array_grow(w->waiting, w->waiting_count);
    if (r < 0)
        return r;
    *slot = v;
    w->count++;
    w->waiting[w->waiting_count++] = v;
    return 0;
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
    free(w.visited);
    free(w.waiting);
    return r;
}
