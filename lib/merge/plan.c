/* Merging: plans the entries of the result: those of the first input, with the caches of all inputs
 * in place of its own. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "numba/caches.h"

/* ---- What goes --------------------------------------------------------------------------- */

/* The directories and the stems with which the files of the first input's indexes begin. */
static int list_prefixes(const struct merge_input *first, struct path_list *prefixes)
{
    for (size_t i = 0; i < first->m.index_count; i++) {
        const char *path = first->m.indexes[i].index, *base = path_base(path);
        struct index_name name;

        if (index_name_parse(base, &name) == 0 &&
            path_list_add(prefixes, strndup(path, (size_t)(base - path) + name.stem)) < 0)
            return -ENOMEM;
    }
    path_list_sort(prefixes);
    return 0;
}

/* Is PATH a file of one of these indexes? 1, 0 or -ENOMEM. */
static int is_part(const struct path_list *prefixes, const char *path)
{
    const char *base = path_base(path);
    _cleanup_free_ char *prefix = NULL;
    struct index_name name;
    size_t stem;

    if (!caches_is_part(path))
        return 0;
    if (index_name_parse(base, &name) == 0)
        stem = name.stem;
    else if (!index_is_part_name(base, &stem))
        return 0;
    prefix = strndup(path, (size_t)(base - path) + stem);
    return prefix ? path_list_has(prefixes, prefix) : -ENOMEM;
}

/* ---- Items ------------------------------------------------------------------------------- */

static int add_items(struct pack *p, const struct merge *m, size_t from,
                     const struct path_list *gone, struct wp_error *err)
{
    const struct spool *s = &m->inputs[0].spool;

    for (size_t i = from; i < s->count; i++) {
        const struct entry *e = &s->items[i].entry;
        int part = gone ? is_part(gone, e->path) : 0;

        if (part < 0)
            return error_nomem(err);
        if (part || (gone && spool_is_own(e)))
            continue;
        if (pack_add_spooled(p, i, err) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int copy_texts(char ***out, size_t *count, char *const *from, size_t n)
{
    *out = calloc(n + 1, sizeof **out);
    if (!*out)
        return -ENOMEM;
    for (; *count < n; ++*count)
        if (!((*out)[*count] = strdup(from[*count])))
            return -ENOMEM;
    return 0;
}

/* Fills the records of the manifest that speak of the whole: roots, settings and command are those
 * of the first input. */
static int record(struct pack *p, struct merge *m, struct wp_error *err)
{
    const struct manifest *first = &m->inputs[0].m;
    struct manifest *to = &p->manifest;

    if (copy_texts(&to->roots, &to->root_count, first->roots, first->root_count) < 0 ||
        copy_texts(&to->env, &to->env_count, first->env, first->env_count) < 0 ||
        copy_texts(&to->distributions, &to->distribution_count, first->distributions,
                   first->distribution_count) < 0 ||
        copy_texts(&to->numba_users, &to->numba_user_count, first->numba_users,
                   first->numba_user_count) < 0)
        return error_nomem(err);
    if (first->command && !(to->command = strdup(first->command)))
        return error_nomem(err);
    p->has_env = true;
    for (size_t i = 0; i < m->cpu_count; i++)
        if (manifest_add_cpu(to, m->cpus[i].text) < 0)
            return error_nomem(err);
    for (size_t i = 0; i < first->cache_count; i++)
        if (first->caches[i].kind == MANIFEST_CACHE_INSIDE &&
            pack_record_cache(p, first->caches[i].cache, first->caches[i].source,
                              MANIFEST_CACHE_INSIDE, err) < 0)
            return -ENOMEM;
    to->builds = take_ptr(m->builds);
    to->build_count = m->build_count;
    m->build_count = 0;
    return 0;
}

/* ---- Places ------------------------------------------------------------------------------ */

/* The directory of the result for the caches of MEMBER. Allocated. */
static char *place(struct pack *p, const struct merge *m, const struct merge_member *member,
                   struct wp_error *err)
{
    const struct merge_index *i = member->index;
    const struct manifest *from = &m->inputs[member->input].m;
    _cleanup_free_ char *to = NULL;

    if (i->cache && i->cache->kind != MANIFEST_CACHE_INSIDE)
        to = pack_name_cache(p, path_base(i->dir));
    else if (from->home && path_is_under(i->dir, from->home))
        to = path_append(p->home, i->where);
    else
        to = strdup(i->dir);
    if (!to) {
        error_nomem(err);
        return NULL;
    }
    if (i->cache && !pack_cache_at(p, to) &&
        pack_record_cache(p, to, i->cache->source, i->cache->kind, err) < 0)
        return NULL;
    return take_ptr(to);
}

static bool is_in_the_way(const struct merge *m, const char *dir)
{
    const struct entry *e = manifest_find(&m->inputs[0].m, dir);

    return e && e->type != ENTRY_DIR;
}

static bool is_of_one_place(const struct merge_member *a, const struct merge_member *b)
{
    return !a->index->line->source == !b->index->line->source &&
           strcmp(a->index->where, b->index->where) == 0;
}

/* The caches of one directory of sources go where they lie in the first input that has any. */
static const struct merge_member *first_of_place(const struct merge_member *members, size_t n)
{
    const struct merge_member *first = &members[0];

    for (size_t i = 1; i < n; i++)
        if (members[i].input < first->input)
            first = &members[i];
    return first;
}

static int join_place(struct pack *p, struct merge *m, struct merge_groups *g, size_t from,
                      size_t to, struct wp_error *err)
{
    _cleanup_free_ char *dir = place(p, m, first_of_place(&g->members[from], to - from), err);
    int r = dir ? 0 : -ENOMEM;

    for (size_t i = from, n; i < to && r == 0; i += n) {
        n = merge_group_size(g, i);
        r = context_check(m->context, err);
        if (r == 0 && is_in_the_way(m, dir))
            merge_leave_out(m, &m->inputs[g->members[i].input], g->members[i].index,
                            "what should be its directory is none");
        else if (r == 0)
            r = merge_join(m, &g->members[i], n, dir, err);
    }
    return r;
}

static int join_all(struct pack *p, struct merge *m, struct wp_error *err)
{
    struct merge_groups *g = &m->groups;
    int r = 0;

    for (size_t i = 0, end; i < g->count && r == 0; i = end) {
        for (end = i + 1; end < g->count && is_of_one_place(&g->members[i], &g->members[end]);)
            end++;
        r = join_place(p, m, g, i, end, err);
    }
    return r;
}

/* ---- The plan ---------------------------------------------------------------------------- */

static int refuse_left_out(const struct merge *m, struct wp_error *err)
{
    if (!m->o->strict || !m->result->left_out)
        return 0;
    return error_set(err, 0, m->o->output, "not made: %zu cache indexes are left out (--strict)",
                     m->result->left_out);
}

int merge_plan(struct pack *p, void *ctx, struct wp_error *err)
{
    struct merge *m = ctx;
    const struct spool *s = &m->inputs[0].spool;
    _cleanup_(path_list_clear) struct path_list gone = {0};
    const size_t before = s->count;
    int r;

    p->walk = (struct walk){.copies = p->o->format->no_hardlinks};
    p->spool = s;
    r = list_prefixes(&m->inputs[0], &gone) < 0 ? error_nomem(err) : 0;
    if (r == 0)
        r = add_items(p, m, 0, &gone, err);
    if (r == 0)
        r = record(p, m, err);
    if (r == 0)
        r = pack_home(p, err);
    if (r == 0)
        r = join_all(p, m, err);
    if (r == 0)
        r = add_items(p, m, before, NULL, err);
    if (r == 0)
        r = refuse_left_out(m, err);
    if (r == 0)
        r = pack_take_header_times(p, err);
    if (r == 0)
        r = pack_metadata(p, err);
    return r < 0 ? r : pack_plan_end(p, err);
}
