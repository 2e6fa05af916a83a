/* Keeps indexes as they were before their keys were made another CPU's, in state.jsonl. */

#include "manifest/originals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "manifest/json_line.h"
#include "manifest/manifest_private.h"

#define BEGINNING "{\"retargeted"

/* Does the line at AT, of N bytes, keep an index, as originals_write begins it? */
static bool is_one(const char *at, size_t n)
{
    return n > strlen(BEGINNING) && memcmp(at, BEGINNING, strlen(BEGINNING)) == 0;
}

/* The line at AT, with its newline, of at most LEFT bytes. */
static size_t line_size(const char *at, size_t left)
{
    const char *end = memchr(at, '\n', left);

    return end ? (size_t)(end - at) + 1 : left;
}

int originals_write(struct buf *out, const char *index, const struct buf *text)
{
    struct json_writer w = {.out = out};
    const size_t start = out->size;
    _cleanup_free_ char *hex = NULL;

    if (text->size > MANIFEST_LINE_MAX / 2)
        return -EFBIG;
    hex = malloc(2 * text->size + 1);
    if (!hex)
        return -ENOMEM;
    hex_encode(text->data, text->size, hex);
    json_write_object(&w, NULL);
    json_write_text(&w, "retargeted", index);
    json_write_plain(&w, "original", hex);
    json_write_end_line(&w);
    if (w.error == 0 && out->size - start > MANIFEST_LINE_MAX)
        w.error = -EFBIG;
    if (w.error)
        out->size = start;
    return w.error;
}

static int read_one(struct manifest_original *o, struct json_line *l)
{
    const char *hex = NULL;
    size_t n;

    json_line_text(l, "retargeted", JSON_REQUIRED, &o->index);
    if (json_line_plain(l, "original", JSON_REQUIRED, &hex) < 0)
        return l->status;
    n = strlen(hex) / 2;
    if (buf_reserve(&o->text, n + 1) < 0)
        return json_line_nomem(l);
    if (hex_decode(hex, o->text.data, n) < 0)
        return json_line_wrong(l, "\"original\" is not hexadecimal");
    o->text.size = n;
    return 0;
}

int originals_read(struct manifest_originals *out, const void *text, size_t size, const char *name,
                   struct wp_error *err)
{
    const char *all = text;
    int r = 0;

    *out = (struct manifest_originals){0};
    for (size_t at = 0, n; at < size && r == 0; at += n) {
        _cleanup_(json_line_clear) struct json_line l = {
            .name = name, .all = all, .text = all + at, .err = err};

        n = line_size(all + at, size - at);
        if (!is_one(all + at, n))
            continue;
        if (n > MANIFEST_LINE_MAX)
            return json_line_wrong(&l, "longer than %d bytes", MANIFEST_LINE_MAX);
        if (array_add(out->list, out->count, (struct manifest_original){0}) < 0)
            return error_nomem(err);
        r = json_line_parse(&l, n);
        if (r == 0)
            r = read_one(&out->list[out->count - 1], &l);
    }
    return r;
}

const struct manifest_original *originals_find(const struct manifest_originals *o,
                                               const char *index)
{
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->list[i].index, index) == 0)
            return &o->list[i];
    return NULL;
}

int originals_leave_out(struct buf *out, const void *text, size_t size)
{
    const char *all = text;

    for (size_t at = 0, n; at < size; at += n) {
        n = line_size(all + at, size - at);
        if (!is_one(all + at, n) && buf_add(out, all + at, n) < 0)
            return -ENOMEM;
    }
    return 0;
}

void originals_clear(struct manifest_originals *o)
{
    for (size_t i = 0; i < o->count; i++) {
        free(o->list[i].index);
        buf_free(&o->list[i].text);
    }
    free(o->list);
    *o = (struct manifest_originals){0};
}
