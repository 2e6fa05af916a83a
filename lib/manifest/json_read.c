/* Reads the members of a JSON object that stands on one line. */

#include "manifest/json_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json_parse.h"
#include "base/path.h"
#include "manifest/base64.h"

int json_line_fill_wrong(struct json_line *l, const char *fmt, ...)
{
    char what[512];
    size_t number = l->before + 1;
    va_list ap;

    if (l->status < 0)
        return l->status;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    /* Counted only here: lines that are right need no number. */
    for (const char *p = l->all; (p = memchr(p, '\n', (size_t)(l->text - p))) != NULL; p++)
        number++;
    return l->status = error_set(l->err, 0, l->name, "line %zu: %s", number, what);
}

int json_line_nomem(struct json_line *l)
{
    return l->status < 0 ? l->status : (l->status = error_nomem(l->err));
}

int json_line_parse(struct json_line *l, size_t size)
{
    json_error_t e;

    if (json_parse(&l->object, l->text, size, JSON_REJECT_DUPLICATES, &e) < 0)
        return json_line_nomem(l);
    if (!l->object) {
        /* jansson's own text quotes the input, which may hold anything. */
        switch (json_error_code(&e)) {
        case json_error_duplicate_key:
            return json_line_wrong(l, "a member stands there twice");
        case json_error_invalid_utf8:
            return json_line_wrong(l, "not UTF-8");
        default:
            return json_line_wrong(l, "not JSON, at column %d", e.column);
        }
    }
    if (!json_is_object(l->object)) {
        json_line_clear(l);
        return json_line_wrong(l, "not a JSON object");
    }
    return 0;
}

void json_line_clear(struct json_line *l)
{
    json_decref(l->object);
    l->object = NULL;
}

/* Member NAME with the suffix of base 64. Names of ours are short. */
static json_t *encoded_member(struct json_line *l, const char *name)
{
    char full[64];
    int n = snprintf(full, sizeof full, "%s" BASE64_SUFFIX, name);

    return n > 0 && (size_t)n < sizeof full ? json_object_get(l->object, full) : NULL;
}

bool json_line_has(struct json_line *l, const char *name)
{
    return json_object_get(l->object, name) || encoded_member(l, name);
}

/* The member's value V, NULL where there is none: 1, 0 or the status. */
static int is_there(struct json_line *l, const char *name, const json_t *v, enum json_need need)
{
    if (!v && need == JSON_REQUIRED)
        return json_line_wrong(l, "\"%s\" is missing", name);
    return l->status < 0 ? l->status : v != NULL;
}

/* Member NAME, or in its place the one in base 64: as is_there. */
static int find_member(struct json_line *l, const char *name, enum json_need need, const json_t **v,
                       bool *encoded)
{
    const json_t *plain = json_object_get(l->object, name), *other = encoded_member(l, name);

    if (plain && other)
        return json_line_wrong(l, "\"%s\" stands there twice", name);
    *v = plain ? plain : other;
    *encoded = !plain;
    return is_there(l, name, *v, need);
}

/* The text of string V, allocated. */
static int take_text(struct json_line *l, const char *name, const json_t *v, bool encoded,
                     char **out)
{
    char *text;

    if (!json_is_string(v))
        return json_line_wrong(l, "\"%s\" is not a string", name);
    errno = ENOMEM;
    text = encoded ? base64_decode(json_string_value(v), json_string_length(v))
                   : strdup(json_string_value(v));
    if (!text)
        return errno == EINVAL ? json_line_wrong(l, "\"%s\" is not base 64", name)
                               : json_line_nomem(l);
    *out = text;
    return 1;
}

int json_line_text(struct json_line *l, const char *name, enum json_need need, char **out)
{
    const json_t *v;
    bool encoded;
    int r = find_member(l, name, need, &v, &encoded);

    return r > 0 ? take_text(l, name, v, encoded, out) : r;
}

/* Member NAME, whose value is of one of TYPES (bits), else it is WRONG: as is_there. */
static int find_typed(struct json_line *l, const char *name, enum json_need need, unsigned types,
                      const char *wrong, const json_t **v)
{
    int r;

    *v = json_object_get(l->object, name);
    r = is_there(l, name, *v, need);
    return r <= 0 || types >> json_typeof(*v) & 1 ? r
                                                  : json_line_wrong(l, "\"%s\" %s", name, wrong);
}

int json_line_plain(struct json_line *l, const char *name, enum json_need need, const char **out)
{
    const json_t *v;
    int r = find_typed(l, name, need, 1u << JSON_STRING, "is not a string", &v);

    if (r > 0)
        *out = json_string_value(v);
    return r;
}

int json_line_uint(struct json_line *l, const char *name, uint64_t max, enum json_need need,
                   uint64_t *out)
{
    const json_t *v;
    int r = find_typed(l, name, need, 1u << JSON_INTEGER, "is not a whole number", &v);

    if (r <= 0)
        return r;
    if (json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
        return json_line_wrong(l, "\"%s\" is out of range", name);
    *out = (uint64_t)json_integer_value(v);
    return 1;
}

int json_line_bool(struct json_line *l, const char *name, enum json_need need, bool *out)
{
    const json_t *v;
    int r = find_typed(l, name, need, 1u << JSON_TRUE | 1u << JSON_FALSE,
                       "is neither true nor false", &v);

    if (r > 0)
        *out = json_is_true(v);
    return r;
}

/* Hands on what LIST holds, which must not be nothing. */
static int give_list(struct path_list *list, char ***out, size_t *count)
{
    *out = take_ptr(list->v);
    *count = list->count;
    list->count = 0;
    return 1;
}

/* ARRAY, the value of member NAME, as texts. */
static int take_list(struct json_line *l, const char *name, const json_t *array, bool encoded,
                     char ***out, size_t *count)
{
    _cleanup_(path_list_clear) struct path_list list = {0};
    const json_t *v;
    size_t i;

    if (!json_array_size(array))
        return json_line_wrong(l, "\"%s\" is not a list of strings", name);
    json_array_foreach(array, i, v)
    {
        char *text;
        int r = take_text(l, name, v, encoded, &text);

        if (r < 0)
            return r;
        if (path_list_add(&list, text) < 0)
            return json_line_nomem(l);
    }
    return give_list(&list, out, count);
}

int json_line_list(struct json_line *l, const char *name, enum json_need need, char ***out,
                   size_t *count)
{
    const json_t *v;
    bool encoded;
    int r = find_member(l, name, need, &v, &encoded);

    return r > 0 ? take_list(l, name, v, encoded, out, count) : r;
}

int json_line_texts(struct json_line *l, const char *one, const char *many, char ***out,
                    size_t *count)
{
    _cleanup_(path_list_clear) struct path_list list = {0};
    char *text = NULL;
    int r;

    if (json_line_has(l, many) && json_line_has(l, one))
        return json_line_wrong(l, "\"%s\" stands there twice", one);
    if (json_line_has(l, many))
        return json_line_list(l, many, JSON_REQUIRED, out, count);
    r = json_line_text(l, one, JSON_REQUIRED, &text);
    if (r < 0)
        return r;
    return path_list_add(&list, text) < 0 ? json_line_nomem(l) : give_list(&list, out, count);
}

int json_line_numbers(struct json_line *l, const json_t *list, uint64_t limit, const char *wrong,
                      uint32_t **out, size_t *count)
{
    const json_t *item;
    size_t n;

    if (l->status < 0)
        return l->status;
    *out = calloc(json_array_size(list) + 1, sizeof **out);
    if (!*out)
        return json_line_nomem(l);
    json_array_foreach(list, n, item)
    {
        json_int_t number = json_is_integer(item) ? json_integer_value(item) : -1;

        if (number < 0 || (uint64_t)number >= limit)
            return json_line_wrong(l, "%s", wrong);
        (*out)[(*count)++] = (uint32_t)number;
    }
    return 1;
}

void json_line_version(struct json_line *l, unsigned known)
{
    uint64_t version = 0;

    if (json_line_uint(l, "version", INT64_MAX, JSON_REQUIRED, &version) > 0 && version != known)
        json_line_wrong(l, "version %llu is not known here: it takes a newer warmpack",
                        (unsigned long long)version);
}

/* Adds "KEY=VALUE" of one member. KEY is without a NUL, as jansson has it. */
static void add_pair(struct json_line *l, const char *name, const char *key, const json_t *v,
                     struct path_list *list)
{
    size_t n = strlen(key);
    bool encoded = path_has_suffix(key, BASE64_SUFFIX);
    _cleanup_free_ char *value = NULL;
    char *pair = NULL;

    if (encoded)
        n -= strlen(BASE64_SUFFIX);
    if (n == 0 || n > INT32_MAX || memchr(key, '=', n))
        json_line_wrong(l, "\"%s\" has a member without a name", name);
    else if (take_text(l, name, v, encoded, &value) > 0) {
        if (asprintf(&pair, "%.*s=%s", (int)n, key, value) < 0)
            pair = NULL;
        if (path_list_add(list, pair) < 0)
            json_line_nomem(l);
    }
}

int json_line_pairs(struct json_line *l, const char *name, char ***out, size_t *count)
{
    json_t *object = json_object_get(l->object, name);
    _cleanup_(path_list_clear) struct path_list list = {0};

    if (!object)
        return l->status;
    if (!json_is_object(object))
        return json_line_wrong(l, "\"%s\" is not an object", name);
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        add_pair(l, name, json_object_iter_key(at), json_object_iter_value(at), &list);
    return l->status == 0 && list.count ? give_list(&list, out, count) : l->status;
}
