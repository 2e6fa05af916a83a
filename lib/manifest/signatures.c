/* Reads the signatures behind the end line of a manifest. */

#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "manifest_private.h"
#include "signature.h"

/* The hex digits of member NAME, or false. */
static bool take_hex(json_t *o, const char *name, unsigned char *out, size_t n)
{
    const char *hex = json_string_value(json_object_get(o, name));

    return hex && hex_decode(hex, out, n) == 0;
}

/* Of another algorithm, or with other members than are known: it says nothing. */
static void parse(struct manifest_signature *s, json_t *o)
{
    const char *algorithm = json_string_value(json_object_get(o, "algorithm"));

    s->is_known = algorithm && strcmp(algorithm, "ed25519") == 0 &&
                  take_hex(o, "key", s->key, sizeof s->key) &&
                  take_hex(o, "value", s->value, sizeof s->value);
}

/* The line of SIZE bytes at offset AT. */
static int add(struct manifest *m, struct reading *r, size_t at, size_t size, struct sha256 *sha,
               struct wp_error *err)
{
    _cleanup_(json_line_clear) struct json_line l = reading_line(r, r->text.data + at, 0, err);
    struct manifest_signature *s;
    int e = json_line_parse(&l, size);

    if (e < 0)
        return e;
    if (array_grow(m->signatures, m->signature_count) < 0)
        return error_nomem(err);
    s = &m->signatures[m->signature_count++];
    *s = (struct manifest_signature){0};
    sha256_peek(sha, s->before);
    parse(s, json_object_get(l.object, "signature"));
    return 0;
}

int signatures_read(struct manifest *m, struct reading *r, struct sha256 *sha, struct wp_error *err)
{
    size_t at = r->end_line, lines = 0;

    while (at < r->text.size && m->signature_count < SIGNATURES_MOST) {
        size_t n = r->text.size - at < MANIFEST_LINE_MAX ? r->text.size - at : MANIFEST_LINE_MAX;
        const char *newline;
        int e = read_text_load(&r->text, at, n);

        if (e < 0)
            return reading_cannot_load(r, e, err);
        newline = memchr(r->text.data + at, '\n', n);
        if (!newline) /* the file has changed since */
            return error_set(err, 0, r->name, "the manifest has changed while it was read");
        n = (size_t)(newline - (r->text.data + at)) + 1;
        e = lines++ ? add(m, r, at, n, sha, err) : 0;
        if (e < 0)
            return e;
        sha256_add(sha, r->text.data + at, n);
        at += n;
    }
    return 0;
}
