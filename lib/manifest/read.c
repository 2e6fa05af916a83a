/* Reads a manifest from its text: the first line and the last ones. pieces.c reads the rest. */

#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "manifest_private.h"

enum { RUN = 128 * 1024 }; /* bytes that are counted at once */

static int read_header(struct manifest *m, struct reading *r, struct wp_error *err)
{
    _cleanup_(json_line_clear) struct json_line l = reading_line(r, r->text.data, 0, err);
    /* Looking further would bring into memory what a hostile file has without end. */
    size_t n = r->text.size < MANIFEST_LINE_MAX ? r->text.size : MANIFEST_LINE_MAX;
    const char *newline;
    int result = read_text_load(&r->text, 0, n);

    if (result < 0)
        return reading_cannot_load(r, result, err);
    if (!n)
        return error_set(err, 0, r->name, "the manifest is empty");
    newline = memchr(l.text, '\n', n);
    if (!newline)
        return json_line_wrong(&l, "not the first line of a " MANIFEST_FORMAT);
    r->body = (size_t)(newline - l.text) + 1;
    result = json_line_parse(&l, r->body);
    return result < 0 ? result : records_read_header(m, &l);
}

/* How many lines stand in the first SIZE bytes? */
static int count_before(struct reading *r, size_t size, size_t *lines)
{
    *lines = 0;
    for (size_t at = 0, n; at < size; at += n) {
        int e;

        n = size - at < RUN ? size - at : RUN;
        e = read_text_load(&r->text, at, n);
        if (e < 0)
            return e;
        *lines += reading_count_lines(r->text.data + at, n);
        if (r->text.fd >= 0)
            read_text_drop(&r->text, at, n);
    }
    return 0;
}

/* Loads what begins at FROM up to what has been loaded of the end. Each byte once: of a hostile
 * file every line may be a signature. */
static int load_tail(struct reading *r, size_t from)
{
    int e = from < r->tail ? read_text_load(&r->text, from, r->tail - from) : 0;

    if (e == 0 && from < r->tail)
        r->tail = from;
    return e;
}

/* Parses the last line of the first SIZE bytes, behind the header; its offset in *START. */
static int parse_last_line(struct reading *r, size_t size, struct json_line *l, size_t *start,
                           struct wp_error *err)
{
    size_t n = size < MANIFEST_LINE_MAX + 1 ? size : MANIFEST_LINE_MAX + 1;
    const char *tail = r->text.data + size - n, *before;
    int e = load_tail(r, size - n);

    if (e < 0)
        return reading_cannot_load(r, e, err);
    if (tail[n - 1] != '\n' || size <= r->body)
        return error_set(err, 0, r->name, "the manifest is truncated: it has no end line");
    before = n > 1 ? memrchr(tail, '\n', n - 1) : NULL;
    *start = before ? (size_t)(before - r->text.data) + 1 : 0;
    *l = reading_line(r, r->text.data + *start, 0, err);
    if (!before)
        return error_set(err, 0, r->name, "the last line is longer than %d bytes",
                         MANIFEST_LINE_MAX);
    if (r->counts)
        e = count_before(r, *start, &l->before);
    return e < 0 ? reading_cannot_load(r, e, err) : json_line_parse(l, size - *start);
}

/* Finds the end line of the first *SIZE bytes and what it says. Signatures may follow it: *SIZE is
 * then where they begin. */
static int find_end(struct reading *r, size_t *size, uint64_t *entries,
                    unsigned char digest[SHA256_SIZE], struct wp_error *err)
{
    for (;;) {
        _cleanup_(json_line_clear) struct json_line l = {0};
        int result = parse_last_line(r, *size, &l, &r->end_line, err);
        const char *hex = NULL;
        bool end = false;

        if (result < 0)
            return result;
        if (json_is_object(json_object_get(l.object, "signature"))) {
            if (r->text.fd >= 0)
                read_text_drop(&r->text, r->end_line, *size - r->end_line);
            *size = r->end_line;
            continue;
        }
        json_line_bool(&l, "end", JSON_OPTIONAL, &end);
        if (!end)
            json_line_wrong(&l, "not an end line: the manifest is truncated");
        json_line_uint(&l, "entries", INT64_MAX, JSON_REQUIRED, entries);
        if (json_line_plain(&l, "sha256", JSON_REQUIRED, &hex) > 0 &&
            hex_decode(hex, digest, SHA256_SIZE) < 0)
            json_line_wrong(&l, "\"sha256\" is not 64 hexadecimal digits");
        return l.status;
    }
}

/* A line's number is counted only for a message, and only for the line that is wrong. */
static int read_end(struct reading *r, uint64_t *entries, unsigned char digest[SHA256_SIZE],
                    struct wp_error *err)
{
    struct wp_error uncounted = {0};
    size_t size = r->text.size;
    int e;

    r->tail = size;
    e = find_end(r, &size, entries, digest, &uncounted);
    if (e == 0)
        return 0;
    r->counts = true;
    return find_end(r, &size, entries, digest, err);
}

static int read_all(struct manifest *m, struct reading *r, struct pool *pool, struct wp_error *err)
{
    unsigned char told[SHA256_SIZE];
    uint64_t entries = 0;
    int result = read_header(m, r, err);

    result = result < 0 ? result : read_end(r, &entries, told, err);
    result = result < 0 ? result : pieces_read(m, r, pool, err);
    if (result < 0)
        return result;
    if (memcmp(told, m->digest, SHA256_SIZE) != 0)
        return error_set(err, 0, r->name, "the manifest is damaged: its digest differs");
    result = pieces_join(m, r, err);
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
    _cleanup_(reading_clear) struct reading r = {.name = name,
                                                 .text = {.data = text, .size = size, .fd = -1}};

    return read_text(out, &r, pool, err);
}

int manifest_read_once(struct manifest *out, struct buf *text, const char *name, struct pool *pool,
                       struct wp_error *err)
{
    _cleanup_(reading_clear) struct reading r = {
        .name = name,
        .text = {.data = (char *)text->data, .size = text->size, .fd = -1, .given = true}};
    int result = read_text(out, &r, pool, err);

    buf_free(text);
    return result;
}

int manifest_read_file(struct manifest *out, int fd, size_t size, const char *name,
                       struct pool *pool, struct wp_error *err)
{
    _cleanup_(reading_clear) struct reading r = {.name = name, .text = {.fd = -1}};

    if (read_text_open(&r.text, fd, size) < 0)
        return error_nomem(err);
    return read_text(out, &r, pool, err);
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
