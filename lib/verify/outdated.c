/* Verifying a tree: which valid indexes hold code of a file that has changed since, which Numba
 * does not notice, or name a module or class that is not there. Where a manifest knows what they
 * were compiled with, content decides of change; else times. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "judge/came_from.h"
#include "judge/judge.h"
#include "judge/named.h"
#include "judge/outdated.h"
#include "manifest/depends.h"
#include "manifest/links.h"
#include "numba/index.h"
#include "tree/beneath.h"

enum { LARGEST = 1 << 30 };

struct looking {
    struct verify_tree *t;
    const char **paths; /* of the walk's files; owned */
    size_t *items;      /* numbers in the walk, likewise; owned */
    size_t count;
    size_t *source_of; /* by number in the report: of its source in PATHS, or SIZE_MAX; owned */
    size_t *sources;   /* each once, sorted; owned */
    size_t source_count;
    struct came_from from;
    const char *dir;       /* of the index that is looked into, on disk */
    const char ***changed; /* by manifest and its index lines; NULL: not asked yet; owned */
};

/* ---- Files -------------------------------------------------------------------------------- */

/* What cannot be read has no imports: Python cannot read it either. */
static int read_path(const char *path, struct buf *out, struct wp_error *err)
{
    int r;

    buf_clear(out);
    r = file_read(path, LARGEST, out, NULL);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0)
        buf_clear(out);
    return 0;
}

static int read_file(void *ctx, size_t file, struct buf *out, struct wp_error *err)
{
    const struct looking *l = ctx;
    _cleanup_free_ char *path = path_join(l->t->dir, l->paths[file]);

    return path ? read_path(path, out, err) : error_nomem(err);
}

static int read_data(void *ctx, const char *name, struct buf *out, struct wp_error *err)
{
    const struct looking *l = ctx;
    _cleanup_free_ char *path = path_join(l->dir, name);

    return path ? read_path(path, out, err) : error_nomem(err);
}

/* Where the index S lies on disk. Allocated. */
static char *index_path(const struct looking *l, const struct wp_index_status *s)
{
    return *s->index == '/' ? strdup(s->index) : path_join(l->t->dir, s->index);
}

static int list_files(struct looking *l)
{
    const struct walk *w = &l->t->walk;

    l->paths = calloc(w->count + 1, sizeof *l->paths);
    l->items = calloc(w->count + 1, sizeof *l->items);
    l->source_of = calloc(l->t->out->count + 1, sizeof *l->source_of);
    l->changed = calloc(l->t->trees.count + 1, sizeof *l->changed);
    if (!l->paths || !l->items || !l->source_of || !l->changed)
        return -ENOMEM;
    for (size_t i = 0; i < w->count; i++) {
        const char *path = w->items[i].entry.path;

        if (w->items[i].entry.type == ENTRY_DIR || caches_is_index(path) || caches_is_data(path))
            continue;
        l->paths[l->count] = path;
        l->items[l->count++] = i;
    }
    return 0;
}

static size_t number_of(const struct looking *l, const char *path)
{
    size_t at = array_first(i, l->count, strcmp(l->paths[i], path) < 0);

    return at < l->count && strcmp(l->paths[at], path) == 0 ? at : SIZE_MAX;
}

static int compare_numbers(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return (x > y) - (x < y);
}

/* Looks into the valid indexes, and lists their sources. */
static int look_into_indexes(struct looking *l, struct wp_error *err)
{
    const struct wp_verify_report *out = l->t->out;
    size_t n = 0;

    for (size_t i = 0; i < out->count; i++) {
        const struct wp_index_status *s = &out->indexes[i];
        _cleanup_free_ char *path = NULL, *dir = NULL;
        _cleanup_buf_ struct buf text = {0};
        int r;

        l->source_of[i] = s->status == WP_VALID && s->source ? number_of(l, s->source) : SIZE_MAX;
        if (l->source_of[i] == SIZE_MAX)
            continue;
        path = index_path(l, s);
        dir = path ? path_dir(path) : NULL;
        if (!dir || array_grow(l->sources, l->source_count) < 0)
            return error_nomem(err);
        l->sources[l->source_count++] = l->source_of[i];
        l->dir = dir;
        r = read_path(path, &text, err);
        if (r == 0)
            r = came_from_look(&l->from, l->source_of[i], i, &text, read_data, l, err);
        if (r < 0)
            return r;
    }
    if (l->source_count)
        qsort(l->sources, l->source_count, sizeof *l->sources, compare_numbers);
    for (size_t i = 0; i < l->source_count; i++)
        if (n == 0 || l->sources[n - 1] != l->sources[i])
            l->sources[n++] = l->sources[i];
    l->source_count = n;
    return 0;
}

/* ---- Content ------------------------------------------------------------------------------ */

struct comparing {
    const struct verify_tree *t;
    const struct tree_manifest *m;
};

static const struct entry *look_up(void *ctx, const char *path, bool *is_end)
{
    (void)is_end;
    return manifest_find(ctx, path);
}

/* Has PATH of the archive the content here that was packed? Of a link that leads out of the archive
 * nobody has recorded any. 1, 0 or -ENOMEM. */
static int is_same(void *ctx, const char *path)
{
    const struct comparing *c = ctx;
    const struct entry *e;
    int r = links_follow(look_up, (void *)&c->m->m, path, &e);
    bool gone;
    _cleanup_free_ char *here = tree_path(c->m, path, &gone);
    _cleanup_free_ char *full = here ? path_join(c->t->dir, here) : NULL;
    _cleanup_close_ int fd = full ? open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    unsigned char digest[SHA256_SIZE];

    if (r == -EXDEV || r == -ENOMEM)
        return r == -EXDEV ? 1 : r;
    if (here ? !full : !gone)
        return -ENOMEM;
    if (fd < 0 || !e || !e->has_sha256)
        return 0;
    r = sha256_of_file(fd, digest);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    return memcmp(digest, e->sha256, sizeof digest) == 0;
}

/* Is it, but for its stamp, byte for byte the index that was packed? */
static bool is_as_packed(const struct buf *text, const struct manifest *m,
                         const struct manifest_index *line)
{
    const struct entry *packed = manifest_find(m, line->index);
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_buf_ struct buf back = {0};
    unsigned char digest[SHA256_SIZE];

    if (!packed || !packed->has_sha256 || !line->has_stamp ||
        index_read(&index, text->data, text->size, NULL) < 0 ||
        index_restamp(&index, text->data, text->size, &line->stamp, &back, NULL) < 0)
        return false;
    sha256_of(back.data, back.size, digest);
    return memcmp(digest, packed->sha256, sizeof digest) == 0;
}

/* What manifest number K says of its index LINE. 0 or negative errno. */
static int ask_manifest(struct looking *l, size_t k, const struct manifest_index *line,
                        const char **changed, struct wp_error *err)
{
    struct tree_manifest *m = &l->t->trees.list[k];
    struct comparing c = {l->t, m};
    int r = l->changed[k] ? 0 : manifest_changed(&m->m, is_same, &c, &l->changed[k], err);

    if (r == 0)
        *changed = l->changed[k][line - m->m.indexes];
    return r;
}

/* Does a manifest know what S was compiled with? 1: *CHANGED is what is no longer so, or NULL; 0;
 * negative errno. */
static int by_content(struct looking *l, const struct wp_index_status *s, const char **changed,
                      struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(s->source), *path = index_path(l, s);
    _cleanup_buf_ struct buf text = {0};
    int r = dir && path ? read_path(path, &text, err) : error_nomem(err);

    for (size_t k = 0; k < l->t->trees.count && r == 0; k++) {
        struct tree_manifest *m = &l->t->trees.list[k];

        for (size_t i = 0; i < m->dir_count; i++) {
            const struct manifest_index *line = NULL;

            if (strcmp(m->dirs[i].path, dir) == 0 &&
                tree_find_index_line(m, i, path_base(s->index), &line) < 0)
                return error_nomem(err);
            if (!line || !line->valid || !is_as_packed(&text, &m->m, line))
                continue;
            r = ask_manifest(l, k, line, changed, err);
            return r < 0 ? r : 1;
        }
    }
    return r;
}

/* ---- Times -------------------------------------------------------------------------------- */

/* When the oldest code of index S was compiled; false where that cannot be told. */
static bool compiled_at(const struct looking *l, const struct wp_index_status *s,
                        struct timespec *out)
{
    _cleanup_free_ char *path = index_path(l, s);
    _cleanup_free_ char *dir = path ? path_dir(path) : NULL;
    bool any = false;

    for (size_t i = 0; dir && i < s->overload_count; i++) {
        _cleanup_free_ char *data = path_join(dir, s->overloads[i].data);
        struct stat st;

        if (!data || stat(data, &st) < 0)
            return false;
        if (!any || time_is_before(st.st_mtim, *out))
            *out = st.st_mtim;
        any = true;
    }
    return any;
}

/* Of a link, the time of what it leads to. */
static bool time_of(const struct looking *l, size_t file, struct timespec *out)
{
    _cleanup_free_ char *path = path_join(l->t->dir, l->paths[file]);
    struct stat st;

    if (!path || stat(path, &st) < 0)
        return false;
    *out = st.st_mtim;
    return true;
}

static int by_times(struct looking *l, const struct wp_index_status *s, size_t source,
                    const struct depends *d, size_t set, const char **changed)
{
    _cleanup_free_ size_t *files = NULL;
    struct timespec compiled, own, newest = {0}, one;
    size_t count, latest = SIZE_MAX;

    if (depends_files(d, set, &files, &count) < 0)
        return -ENOMEM;
    if (!compiled_at(l, s, &compiled) || !time_of(l, source, &own))
        return 0;
    for (size_t i = 0; i < count; i++)
        if (time_of(l, files[i], &one) && (latest == SIZE_MAX || time_is_before(newest, one))) {
            newest = one;
            latest = files[i];
        }
    if (latest != SIZE_MAX && outdated_by_times(&s->stamp, compiled, own, newest) == OUTDATED)
        *changed = l->paths[latest];
    return 0;
}

/* ---- All of them -------------------------------------------------------------------------- */

static int judge_one(struct looking *l, size_t i, const struct depends *d, struct wp_error *err)
{
    struct wp_verify_report *out = l->t->out;
    struct wp_index_status *s = &out->indexes[i];
    const size_t source = l->source_of[i];
    const struct named_wrong *wrong = named_wrong_of(&l->from, i);
    const char *changed = NULL;
    int r = wrong ? 1 : by_content(l, s, &changed, err);

    if (r == 0) {
        size_t at = array_first(k, l->source_count, l->sources[k] < source);

        if (by_times(l, s, source, d, d->of_source[at], &changed) < 0)
            return error_nomem(err);
    }
    if (r < 0 || (!wrong && !changed))
        return r < 0 ? r : 0;
    if ((wrong ? named_set(s, &l->from, wrong) : outdated_set(s, changed)) < 0)
        return error_nomem(err);
    out->by_status[WP_VALID]--;
    out->by_status[s->status]++;
    return 0;
}

static int judge_all(struct looking *l, struct wp_error *err)
{
    struct depends *d = NULL;
    int r = 0;

    for (size_t k = 0; k < l->t->trees.count && r == 0; k++)
        if (!l->t->trees.list[k].dirs && tree_find_dirs(&l->t->trees.list[k]) < 0)
            r = error_nomem(err);
    if (r == 0)
        r = named_find(&l->from, err);
    if (r == 0)
        r = came_from_resolve(&l->from, &d, l->sources, l->source_count, err);
    for (size_t i = 0; i < l->t->out->count && r == 0; i++)
        if (l->source_of[i] != SIZE_MAX)
            r = judge_one(l, i, d, err);
    depends_free(d);
    return r;
}

static void clear(struct looking *l)
{
    for (size_t k = 0; l->changed && k < l->t->trees.count; k++)
        free(l->changed[k]);
    free(l->changed);
    free(l->paths);
    free(l->items);
    free(l->source_of);
    free(l->sources);
    came_from_clear(&l->from);
}

int verify_outdated(struct verify_tree *t, struct wp_error *err)
{
    struct looking l = {.t = t};
    int r = list_files(&l) < 0 ? error_nomem(err) : 0;

    l.from = (struct came_from){.paths = l.paths, .count = l.count, .read = read_file, .ctx = &l};
    if (r == 0)
        r = look_into_indexes(&l, err);
    if (r == 0 && l.source_count)
        r = judge_all(&l, err);
    clear(&l);
    return r;
}
