/* Finds where the pieces of an archive lie, from what their headers say. */

#include "piece_map.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/little_endian.h"

static int add(struct piece_map *m, uint64_t size, uint64_t plain)
{
    const struct piece_place *last = m->count ? &m->list[m->count - 1] : NULL;
    struct piece_place p = {.size = size, .plain = plain};

    if (last)
        p.at = last->at + last->size;
    if (last && __builtin_add_overflow(last->plain_at, last->plain, &p.plain_at))
        return -EOVERFLOW;
    return array_add(m->list, m->count, p);
}

static uint64_t end_of(const struct piece_map *m)
{
    return m->count ? m->list[m->count - 1].at + m->list[m->count - 1].size : 0;
}

/* What the archive says of them all, behind the manifest: 1; 0: nothing. */
static int read_own(struct piece_map *out, const struct codec *c, int fd, uint64_t end)
{
    _cleanup_buf_ struct buf map = {0};
    uint64_t size, plain;
    int r;

    for (uint64_t at = end; (r = c->measure(fd, at, &size, &plain)) == 1; at += size)
        if ((r = c->read_map(fd, at, size, &map)) < 0)
            break;
    for (size_t i = 0; i < map.size && r >= 0; i += CODEC_MAP_ITEM) {
        size = get_le32(map.data + i);
        r = size == 0 || size > end - end_of(out) ? -EOVERFLOW
                                                  : add(out, size, get_le32(map.data + i + 4));
    }
    return r == -ENOMEM ? r : r >= 0 && out->count && end_of(out) == end;
}

/* What each says of itself, one after the other. */
static int walk(struct piece_map *out, const struct codec *c, int fd, uint64_t end)
{
    for (uint64_t at = 0; at < end; at = end_of(out)) {
        uint64_t size, plain;
        int r = c->measure(fd, at, &size, &plain);

        if (r <= 0)
            return r;
        r = size > end - at ? -EOVERFLOW : add(out, size, plain);
        if (r < 0)
            return r == -ENOMEM ? r : 0;
    }
    return 1;
}

int piece_map_read(struct piece_map *out, const struct codec *c, int fd, uint64_t end)
{
    int r;

    *out = (struct piece_map){0};
    if (!c->measure)
        return 0;
    r = c->read_map ? read_own(out, c, fd, end) : 0;
    if (r != 0)
        return r;
    out->count = 0;
    return walk(out, c, fd, end);
}

void piece_map_clear(struct piece_map *m)
{
    free(take_ptr(m->list));
    m->count = 0;
}
