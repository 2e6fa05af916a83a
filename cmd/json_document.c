/* Prints the --json documents, member by member. */

#include "json_document.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"
#include "message.h"
#include "text.h"

/* One document a run. */
static bool any_member, any_item;

/* How many digits jansson must print so that X is read back. */
static size_t real_digits(double x)
{
    size_t digits = 0, needed = 15;
    char text[WP_NUMBER_SIZE];

    wp_float_text(x, text);
    for (const char *p = text + strspn(text, "-0."); *p && *p != 'e'; p++) {
        digits += *p != '.';
        if (*p >= '1' && *p <= '9' && digits > needed)
            needed = digits;
    }
    return needed;
}

static void print(json_t *value)
{
    json_t *stamp = json_object_get(value, "stamp");
    json_t *real = json_object_get(stamp, "mtime");
    size_t digits = json_is_real(real) ? real_digits(json_real_value(real)) : 17;

    if (!value) {
        message_no_memory();
        return;
    }
    if (json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits)) != 0 &&
        !ferror(stdout))
        message_no_memory();
    json_decref(value);
}

static void key_print(const char *key)
{
    printf("%s\"%s\": ", any_member ? ", " : "", key);
    any_member = true;
}

void document_begin(void)
{
    any_member = false;
    putchar('{');
}

void document_member(const char *key, json_t *value)
{
    key_print(key);
    print(value);
}

void document_name(const char *key, const char *value)
{
    json_t *o = json_object();

    document_set_name(o, key, value);
    key_print(json_object_iter_key(json_object_iter(o)));
    print(json_incref(json_object_iter_value(json_object_iter(o))));
    json_decref(o);
}

void document_array(const char *key)
{
    key_print(key);
    any_item = false;
    putchar('[');
}

/* One line for each item: the document can be read, and searched with grep. */
void document_item(json_t *value)
{
    fputs(any_item ? ",\n " : "\n ", stdout);
    any_item = true;
    print(value);
}

void document_array_end(void)
{
    fputs(any_item ? "\n]" : "]", stdout);
}

void document_end(void)
{
    fputs("}\n", stdout);
}

static json_t *base64(const char *text)
{
    size_t n = strlen(text);
    unsigned char *encoded = n < INT32_MAX ? malloc((n + 2) / 3 * 4 + 1) : NULL;
    json_t *value = NULL;

    if (encoded) {
        EVP_EncodeBlock(encoded, (const unsigned char *)text, (int)n);
        value = json_string((const char *)encoded);
    }
    free(encoded);
    return value;
}

void document_set_name(json_t *object, const char *key, const char *value)
{
    json_t *text = value ? json_string(value) : json_null();
    char base64_key[64];

    if (text || !value) {
        json_object_set_new(object, key, text);
        return;
    }
    snprintf(base64_key, sizeof base64_key, "%s_base64", key);
    if (json_object_set_new(object, base64_key, base64(value)) != 0)
        message_no_memory();
}

void document_set_cpu(json_t *object, const char *triple, const char *cpu, const char *features)
{
    document_set_name(object, "triple", triple);
    document_set_name(object, "cpu", cpu);
    document_set_name(object, "features", features);
}

json_t *document_count(uint64_t n)
{
    /* Larger ones come from hostile input only. */
    return n <= INT64_MAX ? json_integer((json_int_t)n) : json_real((double)n);
}

static json_t *stamp_object(const struct wp_index_status *s)
{
    const struct wp_stamp *stamp = &s->stamp;
    char hex[TEXT_SHA256];
    json_t *o;

    if (!s->has_stamp)
        return json_null();
    o = json_object();
    json_object_set_new(o, "kind", json_string(wp_stamp_kind_name(stamp->kind)));
    if (stamp->kind == WP_STAMP_MTIME || stamp->kind == WP_STAMP_SECONDS) {
        bool whole = stamp->kind == WP_STAMP_SECONDS && fabs(stamp->mtime) < 0x1p53;
        json_t *mtime = !isfinite(stamp->mtime) ? json_null()
                        : whole                 ? json_integer((json_int_t)stamp->mtime)
                                                : json_real(stamp->mtime);

        json_object_set_new(o, "mtime", mtime);
        json_object_set_new(o, "size", document_count(stamp->size));
    } else if (stamp->kind == WP_STAMP_CONTENT) {
        text_sha256(stamp->sha256, hex);
        json_object_set_new(o, "sha256", json_string(hex));
    }
    return o;
}

/* What a key has in the place of a digest may be any text. */
static json_t *digest(const char *text)
{
    json_t *value = text ? json_string(text) : NULL;

    return value ? value : json_null();
}

static void set_where_given(json_t *object, const char *key, const char *value)
{
    if (value)
        document_set_name(object, key, value);
}

static json_t *overload_object(const struct wp_overload *o)
{
    json_t *object = json_object(), *code = json_array();

    document_set_name(object, "signature", o->signature);
    document_set_cpu(object, o->triple, o->cpu, o->features);
    set_where_given(object, "target", o->target);
    set_where_given(object, "version", o->version);
    set_where_given(object, "launch", o->launch);
    set_where_given(object, "other", o->other);
    set_where_given(object, "module", o->module);
    json_array_append_new(code, digest(o->code));
    json_array_append_new(code, digest(o->cells));
    json_object_set_new(object, "code", code);
    json_object_set_new(object, "closure", json_boolean(o->closure));
    document_set_name(object, "data", o->data);
    json_object_set_new(object, "size", o->has_size ? document_count(o->size) : json_null());
    return object;
}

static json_t *overload_array(const struct wp_overload *list, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, overload_object(&list[i]));
    return array;
}

json_t *document_difference(const struct wp_difference *d)
{
    json_t *o = json_object();

    json_object_set_new(o, "change", json_string(wp_change_name(d->change)));
    document_set_name(o, "path", d->path);
    json_object_set_new(o, "cache", json_boolean(d->is_cache));
    if (d->gained)
        json_object_set_new(o, "gained", overload_array(d->gained, d->gained_count));
    if (d->lost)
        json_object_set_new(o, "lost", overload_array(d->lost, d->lost_count));
    return o;
}

/* JUDGED: with status and reason; else only why it cannot be read. KEYS: with its overloads. */
static json_t *index_object(const struct wp_index_status *s, bool judged, bool keys)
{
    json_t *o = json_object();

    document_set_name(o, "index", s->index);
    document_set_name(o, "source", s->source);
    if (judged)
        json_object_set_new(o, "status", json_string(wp_status_name(s->status)));
    document_set_name(o, judged ? "reason" : "error", s->reason);
    if (judged)
        json_object_set_new(o, "locator", json_boolean(s->locatable));
    json_object_set_new(o, "stamp", stamp_object(s));
    document_set_name(o, "numba", s->numba);
    document_set_name(o, "python", s->python);
    if (keys)
        json_object_set_new(o, "overloads", overload_array(s->overloads, s->overload_count));
    return o;
}

static void document_notes(const struct wp_verify_report *r)
{
    document_array("notes");
    for (size_t i = 0; i < r->note_count; i++) {
        json_t *o = json_object();

        json_object_set_new(o, "kind", json_string(wp_note_name(r->notes[i].kind)));
        document_set_name(o, "path", r->notes[i].path);
        document_set_name(o, "text", r->notes[i].text);
        document_item(o);
    }
    document_array_end();
}

static json_t *retarget_build(const struct wp_retarget_build *b)
{
    json_t *o = json_object();

    document_set_cpu(o, b->triple, b->cpu, b->features);
    json_object_set_new(o, "overloads", document_count(b->overloads));
    json_object_set_new(o, "native", json_boolean(b->is_native));
    json_object_set_new(o, "chosen", json_boolean(b->is_chosen));
    document_set_name(o, "reason", b->reason);
    return o;
}

json_t *document_retarget(const struct wp_retarget_result *r)
{
    json_t *o = json_object(), *builds = json_array();

    document_set_cpu(o, r->triple, r->cpu, r->features);
    json_object_set_new(o, "indexes", document_count(r->indexes));
    json_object_set_new(o, "changed", document_count(r->changed));
    json_object_set_new(o, "overloads", document_count(r->overloads));
    json_object_set_new(o, "loads", document_count(r->loads));
    json_object_set_new(o, "left", document_count(r->left));
    json_object_set_new(o, "elsewhere", document_count(r->elsewhere));
    for (size_t i = 0; i < r->build_count; i++)
        json_array_append_new(builds, retarget_build(&r->builds[i]));
    json_object_set_new(o, "builds", builds);
    return o;
}

static json_t *loaded_build(const struct wp_loaded_build *b)
{
    json_t *o = json_object(), *needs = b->needs ? json_array() : json_null();

    document_set_cpu(o, b->triple, b->cpu, b->features);
    for (const char *at = b->needs; at && *at;) {
        size_t n = strcspn(at, ",");

        json_array_append_new(needs, json_stringn(at, n));
        at += n + (at[n] == ',');
    }
    json_object_set_new(o, "needs", needs);
    json_object_set_new(o, "overloads", document_count(b->overloads));
    json_object_set_new(o, "retargeted", json_boolean(b->retargeted));
    return o;
}

void document_loaded(const struct wp_verify_report *r)
{
    document_array("builds");
    for (size_t i = 0; i < r->build_count; i++)
        document_item(loaded_build(&r->builds[i]));
    document_array_end();
}

void document_verify(const struct wp_verify_report *r)
{
    json_t *summary = json_object();

    document_array("indexes");
    for (size_t i = 0; i < r->count; i++)
        document_item(index_object(r->indexes + i, true, r->keys));
    document_array_end();
    if (r->keys)
        document_notes(r);

    json_object_set_new(summary, "total", document_count(r->count));
    for (int s = 0; s < WP_STATUS_COUNT; s++) {
        if (s == WP_VALID || r->by_status[s])
            json_object_set_new(summary, wp_status_name((enum wp_status)s),
                                document_count(r->by_status[s]));
    }
    document_member("summary", summary);
}

static json_t *inspected_object(const struct wp_index_status *s)
{
    json_t *object = index_object(s, false, true);
    struct matrix matrix;
    int r = matrix_make(&matrix, s);

    if (r > 0)
        json_object_set_new(object, "matrix", matrix_object(&matrix));
    matrix_clear(&matrix);
    return r < 0 ? NULL : object;
}

void document_inspect(const struct wp_verify_report *r)
{
    json_t *summary = json_object();
    size_t overloads = 0;

    document_array("indexes");
    for (size_t i = 0; i < r->count; i++) {
        overloads += r->indexes[i].overload_count;
        document_item(inspected_object(r->indexes + i));
    }
    document_array_end();

    json_object_set_new(summary, "total", document_count(r->count));
    json_object_set_new(summary, "overloads", document_count(overloads));
    json_object_set_new(summary, "corrupt", document_count(r->by_status[WP_CORRUPT]));
    json_object_set_new(summary, "unreadable", document_count(r->by_status[WP_UNREADABLE]));
    document_member("summary", summary);
}
