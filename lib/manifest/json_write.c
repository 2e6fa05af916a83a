/* Writes JSON objects, each on one line. */

#include "manifest/json_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "manifest/base64.h"

static void add(struct json_writer *w, const void *data, size_t n)
{
    if (!w->error)
        w->error = buf_add(w->out, data, n);
}

static void add_str(struct json_writer *w, const char *s)
{
    add(w, s, strlen(s));
}

/* One character that may not stand in a JSON string as it is. */
static void add_escape(struct json_writer *w, unsigned char c)
{
    static const char SHORT[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: the character, its letter */
    char text[8];

    for (const char *p = SHORT; *p; p += 2)
        if ((unsigned char)*p == c) {
            add(w, (char[]){'\\', p[1]}, 2);
            return;
        }
    snprintf(text, sizeof text, "\\u%04x", c);
    add(w, text, 6);
}

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

/* VALUE (UTF-8) as it stands between the quotes of a string. */
static void add_escaped(struct json_writer *w, const char *value, size_t n)
{
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        if (!needs_escape((unsigned char)value[i]))
            continue;
        add(w, value + from, i - from);
        add_escape(w, (unsigned char)value[i]);
        from = i + 1;
    }
    add(w, value + from, n - from);
}

/* A comma, where something stands before, and the name of a member; NULL: an item of an array. */
static void begin(struct json_writer *w, const char *name, const char *suffix)
{
    if (w->inside)
        add(w, ", ", 2);
    w->inside = true;
    if (!name)
        return;
    add(w, "\"", 1);
    add_str(w, name);
    add_str(w, suffix);
    add(w, "\": ", 3);
}

/* A string: VALUE itself where it is PLAIN, else in base 64. */
static void add_value(struct json_writer *w, const char *value, size_t n, bool plain)
{
    add(w, "\"", 1);
    if (plain)
        add_escaped(w, value, n);
    else if (!w->error)
        w->error = base64_add(w->out, value, n);
    add(w, "\"", 1);
}

static void open_with(struct json_writer *w, const char *name, const char *suffix,
                      const char *bracket)
{
    begin(w, name, suffix);
    add(w, bracket, 1);
    w->inside = false;
}

static void close_with(struct json_writer *w, const char *bracket)
{
    add(w, bracket, 1);
    w->inside = true;
}

void json_write_object(struct json_writer *w, const char *name)
{
    open_with(w, name, "", "{");
}

void json_write_close(struct json_writer *w)
{
    close_with(w, "}");
}

void json_write_end_line(struct json_writer *w)
{
    add(w, "}\n", 2);
}

void json_write_array(struct json_writer *w, const char *name)
{
    open_with(w, name, "", "[");
}

void json_write_array_end(struct json_writer *w)
{
    close_with(w, "]");
}

void json_write_item(struct json_writer *w, const char *value, size_t n)
{
    begin(w, NULL, "");
    add_value(w, value, n, true);
}

void json_write_text(struct json_writer *w, const char *name, const char *value)
{
    size_t n = value ? strlen(value) : 0;
    bool plain = value && utf8_valid(value, n);

    if (!value)
        return;
    begin(w, name, plain ? "" : BASE64_SUFFIX);
    add_value(w, value, n, plain);
}

void json_write_named_text(struct json_writer *w, const char *name, size_t name_size,
                           const char *value)
{
    size_t n = strlen(value), suffix = strlen(BASE64_SUFFIX);
    bool taken =
        name_size >= suffix && memcmp(name + name_size - suffix, BASE64_SUFFIX, suffix) == 0;
    bool plain = !taken && utf8_valid(value, n);

    if (!utf8_valid(name, name_size) && !w->error)
        w->error = -EINVAL;
    begin(w, NULL, "");
    add(w, "\"", 1);
    add_escaped(w, name, name_size);
    add_str(w, plain ? "\": " : BASE64_SUFFIX "\": ");
    add_value(w, value, n, plain);
}

void json_write_uint(struct json_writer *w, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    json_write_raw(w, name, text);
}

void json_write_raw(struct json_writer *w, const char *name, const char *value)
{
    begin(w, name, "");
    add_str(w, value);
}

void json_write_plain(struct json_writer *w, const char *name, const char *value)
{
    begin(w, name, "");
    add(w, "\"", 1);
    add_str(w, value);
    add(w, "\"", 1);
}

void json_write_texts(struct json_writer *w, const char *name, char *const *values, size_t count)
{
    bool plain = true;

    for (size_t i = 0; i < count; i++)
        plain = plain && utf8_valid(values[i], strlen(values[i]));
    open_with(w, name, plain ? "" : BASE64_SUFFIX, "[");
    for (size_t i = 0; i < count; i++) {
        begin(w, NULL, "");
        add_value(w, values[i], strlen(values[i]), plain);
    }
    json_write_array_end(w);
}

void json_write_one_or_many(struct json_writer *w, const char *one, const char *many,
                            char *const *values, size_t count)
{
    if (count == 1)
        json_write_text(w, one, values[0]);
    else if (count)
        json_write_texts(w, many, values, count);
}

void json_write_numbers(struct json_writer *w, const char *name, const uint32_t *values,
                        size_t count)
{
    json_write_array(w, name);
    for (size_t i = 0; i < count; i++)
        json_write_uint(w, NULL, values[i]);
    json_write_array_end(w);
}
