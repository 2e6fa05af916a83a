/* Amending: lists the entries of the new archive: those of the old one, its sources with the times
 * of the tree's, and the valid caches. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "numba/index.h"

/* Where the files of a cache directory of the tree go. */
struct destination {
    char *from;   /* directory in the survey; owned */
    char *source; /* source directory in the archive; owned */
    char *to;     /* directory in the archive; NULL: cannot be made; owned */
};

struct destinations {
    struct destination *v; /* owned */
    size_t count;
};

static void destinations_clear(struct destinations *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->v[i].from);
        free(d->v[i].source);
        free(d->v[i].to);
    }
    free(d->v);
}

/* ---- The old entries --------------------------------------------------------------------- */

/* In the order of the spool: number I there is number I here. */
static int add_spooled(struct pack *p, const struct amend *a, struct wp_error *err)
{
    int r = 0;

    p->spool = &a->spool;
    for (size_t i = 0; i < a->spool.count && r == 0; i++)
        r = pack_add_spooled(p, i, err);
    return r < 0 ? r : pack_take_header_times(p, err);
}

/* ---- Caches ------------------------------------------------------------------------------ */

static char *source_dir_of(const struct amend *a, const struct match *m)
{
    return path_dir(a->spool.items[m->spooled].entry.path);
}

/* The directory in the archive of what is SOURCE in the tree, or lies in the zip that M matches. */
static char *source_dir_for(const struct amend *a, const struct match *m, const char *source)
{
    const char *zip = a->survey.pack.walk.items[m->source].entry.path;
    _cleanup_free_ char *within = NULL;

    if (strcmp(zip, source) == 0)
        return source_dir_of(a, m);
    within = path_dir(source + strlen(zip) + 1);
    if (!within)
        return NULL;
    return path_append(a->spool.items[m->spooled].entry.path, within);
}

/* Hashed directories that the archive has itself, by the paths that the tree's sources have. */
static int find_own_caches(struct pack *p, const struct amend *a, struct wp_error *err)
{
    char **bases = caches_bases(a->o->source, a->o->source_roots, err);
    struct caches *known = NULL;
    int r = bases ? caches_new(&known, err) : -ENOENT;

    for (size_t i = 0; i < a->match_count && r == 0; i++) {
        const struct match *m = &a->matches[i];
        _cleanup_free_ char *dir = source_dir_of(a, m);
        _cleanup_free_ char *place = path_dir(a->survey.pack.walk.items[m->source].entry.path);

        if (!dir || !place)
            r = error_nomem(err);
        for (char **base = bases; *base && r == 0 && m->same_name; base++)
            r = caches_add(known, *base, place, dir, err);
    }
    if (r == 0) {
        caches_sort(known);
        r = pack_find_inside(p, known, err);
    }
    caches_free(known);
    caches_free_bases(bases);
    return r;
}

/* Names a hashed directory in the archive: where it has one already, there. Allocated. */
static char *place_hashed(struct pack *p, const struct manifest_cache *cache, const char *source,
                          struct wp_error *err)
{
    const char *name = path_base(cache->cache);
    enum manifest_cache_kind kind =
        cache->kind == MANIFEST_CACHE_INSIDE ? MANIFEST_CACHE_DIR : cache->kind;
    char *path;

    for (size_t i = 0; i < p->manifest.cache_count; i++) {
        const struct manifest_cache *own = &p->manifest.caches[i];

        if (own->kind == MANIFEST_CACHE_INSIDE && strcmp(path_base(own->cache), name) == 0 &&
            strcmp(own->source, source) == 0)
            return strdup(own->cache);
    }
    path = pack_name_cache(p, name);
    if (path && pack_record_cache(p, path, source, kind, err) < 0)
        free(take_ptr(path));
    return path;
}

static bool is_in_the_way(const struct amend *a, const char *dir)
{
    for (size_t i = 0; i < a->spool.count; i++) {
        const struct entry *e = &a->spool.items[i].entry;

        if (e->type != ENTRY_DIR && strcmp(e->path, dir) == 0)
            return true;
    }
    return false;
}

/* The directory for cache files from FROM that serve SOURCE; NULL: cannot be made, or no memory. */
static const struct destination *destination(struct pack *p, const struct amend *a,
                                             struct destinations *d, const char *from,
                                             const char *source, struct wp_error *err)
{
    const struct manifest_cache *cache;
    struct destination *new;

    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->v[i].from, from) == 0 && strcmp(d->v[i].source, source) == 0)
            return &d->v[i];
    if (array_grow(d->v, d->count) < 0) {
        error_nomem(err);
        return NULL;
    }
    new = &d->v[d->count++];
    *new = (struct destination){.from = strdup(from), .source = strdup(source)};
    /* None: caches in FROM lie beside their source. */
    cache = pack_cache_at(&a->survey.pack, from);
    new->to = cache ? place_hashed(p, cache, source, err) : path_join(source, "__pycache__");
    if (!new->from || !new->source || !new->to) {
        error_nomem(err);
        return NULL;
    }
    if (is_in_the_way(a, new->to)) {
        report(a->context, WP_WARNING, new->to,
               "is no directory in the archive: its caches are left behind");
        free(take_ptr(new->to));
    }
    return new;
}

static int add_file(struct pack *p, const struct walk_item *from, const char *to,
                    struct wp_error *err)
{
    struct walk_item *item = pack_add_item(p, err);

    if (!item || entry_copy(&item->entry, &from->entry) < 0)
        return error_nomem(err);
    item->root = from->root;
    item->dev = from->dev;
    item->ino = from->ino;
    item->ctime = from->ctime;
    item->follow = from->follow;
    item->name = strdup(from->name ? from->name : from->entry.path);
    free(item->entry.path);
    item->entry.path = path_join(to, path_base(from->entry.path));
    return item->name && item->entry.path ? 0 : error_nomem(err);
}

/* An index and its data files, which stand together in the sorted walk. */
static int add_index(struct pack *p, struct amend *a, const char *index, const char *to,
                     struct wp_error *err)
{
    const struct walk *walk = &a->survey.pack.walk;
    const size_t dir = (size_t)(path_base(index) - index);
    struct index_name name;
    size_t i, n;
    int r = 0;

    if (index_name_parse(index + dir, &name) < 0)
        return 0;
    n = dir + name.stem;
    i = (size_t)(walk_find(walk, index) - walk->items);
    while (i > 0 && strncmp(walk->items[i - 1].entry.path, index, n) == 0)
        i--;
    for (; i < walk->count && strncmp(walk->items[i].entry.path, index, n) == 0 && r == 0; i++) {
        const char *path = walk->items[i].entry.path;
        size_t stem = 0;

        if (walk->items[i].entry.type != ENTRY_FILE ||
            (strcmp(path, index) != 0 &&
             !(index_is_part_name(path + dir, &stem) && stem == name.stem)))
            continue;
        r = add_file(p, &walk->items[i], to, err);
        a->result->added++;
    }
    return r;
}

/* CHANGED, where it is valid: a file that its code came from, or NULL; then ADDED: one that it
 * would come from. */
static void leave_behind(struct amend *a, const struct wp_index_status *s, const char *changed,
                         const char *added)
{
    if (s->status != WP_VALID)
        report(a->context, WP_WARNING, s->index, "%s: %s: left behind", wp_status_name(s->status),
               s->reason ? s->reason : "");
    else if (changed)
        report(a->context, WP_WARNING, s->index,
               "its code came from %s, which is not so in the archive: left behind", changed);
    else
        report(a->context, WP_WARNING, s->index,
               "its source imports %s in the archive, which the tree does not have: left behind",
               added);
    a->result->left_behind++;
}

/* Index number I of the survey, for every source of the archive that it belongs to. CHANGED: a file
 * that its code came from and that the archive has not, or NULL. */
static int add_index_for(struct pack *p, struct amend *a, struct destinations *d, size_t i,
                         const char *changed, struct wp_error *err)
{
    const struct wp_index_status *s = &a->survey.verify.indexes[i];
    const struct walk_item *all = a->survey.pack.walk.items;
    const struct walk_item *source = s->source ? pack_source(&a->survey.pack, s->source) : NULL;
    const struct walk_item *index = walk_find(&a->survey.pack.walk, s->index);
    _cleanup_free_ char *from = path_dir(s->index);
    bool told = false;

    if (!from)
        return error_nomem(err);
    for (size_t k = 0; source && index && k < a->match_count; k++) {
        const struct match *m = &a->matches[k];
        _cleanup_free_ char *dir = NULL;
        const struct destination *to;
        int r;

        if (m->source != (size_t)(source - all) || !m->same_name)
            continue;
        if (s->status != WP_VALID || changed || m->added) {
            if (!told)
                leave_behind(a, s, changed, m->added);
            told = true;
            continue;
        }
        dir = source_dir_for(a, m, s->source);
        to = dir ? destination(p, a, d, from, dir, err) : NULL;
        if (!to)
            return error_nomem(err);
        r = to->to ? add_index(p, a, s->index, to->to, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_caches(struct pack *p, struct amend *a, struct wp_error *err)
{
    _cleanup_(destinations_clear) struct destinations d = {0};
    _cleanup_free_ const char **changed = NULL;
    int r = amend_changed(a, &changed, err);

    for (size_t i = 0; i < a->survey.verify.count && r == 0; i++)
        r = add_index_for(p, a, &d, i, changed[i], err);
    if (r == 0 && a->o->strict && a->result->left_behind)
        return error_set(err, 0, a->o->output,
                         "not amended: %zu cache indexes are not valid (--strict)",
                         a->result->left_behind);
    return r;
}

/* ---- The plan ---------------------------------------------------------------------------- */

/* The job reads cache files through the survey's descriptors. */
static void take_roots(struct pack *p, struct survey *s)
{
    p->walk.root_fds = take_ptr(s->pack.walk.root_fds);
    p->walk.root_names = take_ptr(s->pack.walk.root_names);
    p->walk.root_count = s->pack.walk.root_count;
    s->pack.walk.root_count = 0;
}

static bool has_indexes(const struct amend *a)
{
    for (size_t i = 0; i < a->spool.count; i++)
        if (caches_is_index(a->spool.items[i].entry.path))
            return true;
    return false;
}

static void forget(struct amend *a)
{
    amend_survey_clear(&a->survey);
    free(take_ptr(a->matches));
    a->match_count = 0;
    wp_amend_result_clear(a->result);
}

int amend_plan(struct pack *p, void *ctx, struct wp_error *err)
{
    struct amend *a = ctx;
    int r;

    forget(a); /* a second attempt looks again */
    p->walk = (struct walk){.copies = p->o->format->no_hardlinks};
    r = amend_survey(a, err);
    if (r == 0)
        r = amend_match(a, err);
    if (r == 0)
        r = amend_find_added(a, err);
    if (r == 0)
        r = add_spooled(p, a, err);
    if (r == 0)
        r = amend_times(p, a, err);
    if (r == 0)
        r = pack_record_roots(p, err);
    if (r == 0)
        r = pack_home(p, err);
    if (r == 0)
        r = find_own_caches(p, a, err);
    if (r == 0)
        r = add_caches(p, a, err);
    if (r == 0 && !a->match_count)
        return -ECANCELED;
    a->no_caches = !a->result->added && !has_indexes(a);
    if (r == 0)
        r = pack_metadata(p, err);
    take_roots(p, &a->survey);
    return r < 0 ? r : pack_plan_end(p, err);
}
