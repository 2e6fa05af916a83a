/* Amending: gives the sources their times. The manifest, and a tar, have the exact ones. A zip's
 * own times must also suit the .pyc files in it, for those who import from it without unpacking. */

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"
#include "numba/compiled.h"

struct compiled { /* sorted by its first member: path_compare */
    char *source; /* path in the archive; owned */
    int64_t time; /* of that source, in seconds, when it was compiled */
};

struct compiled_list {
    struct compiled *v; /* sorted by source; owned */
    size_t count;
};

static void list_clear(struct compiled_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->v[i].source);
    free(l->v);
}

/* The time that a compiled file remembers; false where it remembers none. */
static bool compiled_time(const struct amend *a, const struct spooled *s, int64_t *time)
{
    struct compiled_header head;

    if (s->entry.type != ENTRY_FILE || s->entry.size < sizeof head ||
        file_read_at(a->spool.fd, &head, sizeof head, s->at) != sizeof head || head.flags)
        return false;
    *time = le32toh(head.mtime);
    return true;
}

static int list_compiled(const struct amend *a, struct compiled_list *l, struct wp_error *err)
{
    l->v = reallocarray(NULL, a->spool.count ? a->spool.count : 1, sizeof *l->v);
    if (!l->v)
        return error_nomem(err);
    for (size_t i = 0; i < a->spool.count; i++) {
        struct compiled *c = &l->v[l->count];

        if (!compiled_time(a, &a->spool.items[i], &c->time))
            continue;
        c->source = compiled_source(a->spool.items[i].entry.path);
        l->count += c->source != NULL;
    }
    array_sort(l->v, l->count, path_compare);
    return 0;
}

/* A zip holds even seconds, and Python's zipimport forgives one. */
static bool fits(int64_t in_zip, int64_t compiled)
{
    int64_t difference = (in_zip & ~INT64_C(1)) - compiled;

    return difference >= -1 && difference <= 1;
}

/* Chooses between the tree's time and the zip's own: the first, but where it would make .pyc files
 * stale that the second keeps valid. */
static void choose(struct amend *a, const struct walk_item *item, struct timespec exact,
                   const struct compiled_list *l, struct timespec *header)
{
    uint64_t all = 0, by_exact = 0, by_own = 0;
    size_t low = array_first(i, l->count, strcmp(l->v[i].source, item->entry.path) < 0);

    for (; low < l->count && strcmp(l->v[low].source, item->entry.path) == 0; low++) {
        all++;
        by_exact += fits(exact.tv_sec, l->v[low].time);
        by_own += fits(header->tv_sec, l->v[low].time);
    }
    a->result->pyc += all;
    a->result->pyc_in_zip += by_exact >= by_own ? by_exact : by_own;
    if (by_exact >= by_own)
        *header = exact;
}

int amend_times(struct pack *p, struct amend *a, struct wp_error *err)
{
    _cleanup_(list_clear) struct compiled_list l = {0};
    int r = a->o->format->is_rounded ? list_compiled(a, &l, err) : 0;

    for (size_t i = 0; i < a->match_count && r == 0; i++) {
        struct walk_item *item = &p->walk.items[a->matches[i].spooled];
        struct timespec exact = a->survey.pack.walk.items[a->matches[i].source].entry.mtime;

        if (item->entry.type != ENTRY_FILE) /* a link's time is its own */
            continue;
        if (p->header_times)
            choose(a, item, exact, &l, &p->header_times[a->matches[i].spooled]);
        item->entry.mtime = exact;
        item->linked = false; /* other names of it may have other times */
    }
    return r;
}
