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

static void add_string(struct json_writer *w, const char *value, size_t n)
{
    add(w, "\"", 1);
    add_escaped(w, value, n);
    add(w, "\"", 1);
}

static void add_base64(struct json_writer *w, const char *value, size_t n)
{
    add(w, "\"", 1);
    if (!w->error)
        w->error = base64_add(w->out, value, n);
    add(w, "\"", 1);
}

static void add_name(struct json_writer *w, const char *name, const char *suffix)
{
    add_str(w, w->inside ? ", \"" : "\"");
    add_str(w, name);
    add_str(w, suffix);
    add(w, "\": ", 3);
    w->inside = true;
}

void json_write_open(struct json_writer *w)
{
    add(w, "{", 1);
    w->inside = false;
}

void json_write_close(struct json_writer *w)
{
    add(w, "}", 1);
    w->inside = true;
}

void json_write_end_line(struct json_writer *w)
{
    add(w, "\n", 1);
}

void json_write_object(struct json_writer *w, const char *name)
{
    add_name(w, name, "");
    json_write_open(w);
}

void json_write_text(struct json_writer *w, const char *name, const char *value)
{
    size_t n = value ? strlen(value) : 0;

    if (!value)
        return;
    if (utf8_valid(value, n)) {
        add_name(w, name, "");
        add_string(w, value, n);
    } else {
        add_name(w, name, BASE64_SUFFIX);
        add_base64(w, value, n);
    }
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
    add_str(w, w->inside ? ", \"" : "\"");
    add_escaped(w, name, name_size);
    add_str(w, plain ? "\": " : BASE64_SUFFIX "\": ");
    w->inside = true;
    if (plain)
        add_string(w, value, n);
    else
        add_base64(w, value, n);
}

void json_write_uint(struct json_writer *w, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    json_write_raw(w, name, text);
}

void json_write_raw(struct json_writer *w, const char *name, const char *value)
{
    add_name(w, name, "");
    add_str(w, value);
}

void json_write_plain(struct json_writer *w, const char *name, const char *value)
{
    add_name(w, name, "");
    add(w, "\"", 1);
    add_str(w, value);
    add(w, "\"", 1);
}

void json_write_texts(struct json_writer *w, const char *name, char *const *values, size_t count)
{
    bool plain = true;

    for (size_t i = 0; i < count; i++)
        plain = plain && utf8_valid(values[i], strlen(values[i]));
    add_name(w, name, plain ? "" : BASE64_SUFFIX);
    add(w, "[", 1);
    for (size_t i = 0; i < count; i++) {
        if (i)
            add(w, ", ", 2);
        if (plain)
            add_string(w, values[i], strlen(values[i]));
        else
            add_base64(w, values[i], strlen(values[i]));
    }
    add(w, "]", 1);
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
    add_name(w, name, "");
    add(w, "[", 1);
    for (size_t i = 0; i < count; i++) {
        char text[16];

        snprintf(text, sizeof text, i ? ", %u" : "%u", (unsigned)values[i]);
        add_str(w, text);
    }
    add(w, "]", 1);
}
