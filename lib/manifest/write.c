/* Writes the text of a manifest from its records. */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/error.h"
#include "builds.h"
#include "json_line.h"
#include "manifest.h"
#include "manifest_private.h"
#include "needs.h"
#include "signature.h"
#include "stream/pipeline.h"

enum { LINES = 256 }; /* that are written by one thread and given away at once */

static const char NOT_CLEAN[] = "it is no clean path beneath the archive's root";

/* Fills ERR for an entry or another record that cannot be written. */
static int refuse(struct wp_error *err, const char *path, const char *why)
{
    return error_set(err, 0, path, "cannot stand in a manifest: %s", why);
}

/* Ends the line that began at START. */
static int end_line(struct json_writer *w, size_t start, const char *path, struct wp_error *err)
{
    json_write_end_line(w);
    if (w->error == -ENOMEM)
        return error_nomem(err);
    if (w->error)
        return refuse(err, path, "a name is not UTF-8");
    if (w->out->size - start > MANIFEST_LINE_MAX)
        return refuse(err, path, "its line would be too long");
    return 0;
}

/* Each of PAIRS is "NAME=VALUE". */
static int write_pairs(struct json_writer *w, const char *name, char *const *pairs, size_t count,
                       struct wp_error *err)
{
    if (!count)
        return 0;
    json_write_object(w, name);
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(pairs[i], '=');

        if (!equals)
            return refuse(err, pairs[i], "it is no NAME=VALUE");
        json_write_named_text(w, pairs[i], (size_t)(equals - pairs[i]), equals + 1);
    }
    json_write_close(w);
    return 0;
}

static int write_header(const struct manifest *m, struct buf *out, struct wp_error *err)
{
    struct json_writer w = {.out = out};
    size_t start = out->size;
    int r;

    if (!m->root_count)
        return error_set(err, 0, NULL, "a manifest needs the directory that was packed");
    for (size_t i = 0; i < m->root_count; i++)
        if (m->roots[i][0] != '/')
            return refuse(err, m->roots[i], "it is not absolute");
    json_write_object(&w, NULL);
    json_write_plain(&w, "format", MANIFEST_FORMAT);
    json_write_uint(&w, "version", MANIFEST_VERSION);
    json_write_text(&w, "creator", m->creator ? m->creator : "warmpack " WP_VERSION);
    json_write_one_or_many(&w, "root", "roots", m->roots, m->root_count);
    json_write_text(&w, "home", m->home);
    r = write_pairs(&w, "env", m->env, m->env_count, err);
    if (r == 0)
        r = write_pairs(&w, "distributions", m->distributions, m->distribution_count, err);
    if (r < 0)
        return r;
    if (m->numba_user_count)
        json_write_texts(&w, "numba_users", m->numba_users, m->numba_user_count);
    json_write_text(&w, "command", m->command);
    json_write_one_or_many(&w, "cpu", "cpus", m->cpus, m->cpu_count);
    if (m->cpu_count && m->needs)
        needs_write(&w, m);
    if (m->build_count)
        builds_write(&w, m);
    return end_line(&w, start, "NUMBA_*", err);
}

static int write_entry(const struct entry *e, struct buf *out, struct wp_error *err)
{
    struct json_writer w = {.out = out};
    size_t start = out->size;
    bool is_link = e->type == ENTRY_SYMLINK || e->type == ENTRY_HARDLINK;
    char text[2 * SHA256_SIZE + 1];

    if (e->type == ENTRY_OTHER)
        return refuse(err, e->path, "it is no file, directory or link");
    if (is_link && (!e->target || !*e->target))
        return refuse(err, e->path, "the link has no target");
    if (e->type == ENTRY_HARDLINK && !manifest_path_is_canonical(e->target))
        return refuse(err, e->path, "its target is no clean path");
    if (e->type == ENTRY_FILE && e->size > INT64_MAX)
        return refuse(err, e->path, "it is too large");
    json_write_object(&w, NULL);
    json_write_text(&w, "path", e->path);
    json_write_plain(&w, "type", manifest_type_names.names[e->type]);
    if (is_link)
        json_write_text(&w, "target", e->target);
    snprintf(text, sizeof text, "%04o", (unsigned)e->mode & 07777);
    json_write_plain(&w, "mode", text);
    json_write_uint(&w, "uid", e->uid);
    json_write_uint(&w, "gid", e->gid);
    json_write_text(&w, "user", e->uname);
    json_write_text(&w, "group", e->gname);
    if (e->type == ENTRY_FILE)
        json_write_uint(&w, "size", e->size);
    wp_time_text(e->mtime.tv_sec, (int32_t)e->mtime.tv_nsec, text);
    json_write_plain(&w, "mtime", text);
    if (e->type == ENTRY_FILE && e->has_sha256) {
        hex_encode(e->sha256, SHA256_SIZE, text);
        json_write_plain(&w, "sha256", text);
    }
    if (e->absent)
        json_write_raw(&w, "absent", "true");
    return end_line(&w, start, e->path, err);
}

static int write_cache(const struct manifest_cache *c, struct buf *out, struct wp_error *err)
{
    struct json_writer w = {.out = out};
    size_t start = out->size;

    if (*c->source && !manifest_path_is_canonical(c->source))
        return refuse(err, c->source, NOT_CLEAN);
    json_write_object(&w, NULL);
    json_write_text(&w, "cache", c->cache);
    json_write_text(&w, "source", c->source);
    json_write_plain(&w, "place", manifest_place_names.names[c->kind]);
    return end_line(&w, start, c->cache, err);
}

/* The kind under which a stamp can be written: numbers that JSON cannot hold equal no source's
 * stamp, so nothing is lost by calling them unknown. */
static enum wp_stamp_kind kind_to_write(const struct wp_stamp *s)
{
    bool numbers = s->kind == WP_STAMP_MTIME || s->kind == WP_STAMP_SECONDS;

    if (numbers && (!isfinite(s->mtime) || s->size > INT64_MAX))
        return WP_STAMP_UNKNOWN;
    if (s->kind == WP_STAMP_SECONDS && (fabs(s->mtime) >= 0x1p63 || trunc(s->mtime) != s->mtime))
        return WP_STAMP_UNKNOWN;
    return s->kind;
}

static void write_stamp(struct json_writer *w, const struct wp_stamp *s)
{
    enum wp_stamp_kind kind = kind_to_write(s);
    char text[2 * SHA256_SIZE + 1];

    json_write_object(w, "stamp");
    json_write_plain(w, "kind", manifest_stamp_names.names[kind]);
    if (kind == WP_STAMP_MTIME) {
        wp_float_text(s->mtime, text);
        json_write_raw(w, "mtime", text);
    } else if (kind == WP_STAMP_SECONDS) {
        snprintf(text, sizeof text, "%lld", (long long)s->mtime);
        json_write_raw(w, "mtime", text);
    } else if (kind == WP_STAMP_CONTENT) {
        hex_encode(s->sha256, SHA256_SIZE, text);
        json_write_plain(w, "sha256", text);
    }
    if (kind == WP_STAMP_MTIME || kind == WP_STAMP_SECONDS)
        json_write_uint(w, "size", s->size);
    json_write_close(w);
}

static int write_set(const struct manifest *m, size_t number, struct buf *out, struct wp_error *err)
{
    const struct manifest_set *s = &m->sets[number];
    struct json_writer w = {.out = out};
    size_t start = out->size;

    for (size_t i = 0; i < s->file_count; i++)
        if (!manifest_path_is_canonical(s->files[i]))
            return refuse(err, s->files[i], NOT_CLEAN);
    json_write_object(&w, NULL);
    json_write_uint(&w, "set", number);
    if (s->file_count)
        json_write_texts(&w, "depends", s->files, s->file_count);
    if (s->use_count)
        json_write_numbers(&w, "uses", s->uses, s->use_count);
    if (s->outside_count)
        json_write_texts(&w, "outside", s->outside, s->outside_count);
    return end_line(&w, start, s->file_count ? s->files[0] : NULL, err);
}

static int write_index(const struct manifest_index *i, struct buf *out, struct wp_error *err)
{
    struct json_writer w = {.out = out};
    size_t start = out->size;

    if (i->source && !manifest_path_is_canonical(i->source))
        return refuse(err, i->source, NOT_CLEAN);
    json_write_object(&w, NULL);
    json_write_text(&w, "index", i->index);
    json_write_text(&w, "source", i->source);
    if (i->has_stamp)
        write_stamp(&w, &i->stamp);
    json_write_raw(&w, "valid", i->valid ? "true" : "false");
    json_write_text(&w, "status", i->status);
    json_write_text(&w, "reason", i->reason);
    json_write_text(&w, "numba", i->numba);
    if (i->has_cpus)
        builds_write_cpus(&w, i->cpus);
    if (i->has_depends)
        json_write_uint(&w, "depends", i->depends);
    if (i->svml)
        json_write_raw(&w, "svml", "true");
    if (i->build_count)
        json_write_numbers(&w, "builds", i->builds, i->build_count);
    return end_line(&w, start, i->index, err);
}

/* ---- Lines ------------------------------------------------------------------------------- */

/* Some lines, which are independent of all others: the pool writes them. */
struct lines {
    const struct manifest *m;
    size_t first, count; /* records, of entries, caches, sets and indexes in this order */
    struct buf text;
    int status;
    struct wp_error err;
};

/* Is PATH fit to be read again, and does it come after BEFORE (NULL: the first)? */
static int check_path(const char *path, const char *before, struct wp_error *err)
{
    _cleanup_free_ char *shown = NULL;

    if (!manifest_path_is_canonical(path))
        return refuse(err, path, NOT_CLEAN);
    if (!before || strcmp(before, path) < 0)
        return 0;
    shown = wp_escape(before);
    return error_set(err, 0, path, "stands in the manifest %s %s",
                     strcmp(before, path) == 0 ? "twice, as" : "out of order, behind",
                     shown ? shown : "another");
}

static int write_record(const struct manifest *m, size_t i, struct buf *out, struct wp_error *err)
{
    int r;

    if (i < m->entry_count) {
        r = check_path(m->entries[i].path, i ? m->entries[i - 1].path : NULL, err);
        return r < 0 ? r : write_entry(&m->entries[i], out, err);
    }
    i -= m->entry_count;
    if (i < m->cache_count) {
        r = check_path(m->caches[i].cache, i ? m->caches[i - 1].cache : NULL, err);
        return r < 0 ? r : write_cache(&m->caches[i], out, err);
    }
    i -= m->cache_count;
    if (i < m->set_count)
        return write_set(m, i, out, err);
    i -= m->set_count;
    r = check_path(m->indexes[i].index, i ? m->indexes[i - 1].index : NULL, err);
    return r < 0 ? r : write_index(&m->indexes[i], out, err);
}

static void write_lines(void *slot, void *arg)
{
    struct lines *l = slot;

    (void)arg;
    buf_clear(&l->text);
    l->status = 0;
    l->err = (struct wp_error){0};
    for (size_t i = 0; i < l->count && l->status == 0; i++)
        l->status = write_record(l->m, l->first + i, &l->text, &l->err);
}

static void drop_lines(void *slot)
{
    buf_free(&((struct lines *)slot)->text);
}

/* ---- The text ---------------------------------------------------------------------------- */

/* A text on its way to who takes it. */
struct writing {
    struct pipeline *line;
    struct sha256 *sha;
    manifest_taker *take;
    void *ctx;
};

static void writing_clear(struct writing *w)
{
    pipeline_free(w->line);
    sha256_free(w->sha);
}

static int give(struct writing *w, const struct buf *text, struct wp_error *err)
{
    sha256_add(w->sha, text->data, text->size);
    return w->take(w->ctx, text->data, text->size, err);
}

static int give_header(const struct manifest *m, struct writing *w, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    int r = write_header(m, &text, err);

    return r < 0 ? r : give(w, &text, err);
}

static int give_records(const struct manifest *m, struct writing *w, struct wp_error *err)
{
    const size_t all = m->entry_count + m->cache_count + m->set_count + m->index_count;
    size_t next = 0;
    struct lines *l;

    for (;;) {
        int r;

        while (next < all && (l = pipeline_free_slot(w->line))) {
            l->m = m;
            l->first = next;
            l->count = all - next < LINES ? all - next : LINES;
            next += l->count;
            pipeline_submit(w->line);
        }
        l = pipeline_wait_oldest(w->line);
        if (!l)
            return 0;
        if (l->status < 0 && err)
            *err = l->err;
        r = l->status < 0 ? l->status : give(w, &l->text, err);
        if (r < 0)
            return r;
        pipeline_release(w->line);
    }
}

static int give_end(const struct manifest *m, struct writing *w, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct json_writer j = {.out = &text};
    unsigned char digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    int r;

    sha256_peek(w->sha, digest);
    hex_encode(digest, sizeof digest, hex);
    json_write_object(&j, NULL);
    json_write_raw(&j, "end", "true");
    json_write_uint(&j, "entries", m->entry_count);
    json_write_plain(&j, "sha256", hex);
    r = end_line(&j, 0, NULL, err);
    return r < 0 ? r : give(w, &text, err);
}

static int give_signature(const struct manifest *m, struct writing *w, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    unsigned char before[SHA256_SIZE];

    if (!m->signer)
        return 0;
    sha256_peek(w->sha, before);
    return signature_write(m->signer, before, &text) < 0 ? error_nomem(err) : give(w, &text, err);
}

int manifest_write(const struct manifest *m, struct pool *pool, manifest_taker *take, void *ctx,
                   struct wp_error *err)
{
    const unsigned threads = pool_threads(pool), slots = threads > 1 ? 2 * threads : 1;
    _cleanup_(writing_clear) struct writing w = {.take = take, .ctx = ctx, .sha = sha256_new()};
    int r;

    w.line = pipeline_new(pool, slots, sizeof(struct lines), write_lines, drop_lines, NULL);
    r = w.line && w.sha ? give_header(m, &w, err) : error_nomem(err);
    r = r < 0 ? r : give_records(m, &w, err);
    r = r < 0 ? r : give_end(m, &w, err);
    return r < 0 ? r : give_signature(m, &w, err);
}
