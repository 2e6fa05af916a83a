/* Reads the members of a JSON object that stands on one line. */

#include "manifest/json_read.h"
#include "base/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manifest/base64.h"

int json_line_wrong(const struct json_line *l, const char *fmt, ...)
{
    char what[512];
    size_t number = l->before + 1;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    /* Counted only here: lines that are right need no number. */
    for (const char *p = l->all; (p = memchr(p, '\n', (size_t)(l->text - p))) != NULL; p++)
        number++;
    return error_set(l->err, 0, l->name, "line %zu: %s", number, what);
}

int json_line_parse(struct json_line *l, size_t size)
{
    json_error_t e;

    l->object = json_loadb(l->text, size, JSON_REJECT_DUPLICATES, &e);
    if (!l->object) {
        /* jansson's own text quotes the input, which may hold anything. */
        switch (json_error_code(&e)) {
        case json_error_out_of_memory:
            return error_nomem(l->err);
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
static json_t *encoded_member(const struct json_line *l, const char *name)
{
    char full[64];
    int n = snprintf(full, sizeof full, "%s" BASE64_SUFFIX, name);

    return n > 0 && (size_t)n < sizeof full ? json_object_get(l->object, full) : NULL;
}

bool json_line_has(const struct json_line *l, const char *name)
{
    return json_object_get(l->object, name) || encoded_member(l, name);
}

static int missing(const struct json_line *l, const char *name, enum json_need need)
{
    return need == JSON_REQUIRED ? json_line_wrong(l, "\"%s\" is missing", name) : 0;
}

/* The text of string V, allocated. */
static int take_text(const struct json_line *l, const char *name, const json_t *v, bool encoded,
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
                               : error_nomem(l->err);
    *out = text;
    return 1;
}

int json_line_text(const struct json_line *l, const char *name, enum json_need need, char **out)
{
    const json_t *v = json_object_get(l->object, name);
    const json_t *encoded = encoded_member(l, name);

    if (v && encoded)
        return json_line_wrong(l, "\"%s\" stands there twice", name);
    if (!v && !encoded)
        return missing(l, name, need);
    return take_text(l, name, v ? v : encoded, !v, out);
}

int json_line_plain(const struct json_line *l, const char *name, enum json_need need,
                    const char **out)
{
    const json_t *v = json_object_get(l->object, name);

    if (!v)
        return missing(l, name, need);
    if (!json_is_string(v))
        return json_line_wrong(l, "\"%s\" is not a string", name);
    *out = json_string_value(v);
    return 1;
}

int json_line_uint(const struct json_line *l, const char *name, uint64_t max, enum json_need need,
                   uint64_t *out)
{
    const json_t *v = json_object_get(l->object, name);

    if (!v)
        return missing(l, name, need);
    if (!json_is_integer(v))
        return json_line_wrong(l, "\"%s\" is not a whole number", name);
    if (json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
        return json_line_wrong(l, "\"%s\" is out of range", name);
    *out = (uint64_t)json_integer_value(v);
    return 1;
}

int json_line_bool(const struct json_line *l, const char *name, enum json_need need, bool *out)
{
    const json_t *v = json_object_get(l->object, name);

    if (!v)
        return missing(l, name, need);
    if (!json_is_boolean(v))
        return json_line_wrong(l, "\"%s\" is neither true nor false", name);
    *out = json_is_true(v);
    return 1;
}

static int take_one(const struct json_line *l, const char *name, char ***out, size_t *count)
{
    char **list = calloc(1, sizeof *list);
    int r = list ? json_line_text(l, name, JSON_REQUIRED, list) : error_nomem(l->err);

    if (r < 0) {
        free(list);
        return r;
    }
    *out = list;
    *count = 1;
    return 1;
}

/* ARRAY, the value of member NAME, as texts. */
static int take_list(const struct json_line *l, const char *name, const json_t *array, bool encoded,
                     char ***out, size_t *count)
{
    size_t n = json_array_size(array);
    char **list;

    if (!n)
        return json_line_wrong(l, "\"%s\" is not a list of strings", name);
    list = calloc(n, sizeof *list);
    if (!list)
        return error_nomem(l->err);
    for (size_t i = 0; i < n; i++) {
        int r = take_text(l, name, json_array_get(array, i), encoded, &list[i]);

        if (r < 0) {
            while (i--)
                free(list[i]);
            free(list);
            return r;
        }
    }
    *out = list;
    *count = n;
    return 1;
}

int json_line_list(const struct json_line *l, const char *name, enum json_need need, char ***out,
                   size_t *count)
{
    const json_t *plain = json_object_get(l->object, name), *encoded = encoded_member(l, name);

    if (plain && encoded)
        return json_line_wrong(l, "\"%s\" stands there twice", name);
    if (!plain && !encoded)
        return need == JSON_REQUIRED ? json_line_wrong(l, "\"%s\" is missing", name) : 0;
    return take_list(l, name, plain ? plain : encoded, !plain, out, count);
}

int json_line_texts(const struct json_line *l, const char *one, const char *many, char ***out,
                    size_t *count)
{
    if (!json_line_has(l, many))
        return take_one(l, one, out, count);
    if (json_line_has(l, one))
        return json_line_wrong(l, "\"%s\" stands there twice", one);
    return json_line_list(l, many, JSON_REQUIRED, out, count);
}

/* "KEY=VALUE" of one member, allocated. KEY is without a NUL, as jansson has it. */
static int take_pair(const struct json_line *l, const char *key, const json_t *v, char **out)
{
    size_t n = strlen(key), suffix = strlen(BASE64_SUFFIX);
    bool encoded = path_has_suffix(key, BASE64_SUFFIX);
    char *value = NULL;
    int r;

    if (encoded)
        n -= suffix;
    if (n == 0 || n > INT32_MAX || memchr(key, '=', n))
        return json_line_wrong(l, "\"env\" has a member that names no variable");
    r = take_text(l, "env", v, encoded, &value);
    if (r < 0)
        return r;
    r = asprintf(out, "%.*s=%s", (int)n, key, value);
    free(value);
    if (r < 0) {
        *out = NULL;
        return error_nomem(l->err);
    }
    return 0;
}

int json_line_pairs(const struct json_line *l, const char *name, char ***out, size_t *count)
{
    json_t *object = json_object_get(l->object, name), *v;
    const char *key;
    size_t n = 0;
    char **list;

    if (!object)
        return 0;
    if (!json_is_object(object))
        return json_line_wrong(l, "\"%s\" is not an object", name);
    if (!json_object_size(object))
        return 0;
    list = calloc(json_object_size(object), sizeof *list);
    if (!list)
        return error_nomem(l->err);
    json_object_foreach(object, key, v)
    {
        int r = take_pair(l, key, v, &list[n]);

        if (r < 0) {
            while (n--)
                free(list[n]);
            free(list);
            return r;
        }
        n++;
    }
    *out = list;
    *count = n;
    return 1;
}
