/* Finds where the pieces of an archive lie, from what their headers say. */

#include "piece_map.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"

int piece_map_read(struct piece_map *out, const struct codec *c, int fd, uint64_t end)
{
    uint64_t at = 0, plain_at = 0;

    *out = (struct piece_map){0};
    if (!c->measure)
        return 0;
    while (at < end) {
        struct piece_place p = {.at = at, .plain_at = plain_at};
        int r = c->measure(fd, at, &p.size, &p.plain);

        if (r <= 0)
            return r;
        if (array_grow(out->list, out->count) < 0)
            return -ENOMEM;
        if (p.size > end - at || __builtin_add_overflow(plain_at, p.plain, &plain_at))
            return 0;
        out->list[out->count++] = p;
        at += p.size;
    }
    return 1;
}

void piece_map_clear(struct piece_map *m)
{
    free(take_ptr(m->list));
    m->count = 0;
}
