/* Parses the records of a manifest. They are independent of one another, so they are parsed in
 * pieces, on all threads. What has been parsed and digested is let go, so that text and records
 * together take hardly more memory than the larger of them. */

#include "manifest_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "stream/pool.h"

enum {
    PIECE_SIZE = 128 * 1024, /* bytes: about 500 lines */
    MOST_AHEAD = 16,         /* pieces of a file held before they are parsed, for each thread */
};

struct piece {
    struct pool_job job;
    struct reading *reading;
    size_t from, size; /* in the text */
    size_t before;     /* lines before it */
    struct records records;
    size_t first[3];      /* lines before that of the first entry, cache and index, for messages */
    bool has[3];          /* is there one? */
    atomic_int users;     /* who is not done with the text: parsing, digesting */
    int error;            /* 0 or negative errno */
    struct wp_error *why; /* owned; NULL: no memory for it, or no error */
};

void reading_clear(struct reading *r)
{
    for (size_t i = 0; i < r->piece_count; i++) {
        r->pieces[i].records.m.entries = NULL; /* R's */
        manifest_clear(&r->pieces[i].records.m);
        free(r->pieces[i].why);
    }
    free(r->pieces);
    free(r->entries);
    read_text_close(&r->text);
}

struct json_line reading_line(const struct reading *r, const char *text, size_t before,
                              struct wp_error *err)
{
    return (struct json_line){
        .name = r->name, .all = text, .before = before, .text = text, .err = err};
}

/* Records of three kinds have an order of their own: entries, caches and indexes. */
static size_t count_of(const struct manifest *m, int kind)
{
    return kind == 0 ? m->entry_count : kind == 1 ? m->cache_count : m->index_count;
}

static const char *path_of(const struct manifest *m, int kind, size_t i)
{
    return kind == 0 ? m->entries[i].path : kind == 1 ? m->caches[i].cache : m->indexes[i].index;
}

/* Notes that the line with BEFORE others before it was the first of its kind in the piece. */
static void note_first(struct piece *p, size_t before)
{
    for (int kind = 0; kind < 3; kind++)
        if (count_of(&p->records.m, kind) && !p->has[kind]) {
            p->first[kind] = before;
            p->has[kind] = true;
        }
}

static int parse_piece(struct piece *p, struct wp_error *err)
{
    const char *at = p->reading->text.data + p->from, *end = at + p->size;

    for (size_t before = p->before; at < end; before++) {
        _cleanup_(json_line_clear) struct json_line l = reading_line(p->reading, at, before, err);
        const char *newline = memchr(at, '\n', (size_t)(end - at)); /* the last byte is one */
        size_t size = (size_t)(newline - at) + 1;
        int r;

        if (size > MANIFEST_LINE_MAX)
            return json_line_wrong(&l, "longer than %d bytes", MANIFEST_LINE_MAX);
        r = records_add_line(&p->records, &l, size);
        if (r < 0)
            return r;
        note_first(p, before);
        at = newline + 1;
    }
    return 0;
}

static void let_go(struct piece *p)
{
    if (atomic_fetch_sub(&p->users, 1) == 1)
        read_text_drop(&p->reading->text, p->from, p->size);
}

static void run_piece(struct pool_job *job)
{
    struct piece *p = (struct piece *)((char *)job - offsetof(struct piece, job));
    struct wp_error err = {0};

    p->error = parse_piece(p, &err);
    let_go(p);
    if (p->error < 0) {
        p->why = malloc(sizeof *p->why);
        if (p->why)
            *p->why = err;
    }
    atomic_fetch_sub(&p->reading->unfinished, 1);
}

static bool all_finished(void *arg)
{
    return atomic_load(&((struct reading *)arg)->unfinished) == 0;
}

static bool may_go_on(void *arg)
{
    struct reading *r = arg;

    return atomic_load(&r->unfinished) < r->most_ahead;
}

int reading_cannot_load(const struct reading *r, int error, struct wp_error *err)
{
    return error == -ESTALE ? error_set(err, 0, r->name, "changed while it was read")
                            : error_set(err, -error, r->name, "cannot be read");
}

/* The line that goes beyond the piece at AT has no end near enough. Loading all of it would bring
 * into memory whatever a hostile file has. */
static int too_long(const struct reading *r, const char *at, struct wp_error *err)
{
    struct json_line l = reading_line(r, at, r->lines + reading_count_lines(at, PIECE_SIZE), err);

    return json_line_wrong(&l, "longer than %d bytes", MANIFEST_LINE_MAX);
}

/* Loads what of the records begins at FROM up to the end of a line; its size in *SIZE. */
static int load_piece(struct reading *r, size_t from, size_t *size, struct wp_error *err)
{
    const char *at = r->text.data + from, *newline = NULL;
    size_t left = r->end_line - from, seen = 0, have = 0;

    while (!newline) {
        size_t more = have ? have : PIECE_SIZE;
        int e;

        if (have > PIECE_SIZE + MANIFEST_LINE_MAX)
            return too_long(r, at, err);
        more = more < left - have ? more : left - have;
        e = more ? read_text_load(&r->text, from + have, more) : -ESTALE;
        if (e < 0)
            return reading_cannot_load(r, e, err);
        have += more;
        seen = seen ? seen : have - 1; /* at least a piece */
        newline = memchr(at + seen, '\n', have - seen);
        seen = have;
    }
    *size = (size_t)(newline - at) + 1;
    return 0;
}

size_t reading_count_lines(const char *text, size_t size)
{
    const char *end = text + size;
    size_t lines = 0;

    for (; (text = memchr(text, '\n', (size_t)(end - text))); text++)
        lines++;
    return lines;
}

/* The next piece, which begins at FROM. The entries go where they will stay, since there may be
 * many. */
static int add_piece(struct reading *r, size_t from, struct wp_error *err)
{
    struct piece *p = &r->pieces[r->piece_count];
    size_t size = 0, lines, most;
    int e = load_piece(r, from, &size, err);

    if (e < 0)
        return e;
    lines = reading_count_lines(r->text.data + from, size);
    most = size / RECORDS_LEAST;
    *p = (struct piece){
        .job.run = run_piece, .reading = r, .from = from, .size = size, .before = r->lines};
    atomic_init(&p->users, 2);
    p->records.m.entries = r->entries + r->entry_room;
    p->records.m.is_read = true;
    p->records.entry_room = lines < most ? lines : most;
    r->entry_room += p->records.entry_room;
    r->lines += lines;
    r->piece_count++;
    atomic_fetch_add(&r->unfinished, 1);
    return 0;
}

static int give_room(struct reading *r)
{
    size_t size = r->end_line - r->body;

    /* At most one more than the sizes give, since each but the last is at least that large. */
    r->pieces = calloc(size / PIECE_SIZE + 1, sizeof *r->pieces);
    /* Room that no piece takes is never touched, and given back. */
    r->entries = reallocarray(NULL, size / RECORDS_LEAST + 1, sizeof *r->entries);
    r->lines = 1; /* the header */
    return r->pieces && r->entries ? 0 : -ENOMEM;
}

/* Cuts the records into pieces of whole lines, for the pool to parse; meanwhile their digest is
 * taken. */
static int parse_and_digest(struct reading *r, struct pool *pool, struct sha256 *sha,
                            struct wp_error *err)
{
    int e = 0;

    r->most_ahead = r->text.fd < 0 ? SIZE_MAX : MOST_AHEAD * (pool ? pool_threads(pool) : 1);
    for (size_t at = r->body; at < r->end_line && e == 0;) {
        struct piece *p = &r->pieces[r->piece_count];

        e = add_piece(r, at, err);
        if (e < 0)
            break;
        if (pool)
            pool_submit(pool, &p->job);
        else
            run_piece(&p->job);
        sha256_add(sha, r->text.data + p->from, p->size);
        let_go(p);
        at += p->size;
        if (pool && !may_go_on(r))
            pool_help_until(pool, may_go_on, r);
    }
    if (pool)
        pool_help_until(pool, all_finished, r);
    return e;
}

/* The order was checked within each piece; this checks it from one to the next. */
static int check_seam(const struct piece *p, int kind, const char *before, const char *path,
                      struct wp_error *err)
{
    struct json_line l = reading_line(p->reading, p->reading->text.data, p->first[kind], err);

    if (strcmp(before, path) < 0)
        return 0;
    return json_line_wrong(&l, strcmp(before, path) == 0 ? "stands there twice" : "out of order");
}

static int check_seams(const struct reading *r, struct wp_error *err)
{
    const char *last[3] = {"", "", ""}; /* before every path */

    for (size_t i = 0; i < r->piece_count; i++) {
        const struct manifest *m = &r->pieces[i].records.m;

        for (int kind = 0; kind < 3; kind++) {
            const size_t n = count_of(m, kind);
            int result =
                n ? check_seam(&r->pieces[i], kind, last[kind], path_of(m, kind, 0), err) : 0;

            if (result < 0)
                return result;
            last[kind] = n ? path_of(m, kind, n - 1) : last[kind];
        }
    }
    return 0;
}

/* Are the sets numbered from 0, and has each index one that is there? */
static int check_sets(const struct reading *r, struct wp_error *err)
{
    size_t sets = 0;

    for (size_t i = 0; i < r->piece_count; i++) {
        const struct records *records = &r->pieces[i].records;

        if (records->m.set_count && records->first_set != sets)
            return error_set(err, 0, r->name, "the manifest has no set %zu before set %u", sets,
                             (unsigned)records->first_set);
        sets += records->m.set_count;
    }
    for (size_t i = 0; i < r->piece_count; i++)
        for (size_t k = 0; k < r->pieces[i].records.m.index_count; k++) {
            const struct manifest_index *index = &r->pieces[i].records.m.indexes[k];

            if (index->has_depends && index->depends >= sets)
                return error_set(err, 0, r->name, "the manifest lacks set %u, which an index names",
                                 (unsigned)index->depends);
        }
    return 0;
}

/* Moves COUNT records from a piece's list behind those that are there. */
static void move_records(void *to, size_t *have, void *from, size_t *count, size_t size)
{
    if (*count)
        memcpy((char *)to + *have * size, from, *count * size);
    *have += *count;
    *count = 0;
}

/* A piece's entries close up to those before them, where its other lines left a gap. */
static void join_entries(struct manifest *m, struct manifest *p)
{
    struct entry *to = m->entries + m->entry_count;

    if (to != p->entries)
        memmove(to, p->entries, p->entry_count * sizeof *to);
    m->entry_count += p->entry_count;
    p->entries = NULL;
    p->entry_count = 0;
    texts_join(&m->texts, &p->texts);
}

static int join(struct manifest *m, struct reading *r, struct wp_error *err)
{
    size_t caches = 0, sets = 0, indexes = 0;
    struct entry *exact;

    for (size_t i = 0; i < r->piece_count; i++) {
        caches += r->pieces[i].records.m.cache_count;
        sets += r->pieces[i].records.m.set_count;
        indexes += r->pieces[i].records.m.index_count;
    }
    m->caches = calloc(caches + 1, sizeof *m->caches);
    m->indexes = calloc(indexes + 1, sizeof *m->indexes);
    m->sets = calloc(sets + 1, sizeof *m->sets);
    if (!m->caches || !m->sets || !m->indexes)
        return error_nomem(err);
    m->entries = take_ptr(r->entries);
    m->is_read = true;
    for (size_t i = 0; i < r->piece_count; i++) {
        struct manifest *p = &r->pieces[i].records.m;

        join_entries(m, p);
        move_records(m->caches, &m->cache_count, p->caches, &p->cache_count, sizeof *m->caches);
        move_records(m->sets, &m->set_count, p->sets, &p->set_count, sizeof *m->sets);
        move_records(m->indexes, &m->index_count, p->indexes, &p->index_count, sizeof *m->indexes);
        manifest_clear(p);
    }
    exact = reallocarray(m->entries, m->entry_count + 1, sizeof *exact);
    m->entries = exact ? exact : m->entries;
    return 0;
}

int pieces_read(struct manifest *m, struct reading *r, struct pool *pool, struct wp_error *err)
{
    struct sha256 *sha = give_room(r) < 0 ? NULL : sha256_new();
    int e = sha ? read_text_load(&r->text, 0, r->body) : error_nomem(err);

    if (e == 0) {
        sha256_add(sha, r->text.data, r->body);
        e = parse_and_digest(r, pool, sha, err);
    } else if (sha) {
        reading_cannot_load(r, e, err);
    }
    if (e == 0) {
        sha256_peek(sha, m->digest);
        e = signatures_read(m, r, sha, err);
    }
    sha256_free(sha);
    return e;
}

int pieces_join(struct manifest *m, struct reading *r, struct wp_error *err)
{
    int e;

    for (size_t i = 0; i < r->piece_count; i++)
        if (r->pieces[i].error < 0) {
            if (err && !err->code && r->pieces[i].why)
                *err = *r->pieces[i].why;
            return r->pieces[i].why ? r->pieces[i].error : error_nomem(err);
        }
    e = check_seams(r, err);
    e = e < 0 ? e : check_sets(r, err);
    return e < 0 ? e : join(m, r, err);
}
