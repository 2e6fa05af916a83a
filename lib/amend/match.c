/* Amending: finds which file of the tree a source of the archive was made from. The content must be
 * the same; of several, the one whose path has the longest common end, then the one with more valid
 * caches (a copy that a build left behind has none). */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "job.h"
#include "manifest/links.h"
#include "numba/zipped.h"

bool amend_is_source(const struct entry *e)
{
    return (e->type == ENTRY_FILE || e->type == ENTRY_SYMLINK) && caches_is_source(e->path);
}

bool amend_is_zip(const struct entry *e)
{
    return e->type == ENTRY_FILE && path_has_suffix(e->path, ".zip");
}

/* Sorted by digest. */
struct candidates {
    const struct walk_item **items;
    size_t count;
};

/* The archive's entries, sorted by path. */
struct paths {
    const struct entry **v;
    const char **ends; /* their paths, sorted as if they were written backwards */
    size_t count;
};

/* Components that the two paths have in common, from the end. */
static unsigned common_end(const char *a, const char *b)
{
    const char *x = a + strlen(a), *y = b + strlen(b);
    unsigned n = 0;

    while (x > a && y > b && x[-1] == y[-1]) {
        x--;
        y--;
        n += *x == '/';
    }
    return n + ((x == a || x[-1] == '/') && (y == b || y[-1] == '/') && *x != '/');
}

static unsigned depth(const char *path) /* directories above it */
{
    unsigned n = 0;

    for (; *path; path++)
        n += *path == '/';
    return n;
}

static int compare_backwards(const char *a, const char *b)
{
    const char *x = a + strlen(a), *y = b + strlen(b);

    while (x > a && y > b && x[-1] == y[-1]) {
        x--;
        y--;
    }
    if (x == a || y == b)
        return (x > a) - (y > b);
    return (unsigned char)x[-1] - (unsigned char)y[-1];
}

static int compare_ends(const void *a, const void *b)
{
    return compare_backwards(*(const char *const *)a, *(const char *const *)b);
}

/* Is no path of the archive nearer to PATH of the tree, by what they end with, than ARCHIVED is?
 * Those that have most in common with it stand beside it. */
static bool is_nearest(const struct paths *paths, const char *archived, const char *path)
{
    const size_t at = array_first(i, paths->count, compare_backwards(paths->ends[i], path) < 0);
    const unsigned own = common_end(archived, path);

    return (at == 0 || common_end(paths->ends[at - 1], path) <= own) &&
           (at == paths->count || common_end(paths->ends[at], path) <= own);
}

/* ---- By which name Python imports -------------------------------------------------------- */

/* How many directories above PATH are packages; *WHOLE: all of them, and what they lie in, too. */
static unsigned packages(const char *path, bool (*holds)(const void *ctx, const char *path),
                         const void *ctx, bool *whole)
{
    _cleanup_free_ char *dir = path_dir(path);
    unsigned n = 0;

    *whole = false;
    while (dir) {
        _cleanup_free_ char *init = path_join(dir, "__init__.py");
        char *above;

        if (!init || !holds(ctx, init))
            return n;
        if (!*dir) {
            *whole = true;
            return n;
        }
        n++;
        above = path_dir(dir);
        free(dir);
        dir = above;
    }
    return n;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp((*(const struct entry *const *)a)->path, (*(const struct entry *const *)b)->path);
}

static const struct entry *find(const struct paths *paths, const char *path)
{
    const struct entry key = {.path = (char *)path}, *wanted = &key;
    const struct entry **hit = array_find(&wanted, paths->v, paths->count, compare_entries);

    return hit ? *hit : NULL;
}

static const struct entry *look_up(void *ctx, const char *path, bool *is_end)
{
    (void)is_end;
    return find(ctx, path);
}

/* The file that E is, or that it leads to within the archive; NULL: none. */
static const struct entry *file_of(const struct paths *paths, const struct entry *e)
{
    const struct entry *end = e;

    if (e->type == ENTRY_SYMLINK)
        links_follow(look_up, (void *)paths, e->path, &end);
    return end && end->type == ENTRY_FILE ? end : NULL;
}

static bool archive_holds(const void *ctx, const char *path)
{
    return find(ctx, path) != NULL;
}

static bool tree_holds(const void *ctx, const char *path)
{
    return walk_find(ctx, path) != NULL;
}

/* Data files are bound to the name that their module was imported by. The packages that lead to
 * both files must be the same, as far as either can be seen. */
static bool has_same_name(const struct amend *a, const struct paths *paths, const char *archived,
                          const char *source)
{
    bool whole_archive, whole_tree;
    unsigned above = packages(archived, archive_holds, paths, &whole_archive);
    unsigned here = packages(source, tree_holds, &a->survey.pack.walk, &whole_tree);
    unsigned need = above > here ? above : here, common = common_end(archived, source);

    if (!common) /* not even the module's own */
        return false;
    common--;
    if (common == depth(archived))
        return whole_archive || common >= need;
    if (common == depth(source))
        return whole_tree || common >= need;
    return common >= (need ? need : 1);
}

/* ---- Matching ---------------------------------------------------------------------------- */

static int compare_digests(const void *a, const void *b)
{
    return memcmp((*(const struct walk_item *const *)a)->entry.sha256,
                  (*(const struct walk_item *const *)b)->entry.sha256, SHA256_SIZE);
}

static bool is_better(const struct amend *a, const char *archived, const struct walk_item *x,
                      const struct walk_item *y)
{
    const struct walk_item *all = a->survey.pack.walk.items;
    unsigned ends[2] = {common_end(archived, x->entry.path), common_end(archived, y->entry.path)};
    size_t valid[2] = {a->survey.valid[x - all], a->survey.valid[y - all]};
    unsigned depths[2] = {depth(x->entry.path), depth(y->entry.path)};

    if (ends[0] != ends[1])
        return ends[0] > ends[1];
    if (valid[0] != valid[1])
        return valid[0] > valid[1];
    if (depths[0] != depths[1])
        return depths[0] < depths[1];
    return strcmp(x->entry.path, y->entry.path) < 0;
}

static const struct walk_item *best(const struct amend *a, const struct candidates *c,
                                    const char *path, const unsigned char *sha256)
{
    const struct walk_item *found = NULL;
    size_t low =
        array_first(i, c->count, memcmp(c->items[i]->entry.sha256, sha256, SHA256_SIZE) < 0);

    for (; low < c->count && memcmp(c->items[low]->entry.sha256, sha256, SHA256_SIZE) == 0; low++)
        if (!found || is_better(a, path, c->items[low], found))
            found = c->items[low];
    return found;
}

static int note_unmatched(struct amend *a, const char *path, struct wp_error *err)
{
    struct wp_amend_result *r = a->result;
    char **grown = reallocarray(r->unmatched, r->unmatched_count + 2, sizeof *grown);

    if (!grown)
        return error_nomem(err);
    r->unmatched = grown;
    grown[r->unmatched_count] = strdup(path);
    if (!grown[r->unmatched_count])
        return error_nomem(err);
    grown[++r->unmatched_count] = NULL;
    return 0;
}

/* Zips matter where sources in them have caches, which are bound to no name outside of them. */
static void match_zip(struct amend *a, const struct candidates *c, size_t spooled)
{
    const struct entry *e = &a->spool.items[spooled].entry;
    const struct walk_item *all = a->survey.pack.walk.items;
    const struct walk_item *found = best(a, c, e->path, e->sha256);

    if (found && a->survey.valid[found - all])
        a->matches[a->match_count++] =
            (struct match){.spooled = spooled, .source = (size_t)(found - all), .same_name = true};
}

/* All files of the tree that the archive has as E, which may be copies of one another. A copy that
 * lies elsewhere says nothing of a file that the archive has otherwise. */
static void mark_same(struct amend *a, const struct candidates *c, const struct paths *paths,
                      const struct entry *e, const unsigned char *sha256)
{
    const struct walk_item *all = a->survey.pack.walk.items;
    size_t i = array_first(k, c->count, memcmp(c->items[k]->entry.sha256, sha256, SHA256_SIZE) < 0);

    for (; i < c->count && memcmp(c->items[i]->entry.sha256, sha256, SHA256_SIZE) == 0; i++) {
        bool *same = &a->survey.same[c->items[i] - all];

        if (!*same)
            *same = amend_is_zip(e) || (is_nearest(paths, e->path, c->items[i]->entry.path) &&
                                        has_same_name(a, paths, e->path, c->items[i]->entry.path));
    }
}

/* Number SPOOLED of the archive is a symbolic link: those of the tree that lead to the same. */
static void match_link(struct amend *a, const struct paths *paths, size_t spooled)
{
    const struct entry *e = &a->spool.items[spooled].entry;
    const struct walk *walk = &a->survey.pack.walk;

    for (size_t i = 0; i < walk->count; i++) {
        const struct entry *here = &walk->items[i].entry;

        if (here->type != ENTRY_SYMLINK || strcmp(here->target, e->target) != 0 ||
            !has_same_name(a, paths, e->path, here->path))
            continue;
        a->known[spooled] = true;
        if (!amend_is_source(here) && is_nearest(paths, e->path, here->path))
            a->survey.same[i] = true;
    }
}

static int match_all(struct amend *a, const struct candidates *c, const struct paths *paths,
                     struct wp_error *err)
{
    const struct walk *walk = &a->survey.pack.walk;
    int r = 0;

    for (size_t i = 0; i < a->spool.count && r == 0; i++) {
        const struct entry *e = &a->spool.items[i].entry;
        const struct walk_item *found;
        const struct entry *file;
        struct match *m;

        if (amend_is_zip(e)) {
            match_zip(a, c, i);
            mark_same(a, c, paths, e, e->sha256);
        }
        if (e->type == ENTRY_SYMLINK)
            match_link(a, paths, i);
        if (!amend_is_source(e))
            continue;
        a->result->sources += e->type == ENTRY_FILE;
        file = file_of(paths, e);
        found = file ? best(a, c, e->path, file->sha256) : NULL;
        if (!found && e->type == ENTRY_FILE)
            r = note_unmatched(a, e->path, err);
        if (!found)
            continue;
        mark_same(a, c, paths, e, file->sha256);
        m = &a->matches[a->match_count];
        *m = (struct match){.spooled = i, .source = (size_t)(found - walk->items)};
        m->same_name = has_same_name(a, paths, e->path, found->entry.path);
        a->known[i] |= m->same_name;
        if (!m->same_name && a->survey.valid[m->source])
            report(a->context, WP_WARNING, e->path,
                   "is %s by content, but Python imports it by another name: its caches are left "
                   "behind",
                   found->entry.path);
        a->match_count++;
    }
    array_sort(a->result->unmatched, a->result->unmatched_count, path_compare);
    return r;
}

int amend_match(struct amend *a, struct wp_error *err)
{
    const struct walk *walk = &a->survey.pack.walk;
    const size_t n = a->spool.count;
    _cleanup_free_ const struct walk_item **items =
        reallocarray(NULL, walk->count ? walk->count : 1, sizeof *items);
    _cleanup_free_ const struct entry **v = reallocarray(NULL, n ? n : 1, sizeof *v);
    struct candidates c = {.items = items};
    _cleanup_free_ const char **ends = reallocarray(NULL, n ? n : 1, sizeof *ends);
    struct paths paths = {.v = v, .ends = ends, .count = n};

    a->matches = calloc(n ? n : 1, sizeof *a->matches);
    a->known = calloc(n ? n : 1, sizeof *a->known);
    a->survey.same = calloc(walk->count + 1, sizeof *a->survey.same);
    if (!items || !v || !ends || !a->matches || !a->known || !a->survey.same)
        return error_nomem(err);
    for (size_t i = 0; i < walk->count; i++)
        if ((amend_is_source(&walk->items[i].entry) || amend_is_zip(&walk->items[i].entry)) &&
            walk->items[i].entry.has_sha256)
            items[c.count++] = &walk->items[i];
    array_sort(items, c.count, compare_digests);
    for (size_t i = 0; i < n; i++) {
        v[i] = &a->spool.items[i].entry;
        ends[i] = v[i]->path;
    }
    array_sort(v, n, compare_entries);
    array_sort(ends, n, compare_ends);
    return match_all(a, &c, &paths, err);
}
