/* Plans which pieces of an archive of ours have to be read for the content that is wanted. */

#include "tar_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "codec/piece_map.h"
#include "manifest/manifest.h"
#include "tar_header.h"
#include "tar_write_header.h"

/* ---- Where the entries lie --------------------------------------------------------------- */

/* *AT moves behind headers and content of E, whose header says what SAID is. 0 or negative errno.
 */
static int place_entry(struct tar_planned *p, const struct entry *e, const struct entry *said,
                       const char *comment, struct buf *header, uint64_t *at)
{
    uint64_t stored = e->type == ENTRY_FILE ? e->size : 0;
    int r;

    buf_clear(header);
    r = tar_add_header(header, said, comment, NULL);
    if (r < 0)
        return r;
    *p = (struct tar_planned){.e = e, .at = *at, .header = header->size};
    if (__builtin_add_overflow(*at, header->size, at) || __builtin_add_overflow(*at, stored, at) ||
        __builtin_add_overflow(*at, tar_padding(stored), at))
        return -EOVERFLOW;
    return 0;
}

static int place_entries(struct tar_plan *p, const struct format_expected *x, const char *mark,
                         bool is_rounded)
{
    _cleanup_buf_ struct buf header = {0};
    uint64_t at;
    int r;

    p->list = calloc(x->count + 1, sizeof *p->list);
    if (!p->list || buf_add_str(&header, MANIFEST_MARK) < 0 || buf_add_str(&header, mark) < 0 ||
        buf_terminate(&header) < 0)
        return -ENOMEM;
    _cleanup_free_ char *comment = strdup((const char *)header.data);

    buf_clear(&header);
    r = !comment ? -ENOMEM : is_rounded ? 0 : tar_add_global(&header, comment);
    at = header.size;
    for (size_t i = 0; i < x->count && r == 0; i++) {
        struct entry said = x->entries[i];

        if (said.absent)
            continue;
        if (is_rounded)
            said.mtime.tv_nsec = 0;
        r = place_entry(&p->list[p->count], &x->entries[i], &said,
                        is_rounded && !p->count ? comment : NULL, &header, &at);
        p->count++;
    }
    p->list[p->count++] = (struct tar_planned){.at = at};
    return r;
}

/* ---- Which pieces are read --------------------------------------------------------------- */

/* Up to where headers and content of P are read; 0: they need not be. */
static uint64_t wanted_end(const struct tar_planned *p, const struct format_expected *x)
{
    return x->wanted[p->e - x->entries] ? p->at + p->header + p->e->size : 0;
}

static int add_gap(struct tar_plan *p, const struct piece_place *piece)
{
    struct source_gap *last = p->gap_count ? &p->gaps[p->gap_count - 1] : NULL;

    if (last && last->end == piece->at) {
        last->end += piece->size;
        last->plain += piece->plain;
        return 0;
    }
    if (array_add(p->gaps, p->gap_count,
                  (struct source_gap){
                      .at = piece->at, .end = piece->at + piece->size, .plain = piece->plain}) < 0)
        return -ENOMEM;
    return 0;
}

/* The entries that begin in PIECE, or have a header that reaches into it, are those from *NEXT on;
 * none of their headers is read. */
static void leave_entries_out(struct tar_plan *p, size_t *next, const struct piece_place *piece)
{
    const uint64_t end = piece->plain_at + piece->plain;
    size_t i;

    while (*next + 1 < p->count && p->list[*next].at + p->list[*next].header <= piece->plain_at)
        ++*next;
    for (i = *next; i + 1 < p->count && p->list[i].at < end; i++)
        p->list[i].is_left_out = true;
}

/* The first piece, which has the mark, is read. */
static int choose(struct tar_plan *p, const struct format_expected *x, const struct piece_map *map)
{
    size_t next = 0, header = 0;
    int r = 0;

    for (size_t i = 1; i < map->count && r == 0; i++) {
        const struct piece_place *piece = &map->list[i];
        const uint64_t end = piece->plain_at + piece->plain;
        bool is_wanted = false;

        /* NEXT: the first entry that may reach into the piece. */
        while (next + 1 < p->count && p->list[next + 1].at <= piece->plain_at)
            next++;
        for (size_t k = next; k + 1 < p->count && p->list[k].at < end && !is_wanted; k++)
            is_wanted = wanted_end(&p->list[k], x) > piece->plain_at;
        if (is_wanted || piece->plain == 0)
            continue;
        r = add_gap(p, piece);
        leave_entries_out(p, &header, piece);
    }
    return r;
}

/* Where nothing is packed, entries are left out one by one. The one that has the mark is read. */
static int choose_entries(struct tar_plan *p, const struct format_expected *x, bool is_rounded)
{
    int r = 0;

    for (size_t i = is_rounded; i + 1 < p->count && r == 0; i++) {
        const uint64_t at = p->list[i].at, size = p->list[i + 1].at - at;
        const struct piece_place place = {.at = at, .size = size, .plain = size};

        if (wanted_end(&p->list[i], x))
            continue;
        r = add_gap(p, &place);
        p->list[i].is_left_out = true;
    }
    return r;
}

/* What comes before the manifest, which begins at MANIFEST: 1; 0: that is not known. */
static int plain_before(struct piece_map *map, const struct codec *codec, int fd, uint64_t manifest,
                        uint64_t *plain)
{
    const struct piece_place *last;
    int r = codec->measure ? piece_map_read(map, codec, fd, manifest) : 1;

    *plain = manifest;
    if (r <= 0 || !codec->measure)
        return r;
    last = map->count ? &map->list[map->count - 1] : NULL;
    *plain = last ? last->plain_at + last->plain : 0;
    return last != NULL;
}

int tar_plan_make(struct tar_plan *out, const struct format_expected *x, const struct codec *codec,
                  int fd, const char *mark, bool is_rounded, uint64_t manifest)
{
    _cleanup_(piece_map_clear) struct piece_map map = {0};
    uint64_t plain;
    int r;

    *out = (struct tar_plan){0};
    r = plain_before(&map, codec, fd, manifest, &plain);
    if (r <= 0)
        return r;
    r = place_entries(out, x, mark, is_rounded);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    if (plain != out->list[out->count - 1].at)
        return 0;
    r = codec->measure ? choose(out, x, &map) : choose_entries(out, x, is_rounded);
    return r < 0 ? r : out->gap_count > 0;
}

void tar_plan_clear(struct tar_plan *p)
{
    free(take_ptr(p->list));
    free(take_ptr(p->gaps));
    *p = (struct tar_plan){0};
}
