/* The job of verifying an archive without unpacking it. With a manifest, by the times and stamps
 * that it records; without one, by the times in the archive and the indexes themselves. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "caches.h"
#include "judge.h"
#include "manifest/manifest.h"

enum { LARGEST_INDEX = 64 << 20 };

/* An index met in the archive. */
struct met_index {
    char *path;
    struct buf text;
};

struct verify_archive {
    struct wp_archive *a;
    struct manifest m; /* entries: as recorded, or as met; sorted */
    struct met_index *met;
    size_t met_count;
    struct wp_verify_report *out;
};

struct context {
    const struct verify_archive *v;
    const struct entry *source;
    const char *dir;
};

/* The file that PATH leads to, through links within the archive: Python stamps a linked source by
 * its target. NULL where there is none; then *OUTSIDE (may be NULL) says whether a symlink leads
 * out of the archive. */
static const struct entry *file_of(const struct verify_archive *v, const char *path, bool *outside)
{
    _cleanup_free_ char *at = strdup(path);

    if (outside)
        *outside = false;
    for (int links = 0; at && links < 40; links++) {
        const struct entry *e = manifest_find(&v->m, at);
        _cleanup_free_ char *dir = NULL, *joined = NULL;

        if (!e && links && outside)
            *outside = true;
        if (!e || e->type == ENTRY_DIR || e->type == ENTRY_OTHER)
            return NULL;
        if (e->type == ENTRY_FILE)
            return e;
        if (e->type == ENTRY_HARDLINK) {
            joined = strdup(e->target);
        } else {
            dir = path_dir(at);
            joined = dir ? path_join(dir, e->target) : NULL;
        }
        free(at);
        at = joined ? path_normalise(joined) : NULL;
    }
    return NULL;
}

static bool exists(void *ctx, const char *path)
{
    bool outside;

    return file_of(ctx, path, &outside) != NULL || outside;
}

static int facts_of(const struct entry *e, struct judge_file *f)
{
    if (!e)
        return 0;
    *f = (struct judge_file){
        .mtime = e->mtime, .size = e->size, .sha256 = e->has_sha256 ? e->sha256 : NULL};
    return 1;
}

static int source_fact(void *ctx, struct judge_file *f)
{
    return facts_of(((struct context *)ctx)->source, f);
}

static int data_fact(void *ctx, const char *name, struct judge_file *f, bool *whole)
{
    struct context *c = ctx;
    _cleanup_free_ char *path = path_join(c->dir, name);
    int r = path ? facts_of(file_of(c->v, path, NULL), f) : -ENOMEM;

    *whole = r <= 0 || f->size > 0;
    return r;
}

/* The source directory of an index in directory DIR of the archive. Allocated. */
static char *source_dir(const struct verify_archive *v, const char *dir, const char **misplaced)
{
    *misplaced = NULL;
    for (size_t i = 0; i < v->m.cache_count; i++)
        if (strcmp(v->m.caches[i].cache, dir) == 0)
            return strdup(v->m.caches[i].source);
    if (strcmp(path_base(dir), "__pycache__") != 0)
        *misplaced = "its directory is not one where Numba looks for a source of this tree";
    return path_dir(dir);
}

static int judge_met(struct verify_archive *v, const struct met_index *met, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(met->path);
    const char *misplaced = NULL;
    _cleanup_free_ char *sources = dir ? source_dir(v, dir, &misplaced) : NULL;
    struct context c = {.v = v, .dir = dir};
    struct judge_facts facts = {.source = source_fact, .data = data_fact, .ctx = &c};
    struct wp_index_status s = {0};
    struct wp_error why = {0};
    struct index index = {0};
    bool found;
    int parsed, r = 0;

    if (!sources)
        return error_nomem(err);
    s.index = strdup(met->path);
    s.source = caches_source_of(path_base(met->path), sources, exists, v, &found);
    if (!s.index || !s.source || judge_name(&s, s.index) < 0) {
        judge_clear(&s);
        return error_nomem(err);
    }
    c.source = found ? file_of(v, s.source, NULL) : NULL;
    parsed = index_read(&index, met->text.data, met->text.size, &why);
    if (judge_index(&s, parsed < 0 ? NULL : &index, why.message, misplaced, NULL, &facts) < 0 ||
        judge_add(v->out, &s) < 0)
        r = error_nomem(err);
    judge_clear(&s);
    index_clear(&index);
    return r;
}

static int keep_entry(struct verify_archive *v, const struct entry *e, struct wp_error *err)
{
    struct manifest *m = &v->m;

    if ((m->entry_count & (m->entry_count - 1)) == 0) {
        struct entry *grown =
            reallocarray(m->entries, m->entry_count ? 2 * m->entry_count : 1, sizeof *grown);

        if (!grown)
            return error_nomem(err);
        m->entries = grown;
    }
    if (entry_copy(&m->entries[m->entry_count], e) < 0)
        return error_nomem(err);
    m->entry_count++;
    return 0;
}

/* Reads the current entry whole. */
static int pull(struct verify_archive *v, const struct entry *e, struct buf *text,
                struct wp_error *err)
{
    const void *data;
    uint64_t offset;
    size_t n;
    int r;

    if (e->size > LARGEST_INDEX)
        return error_set(err, EFBIG, e->path, "is too large for an index or a manifest");
    while ((r = v->a->reader->ops->data(v->a->reader, &data, &n, &offset, err)) > 0) {
        if (offset != text->size || n > e->size - text->size)
            return error_set(err, EBADMSG, e->path, "has another size than its header says");
        if (buf_add(text, data, n) < 0)
            return error_nomem(err);
    }
    return r;
}

static int keep_index(struct verify_archive *v, const struct entry *e, struct wp_error *err)
{
    struct met_index *grown = reallocarray(v->met, v->met_count + 1, sizeof *grown);

    if (!grown)
        return error_nomem(err);
    v->met = grown;
    grown[v->met_count] = (struct met_index){.path = strdup(e->path)};
    if (!grown[v->met_count].path)
        return error_nomem(err);
    return pull(v, e, &grown[v->met_count++].text, err);
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

/* Of two entries with one name the later one counts, as in tar; both stay comparable here because
 * the sort below is only for looking up. */
static int meet_all(struct verify_archive *v, struct buf *manifest, char **manifest_path,
                    struct wp_error *err)
{
    const struct entry *e;
    int r;

    while ((r = v->a->reader->ops->next(v->a->reader, &e, err)) > 0) {
        if (!*e->path)
            continue;
        if (v->a->reader->mark && manifest_is_path(e->path)) {
            buf_clear(manifest);
            free(*manifest_path);
            *manifest_path = strdup(e->path);
            r = *manifest_path ? pull(v, e, manifest, err) : error_nomem(err);
            if (r < 0)
                return r;
            continue;
        }
        r = keep_entry(v, e, err);
        if (r == 0 && e->type == ENTRY_FILE && caches_is_index(e->path))
            r = keep_index(v, e, err);
        if (r < 0)
            return r;
    }
    if (r == 0 && v->m.entry_count)
        qsort(v->m.entries, v->m.entry_count, sizeof *v->m.entries, compare_entries);
    return r;
}

/* Reads the whole archive and judges the indexes themselves. */
static int verify_stream(struct verify_archive *v, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    _cleanup_free_ char *path = NULL;
    struct manifest recorded = {0};
    int r = meet_all(v, &text, &path, err);

    if (r == 0 && v->a->reader->mark && !path)
        r = error_set(err, EBADMSG, v->a->name, "the archive is cut: its manifest is missing");
    if (r == 0 && path)
        r = manifest_read(&recorded, text.data, text.size, path, v->a->pool, err);
    if (r == 0) { /* which hashed directory belongs where, only the manifest knows */
        v->m.caches = recorded.caches;
        v->m.cache_count = recorded.cache_count;
        recorded.caches = NULL;
        recorded.cache_count = 0;
    }
    manifest_clear(&recorded);
    for (size_t i = 0; i < v->met_count && r == 0; i++)
        r = judge_met(v, &v->met[i], err);
    return r;
}

/* One index line of the manifest: does the recorded stamp satisfy the recorded source? */
static int judge_line(struct verify_archive *v, const struct manifest_index *line,
                      struct wp_error *err)
{
    bool outside = false;
    const struct entry *source = line->source ? file_of(v, line->source, &outside) : NULL;
    struct wp_index_status s = {
        .status = WP_VALID, .stamp = line->stamp, .has_stamp = line->has_stamp};
    const char *reason = NULL;

    s.index = strdup(line->index);
    s.source = line->source ? strdup(line->source) : NULL;
    if (!s.index || (line->source && !s.source) || judge_name(&s, line->index) < 0) {
        judge_clear(&s);
        return error_nomem(err);
    }
    if (!line->has_stamp) {
        s.status = WP_CORRUPT;
        reason = "could not be read when it was packed";
    } else if (outside) { /* only who packed it could see the source */
        s.status = line->valid ? WP_VALID : WP_STALE;
        reason = line->valid ? NULL : "was not valid when it was packed";
    } else if (!source) {
        s.status = WP_SOURCE_MISSING;
        reason = "its source is not in the archive";
    } else if (stamp_matches(&line->stamp, source->mtime, source->size,
                             source->has_sha256 ? source->sha256 : NULL) != 1) {
        s.status = WP_STALE;
        reason = "was stale when it was packed";
    } else if (!line->valid) {
        s.status = WP_SUSPECT;
        reason = "was not valid when it was packed, though its stamp fits";
    }
    s.reason = reason ? strdup(reason) : NULL;
    if ((reason && !s.reason) || judge_add(v->out, &s) < 0) {
        judge_clear(&s);
        return error_nomem(err);
    }
    return 0;
}

int wp_verify_archive(struct wp_archive *a, const struct wp_verify_options *o,
                      struct wp_verify_report *result, struct wp_error *err)
{
    struct verify_archive v = {.a = a, .out = result};
    _cleanup_buf_ struct buf path = {0}, text = {0};
    int r;

    (void)o;
    *result = (struct wp_verify_report){0};
    r = a->reader->ops->manifest(a->reader, &path, &text, err);
    if (r > 0) {
        r = buf_terminate(&path) < 0
                ? error_nomem(err)
                : manifest_read(&v.m, text.data, text.size, (char *)path.data, a->pool, err);
        for (size_t i = 0; i < v.m.index_count && r == 0; i++)
            r = judge_line(&v, &v.m.indexes[i], err);
    } else if (r == 0) {
        r = verify_stream(&v, err);
    }
    judge_sort(result);
    for (size_t i = 0; i < v.met_count; i++) {
        free(v.met[i].path);
        buf_free(&v.met[i].text);
    }
    free(v.met);
    manifest_clear(&v.m);
    if (r < 0)
        wp_verify_report_clear(result);
    return r;
}
