/* Prints the values of a pickle as Python would. */

#include "numba/repr.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "warmpack.h"

enum { DEEPEST = 64, LONGEST = 1 << 20 };

int repr_bytes(struct repr *r, const unsigned char *data, size_t n)
{
    if (r->out->size >= r->limit)
        return 0; /* the end is marked already */
    if (n > r->limit - r->out->size) {
        r->limit = r->out->size;
        return buf_add_str(r->out, "...");
    }
    return buf_add(r->out, data, n);
}

int repr_text(struct repr *r, const char *text)
{
    return repr_bytes(r, (const unsigned char *)text, strlen(text));
}

/* The escape of C that Python uses for C, or NUL. */
static char short_escape(unsigned char c)
{
    return c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c == '\\' ? '\\' : '\0';
}

/* A string or bytes in quotes. What is not ASCII stays in strings. */
static int quoted(struct repr *r, const struct pickle_value *v)
{
    bool bytes = v->type != PICKLE_STR;
    char quote =
        v->size && memchr(v->data, '\'', v->size) && !memchr(v->data, '"', v->size) ? '"' : '\'';
    char text[8];
    int n, e;

    n = snprintf(text, sizeof text, "%s%c", bytes ? "b" : "", quote);
    e = repr_bytes(r, (unsigned char *)text, (size_t)n);
    for (size_t i = 0; i < v->size && !e && r->out->size < r->limit; i++) {
        unsigned char c = v->data[i];

        if (short_escape(c))
            n = snprintf(text, sizeof text, "\\%c", short_escape(c));
        else if (c == (unsigned char)quote)
            n = snprintf(text, sizeof text, "\\%c", c);
        else if (c < 0x20 || c == 0x7f || (bytes && c > 0x7f))
            n = snprintf(text, sizeof text, "\\x%02x", c);
        else
            n = snprintf(text, sizeof text, "%c", c);
        e = repr_bytes(r, (unsigned char *)text, (size_t)n);
    }
    return e ? e : repr_bytes(r, (unsigned char *)&quote, 1);
}

/* An integer of more than 64 bits, in base 16: Python reads it, too. */
static int big_number(struct repr *r, const struct pickle_value *v)
{
    return repr_text(r, "int.from_bytes(") || quoted(r, v) ||
                   repr_text(r, ", 'little', signed=True)")
               ? -ENOMEM
               : 0;
}

static int listed(struct repr *r, struct pickle_value *const *items, size_t n, bool dict)
{
    int e = 0;

    for (size_t i = 0; i < n && !e && r->out->size < r->limit; i++) {
        if (i)
            e = repr_text(r, dict && i % 2 ? ": " : ", ");
        if (!e)
            e = repr_value(r, items[i]);
    }
    return e;
}

static int enclosed(struct repr *r, const char *open, const struct pickle_value *v,
                    const char *close)
{
    int e = repr_text(r, open);

    if (!e)
        e = listed(r, v->items, v->count, v->type == PICKLE_DICT);
    return e ? e : repr_text(r, close);
}

/* A class's name, as "module.Name". */
static int class_name(struct repr *r, const struct pickle_value *v)
{
    int e = repr_bytes(r, v->items[0]->data, v->items[0]->size);

    if (!e)
        e = repr_text(r, ".");
    return e ? e : repr_bytes(r, v->items[1]->data, v->items[1]->size);
}

/* Something made by calling: "module.Class(arguments){state}". */
static int object(struct repr *r, const struct pickle_value *v)
{
    size_t n = v->count;
    int e = n ? repr_value(r, v->items[0]) : repr_text(r, "?");

    if (!e && n == 2 && v->items[1]->type == PICKLE_TUPLE)
        e = enclosed(r, "(", v->items[1], ")");
    else if (!e && n > 1)
        e = repr_text(r, "(") || listed(r, v->items + 1, n - 1, false) || repr_text(r, ")")
                ? -ENOMEM
                : 0;
    else if (!e)
        e = repr_text(r, "()");
    if (!e && v->more_count)
        e = repr_text(r, "[") || listed(r, v->more, v->more_count, false) || repr_text(r, "]")
                ? -ENOMEM
                : 0;
    if (e || !v->state)
        return e;
    if (v->state->type == PICKLE_DICT)
        return repr_value(r, v->state);
    return repr_text(r, "{") || repr_value(r, v->state) || repr_text(r, "}") ? -ENOMEM : 0;
}

static int plain(struct repr *r, const struct pickle_value *v)
{
    char text[WP_NUMBER_SIZE];

    switch (v->type) {
    case PICKLE_NONE:
        return repr_text(r, "None");
    case PICKLE_BOOL:
        return repr_text(r, v->boolean ? "True" : "False");
    case PICKLE_INT:
        snprintf(text, sizeof text, "%" PRId64, v->integer);
        return repr_text(r, text);
    case PICKLE_BIGINT:
        return big_number(r, v);
    case PICKLE_FLOAT:
        wp_float_text(v->real, text);
        return repr_text(r, text);
    case PICKLE_STR:
    case PICKLE_BYTES:
        return quoted(r, v);
    case PICKLE_TUPLE:
        return enclosed(r, "(", v, v->count == 1 ? ",)" : ")");
    case PICKLE_LIST:
        return enclosed(r, "[", v, "]");
    case PICKLE_DICT:
        return enclosed(r, "{", v, "}");
    case PICKLE_SET:
        return v->count ? enclosed(r, "{", v, "}") : repr_text(r, "set()");
    case PICKLE_FROZENSET:
        return v->count ? enclosed(r, "frozenset({", v, "})") : repr_text(r, "frozenset()");
    case PICKLE_GLOBAL:
        return class_name(r, v);
    case PICKLE_BYTEARRAY:
        return quoted(r, v);
    default:
        return object(r, v);
    }
}

int repr_value(struct repr *r, const struct pickle_value *v)
{
    int e;

    if (r->out->size >= r->limit)
        return 0;
    if (r->depth == DEEPEST)
        return repr_text(r, "...");
    r->depth++;
    e = repr_numba(r, v);
    if (e == 0)
        e = plain(r, v);
    r->depth--;
    return e < 0 ? e : 0;
}

int repr_repr(const struct pickle_value *v, struct buf *out)
{
    struct repr r = {.out = out, .limit = out->size + LONGEST};

    return repr_value(&r, v);
}

int repr_str(const struct pickle_value *v, struct buf *out)
{
    struct repr r = {.out = out, .limit = out->size + LONGEST};

    return v->type == PICKLE_STR ? repr_bytes(&r, v->data, v->size) : repr_value(&r, v);
}
