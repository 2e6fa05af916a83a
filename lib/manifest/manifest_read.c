/* A manifest from its text. The records between the first line and the end are independent of
 * one another, so they are parsed in pieces, on all threads. */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "manifest/manifest_private.h"
#include "manifest/records.h"
#include "stream/pool.h"

enum { PIECE_SIZE = 128 * 1024 }; /* bytes: about 500 lines */

struct reading {
    const char *name; /* of the manifest, for messages */
    const char *text;
    size_t size;
    bool is_mapped;        /* the text is a file's: what has been read need not stay in memory */
    size_t body, end_line; /* offsets of the records and of the end line */
    struct piece *pieces;
    size_t piece_count;
    struct entry *entries;    /* each piece has room here for its own */
    atomic_size_t unfinished; /* pieces */
};

struct piece {
    struct pool_job job;
    struct reading *reading;
    const char *text;
    size_t size;
    struct records records;
    const char *first[3]; /* the line of the first entry, cache and index, for messages */
    int error;            /* 0 or negative errno */
    struct wp_error *why; /* owned; NULL: no memory for it, or no error */
};

static void reading_clear(struct reading *r)
{
    for (size_t i = 0; i < r->piece_count; i++) {
        r->pieces[i].records.m.entries = NULL; /* R's */
        manifest_clear(&r->pieces[i].records.m);
        free(r->pieces[i].why);
    }
    free(r->pieces);
    free(r->entries);
}

static struct json_line line_at(const struct reading *r, const char *text, struct wp_error *err)
{
    return (struct json_line){.name = r->name, .all = r->text, .text = text, .err = err};
}

/* Notes that LINE was the first of its kind in the piece. */
static void note_first(struct piece *p, const char *line)
{
    const struct manifest *m = &p->records.m;
    const size_t counts[3] = {m->entry_count, m->cache_count, m->index_count};

    for (int kind = 0; kind < 3; kind++)
        if (counts[kind] && !p->first[kind])
            p->first[kind] = line;
}

static int parse_piece(struct piece *p, struct wp_error *err)
{
    const char *end = p->text + p->size;

    for (const char *at = p->text; at < end;) {
        _cleanup_(json_line_clear) struct json_line l = line_at(p->reading, at, err);
        const char *newline = memchr(at, '\n', (size_t)(end - at)); /* the last byte is one */
        size_t size = (size_t)(newline - at) + 1;
        int r;

        if (size > MANIFEST_LINE_MAX)
            return json_line_wrong(&l, "longer than %d bytes", MANIFEST_LINE_MAX);
        r = records_add_line(&p->records, &l, size);
        if (r < 0)
            return r;
        note_first(p, at);
        at = newline + 1;
    }
    return 0;
}

/* The next look at what is dropped costs reading it again, and nothing else. */
static void drop(const struct reading *r, const char *text, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)text + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)text + size) / page * page;

    if (r->is_mapped && from < to)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

static void run_piece(struct pool_job *job)
{
    struct piece *p = (struct piece *)((char *)job - offsetof(struct piece, job));
    struct wp_error err = {0};

    p->error = parse_piece(p, &err);
    drop(p->reading, p->text, p->size);
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

/* At most so many entries stand in SIZE bytes of TEXT. */
static size_t most_entries(const char *text, size_t size)
{
    const char *end = text + size;
    size_t lines = 0, most = size / RECORDS_LEAST;

    for (; text < end && lines < most; lines++)
        text = (const char *)memchr(text, '\n', (size_t)(end - text)) + 1;
    return lines;
}

/* The entries go where they will stay, since there may be many. */
static int give_room(struct reading *r)
{
    size_t room = 0;

    for (size_t i = 0; i < r->piece_count; i++) {
        struct piece *p = &r->pieces[i];

        p->records.entry_room = most_entries(p->text, p->size);
        room += p->records.entry_room;
    }
    r->entries = reallocarray(NULL, room + 1, sizeof *r->entries);
    if (!r->entries)
        return -ENOMEM;
    room = 0;
    for (size_t i = 0; i < r->piece_count; i++) {
        r->pieces[i].records.m.entries = r->entries + room;
        r->pieces[i].records.m.is_read = true;
        room += r->pieces[i].records.entry_room;
    }
    return 0;
}

/* Cuts the records into pieces of whole lines. */
static int cut(struct reading *r)
{
    const char *at = r->text + r->body, *end = r->text + r->end_line;

    /* At most one more than the sizes give, since each but the last is at least that large. */
    r->pieces = calloc((size_t)(end - at) / PIECE_SIZE + 1, sizeof *r->pieces);
    if (!r->pieces)
        return -ENOMEM;
    while (at < end) {
        struct piece *p = &r->pieces[r->piece_count++];
        size_t left = (size_t)(end - at), size = left;

        if (left > PIECE_SIZE)
            size = (size_t)((const char *)memchr(at + PIECE_SIZE - 1, '\n', left - PIECE_SIZE + 1) -
                            at) +
                   1;
        *p = (struct piece){.job.run = run_piece, .reading = r, .text = at, .size = size};
        at += size;
    }
    atomic_init(&r->unfinished, r->piece_count);
    return give_room(r);
}

/* The digest of all before the end line is taken while the pool parses. */
static int parse_and_digest(struct reading *r, struct pool *pool, unsigned char digest[32])
{
    struct sha256 *sha = sha256_new();

    for (size_t i = 0; i < r->piece_count; i++) {
        if (pool)
            pool_submit(pool, &r->pieces[i].job);
        else
            run_piece(&r->pieces[i].job);
    }
    if (sha)
        sha256_add(sha, r->text, r->body);
    for (size_t i = 0; i < r->piece_count && sha; i++) {
        sha256_add(sha, r->pieces[i].text, r->pieces[i].size);
        drop(r, r->pieces[i].text, r->pieces[i].size);
    }
    if (sha)
        sha256_end(sha, digest);
    if (pool)
        pool_help_until(pool, all_finished, r);
    sha256_free(sha);
    return sha ? 0 : -ENOMEM;
}

/* The order was checked within each piece; this checks it from one to the next. */
static int check_seam(const struct piece *p, int kind, const char *before, const char *path,
                      struct wp_error *err)
{
    struct json_line l = line_at(p->reading, p->first[kind], err);

    if (strcmp(before, path) < 0)
        return 0;
    return json_line_wrong(&l, strcmp(before, path) == 0 ? "stands there twice" : "out of order");
}

static int check_seams(const struct reading *r, struct wp_error *err)
{
    const char *last[3] = {"", "", ""}; /* before every path */

    for (size_t i = 0; i < r->piece_count; i++) {
        const struct manifest *m = &r->pieces[i].records.m;
        const char *ends[3][2] = {{NULL}};

        if (m->entry_count) {
            ends[0][0] = m->entries[0].path;
            ends[0][1] = m->entries[m->entry_count - 1].path;
        }
        if (m->cache_count) {
            ends[1][0] = m->caches[0].cache;
            ends[1][1] = m->caches[m->cache_count - 1].cache;
        }
        if (m->index_count) {
            ends[2][0] = m->indexes[0].index;
            ends[2][1] = m->indexes[m->index_count - 1].index;
        }
        for (int kind = 0; kind < 3; kind++) {
            int result =
                ends[kind][0] ? check_seam(&r->pieces[i], kind, last[kind], ends[kind][0], err) : 0;

            if (result < 0)
                return result;
            if (ends[kind][1])
                last[kind] = ends[kind][1];
        }
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

static int join_pieces(struct manifest *m, struct reading *r, struct wp_error *err)
{
    size_t caches = 0, indexes = 0;
    struct entry *exact;

    for (size_t i = 0; i < r->piece_count; i++) {
        caches += r->pieces[i].records.m.cache_count;
        indexes += r->pieces[i].records.m.index_count;
    }
    m->caches = calloc(caches + 1, sizeof *m->caches);
    m->indexes = calloc(indexes + 1, sizeof *m->indexes);
    if (!m->caches || !m->indexes)
        return error_nomem(err);
    m->entries = take_ptr(r->entries);
    m->is_read = true;
    for (size_t i = 0; i < r->piece_count; i++) {
        struct manifest *p = &r->pieces[i].records.m;

        join_entries(m, p);
        move_records(m->caches, &m->cache_count, p->caches, &p->cache_count, sizeof *m->caches);
        move_records(m->indexes, &m->index_count, p->indexes, &p->index_count, sizeof *m->indexes);
        manifest_clear(p);
    }
    exact = reallocarray(m->entries, m->entry_count + 1, sizeof *exact);
    m->entries = exact ? exact : m->entries;
    return 0;
}

static int read_header(struct manifest *m, struct reading *r, struct wp_error *err)
{
    _cleanup_(json_line_clear) struct json_line l = line_at(r, r->text, err);
    /* Looking further would bring into memory what a hostile file has without end. */
    size_t n = r->size < MANIFEST_LINE_MAX ? r->size : MANIFEST_LINE_MAX;
    const char *newline = n ? memchr(r->text, '\n', n) : NULL;
    int result;

    if (!r->size)
        return error_set(err, 0, r->name, "the manifest is empty");
    if (!newline)
        return json_line_wrong(&l, "not the first line of a " MANIFEST_FORMAT);
    r->body = (size_t)(newline - r->text) + 1;
    result = json_line_parse(&l, r->body);
    return result < 0 ? result : records_read_header(m, &l);
}

/* Parses the last line of the first SIZE bytes, behind the header; its offset in *START. */
static int parse_last_line(const struct reading *r, size_t size, struct json_line *l, size_t *start,
                           struct wp_error *err)
{
    const char *before;

    if (r->text[size - 1] != '\n' || size <= r->body)
        return error_set(err, 0, r->name, "the manifest is cut: it has no end line");
    before = memrchr(r->text, '\n', size - 1); /* the header's, at least */
    *start = (size_t)(before - r->text) + 1;
    *l = line_at(r, r->text + *start, err);
    if (size - *start > MANIFEST_LINE_MAX)
        return json_line_wrong(l, "longer than %d bytes", MANIFEST_LINE_MAX);
    return json_line_parse(l, size - *start);
}

/* Finds the end line (signatures may follow it) and what it says. */
static int read_end(struct reading *r, uint64_t *entries, unsigned char digest[SHA256_SIZE],
                    struct wp_error *err)
{
    size_t size = r->size;

    for (;;) {
        _cleanup_(json_line_clear) struct json_line l = {0};
        int result = parse_last_line(r, size, &l, &r->end_line, err);
        const char *hex = NULL;
        bool end = false;

        if (result < 0)
            return result;
        if (json_is_object(json_object_get(l.object, "signature"))) {
            size = r->end_line;
            continue;
        }
        if (json_line_bool(&l, "end", JSON_OPTIONAL, &end) < 0)
            return -EINVAL;
        if (!end)
            return json_line_wrong(&l, "not an end line: the manifest is cut");
        result = json_line_uint(&l, "entries", INT64_MAX, JSON_REQUIRED, entries);
        result = result < 0 ? result : json_line_plain(&l, "sha256", JSON_REQUIRED, &hex);
        if (result < 0)
            return result;
        if (hex_decode(hex, digest, SHA256_SIZE) < 0)
            return json_line_wrong(&l, "\"sha256\" is not 64 hexadecimal digits");
        return 0;
    }
}

static int read_all(struct manifest *m, struct reading *r, struct pool *pool, struct wp_error *err)
{
    unsigned char told[SHA256_SIZE];
    uint64_t entries = 0;
    int result = read_header(m, r, err);

    result = result < 0 ? result : read_end(r, &entries, told, err);
    if (result < 0)
        return result;
    if (cut(r) < 0)
        return error_nomem(err);
    if (parse_and_digest(r, pool, m->digest) < 0)
        return error_nomem(err);
    if (memcmp(told, m->digest, SHA256_SIZE) != 0)
        return error_set(err, 0, r->name, "the manifest is damaged: its digest differs");
    for (size_t i = 0; i < r->piece_count; i++)
        if (r->pieces[i].error < 0) {
            if (err && !err->code && r->pieces[i].why)
                *err = *r->pieces[i].why;
            return r->pieces[i].why ? r->pieces[i].error : error_nomem(err);
        }
    result = check_seams(r, err);
    result = result < 0 ? result : join_pieces(m, r, err);
    if (result == 0 && entries != m->entry_count)
        return error_set(err, 0, r->name, "the manifest has %zu entries, but says %llu",
                         m->entry_count, (unsigned long long)entries);
    return result;
}

static int read_text(struct manifest *out, struct reading *r, struct pool *pool,
                     struct wp_error *err)
{
    int result;

    *out = (struct manifest){0};
    result = read_all(out, r, pool, err);
    if (result < 0)
        manifest_clear(out);
    return result;
}

int manifest_read(struct manifest *out, const void *text, size_t size, const char *name,
                  struct pool *pool, struct wp_error *err)
{
    _cleanup_(reading_clear) struct reading r = {.name = name, .text = text, .size = size};

    return read_text(out, &r, pool, err);
}

int manifest_read_file(struct manifest *out, int fd, size_t size, const char *name,
                       struct pool *pool, struct wp_error *err)
{
    _cleanup_(reading_clear) struct reading r = {.name = name, .size = size, .is_mapped = true};
    void *text = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    int result;

    if (text == MAP_FAILED)
        return error_set(err, errno, name, "cannot be read");
    r.text = text;
    result = read_text(out, &r, pool, err);
    if (text)
        munmap(text, size);
    return result;
}

bool manifest_may_grow(const struct buf *text, size_t n)
{
    size_t seen = n < MANIFEST_LINE_MAX ? text->size : n;

    if (seen > MANIFEST_LINE_MAX)
        seen = MANIFEST_LINE_MAX;
    if (text->size && text->data[0] != '{')
        return false;
    return text->size <= MANIFEST_LINE_MAX ||
           memrchr(text->data + text->size - seen, '\n', seen) != NULL;
}
