/* Writes and reads state.jsonl: what was done with a manifest where it was unpacked. */

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "manifest/json_line.h"
#include "manifest/manifest.h"
#include "manifest/manifest_private.h"

int manifest_state_write(const struct manifest_state *s, struct buf *out)
{
    struct json_writer w = {.out = out};
    size_t start = out->size;

    if (!s->action || !s->layout || !s->root_count)
        return -EINVAL; /* the reader would refuse it */
    json_write_object(&w, NULL);
    json_write_uint(&w, "version", STATE_VERSION);
    json_write_text(&w, "action", s->action);
    json_write_one_or_many(&w, "root", "roots", s->roots, s->root_count);
    json_write_uint(&w, "strip", s->strip);
    json_write_text(&w, "layout", s->layout);
    json_write_text(&w, "cache_root", s->cache_root);
    json_write_text(&w, "options", s->options);
    json_write_text(&w, "archive", s->archive);
    json_write_end_line(&w);
    if (w.error)
        out->size = start;
    return w.error;
}

static int read_line(struct manifest_state *s, struct json_line *l)
{
    uint64_t strip = 0;

    json_line_version(l, STATE_VERSION);
    json_line_text(l, "action", JSON_REQUIRED, &s->action);
    json_line_texts(l, "root", "roots", &s->roots, &s->root_count);
    json_line_uint(l, "strip", UINT_MAX, JSON_OPTIONAL, &strip);
    json_line_text(l, "layout", JSON_REQUIRED, &s->layout);
    json_line_text(l, "cache_root", JSON_OPTIONAL, &s->cache_root);
    json_line_text(l, "options", JSON_OPTIONAL, &s->options);
    json_line_text(l, "archive", JSON_OPTIONAL, &s->archive);
    s->strip = (unsigned)strip;
    return l->status;
}

int manifest_state_read(struct manifest_state *out, const void *text, size_t size, const char *name,
                        struct wp_error *err)
{
    _cleanup_(json_line_clear) struct json_line l = {.name = name, .all = text, .err = err};
    const char *all = text, *before;
    int r;

    *out = (struct manifest_state){0};
    if (!size || all[size - 1] != '\n')
        return error_set(err, 0, name, size ? "the last line is truncated" : "the state is empty");
    before = memrchr(all, '\n', size - 1);
    l.text = before ? before + 1 : all;
    size -= (size_t)(l.text - all);
    if (size > MANIFEST_LINE_MAX)
        return json_line_wrong(&l, "longer than %d bytes", MANIFEST_LINE_MAX);
    r = json_line_parse(&l, size);
    r = r < 0 ? r : read_line(out, &l);
    if (r < 0)
        manifest_state_clear(out);
    return r;
}
