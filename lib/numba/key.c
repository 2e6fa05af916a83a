/* Reads and compares the keys of overloads. */

#include "numba/key.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "numba/repr.h"

/* The digest of nothing: no closure. */
#define NO_CELLS "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* The bytes of B as a string. Allocated. */
static char *text_of(const struct buf *b)
{
    _cleanup_buf_ struct buf out = {0};

    for (size_t i = 0; i < b->size; i++) {
        int r = b->data[i] ? buf_add(&out, &b->data[i], 1) : buf_add_str(&out, "\\x00");

        if (r < 0)
            return NULL;
    }
    return buf_terminate(&out) < 0 ? NULL : (char *)take_ptr(out.data);
}

static int take(char **out, const struct pickle_value *v,
                int (*print)(const struct pickle_value *v, struct buf *out))
{
    _cleanup_buf_ struct buf text = {0};

    if (print(v, &text) < 0)
        return -ENOMEM;
    *out = text_of(&text);
    return *out ? 0 : -ENOMEM;
}

static bool is_strings(const struct pickle_value *v, size_t n)
{
    if (v->type != PICKLE_TUPLE || v->count != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (v->items[i]->type != PICKLE_STR)
            return false;
    return true;
}

static int read_cpu(struct wp_overload *out, const struct pickle_value *magic)
{
    int r = take(&out->triple, magic->items[0], repr_str);

    if (r == 0)
        r = take(&out->cpu, magic->items[1], repr_str);
    return r < 0 ? r : take(&out->features, magic->items[2], repr_str);
}

enum { SIGNATURE, MAGIC, LEAST_PARTS = 3, DIGITS = 64 };

static bool is_key(const struct pickle_value *v)
{
    return v->type == PICKLE_TUPLE && v->count >= LEAST_PARTS;
}

static bool is_digest(const struct pickle_value *v)
{
    for (size_t i = 0; i < v->size; i++)
        if (!isxdigit(v->data[i]))
            return false;
    return v->size == DIGITS;
}

static bool is_code(const struct pickle_value *v)
{
    return is_strings(v, 2) && is_digest(v->items[0]) && is_digest(v->items[1]);
}

static bool is_launch(const struct pickle_value *v)
{
    return v->type == PICKLE_TUPLE && v->count > 0 && pickle_is_str(v->items[0], "launch_config");
}

/* The place of the code in key V; the number of its parts where it has none. */
static size_t find_code(const struct pickle_value *v)
{
    size_t i = MAGIC + 1;

    while (i < v->count && !is_code(v->items[i]))
        i++;
    return i;
}

static bool is_version(const struct pickle_value *key, size_t i, size_t code)
{
    return i == MAGIC + 1 && i < code && code < key->count && key->items[i]->type == PICKLE_STR &&
           !is_strings(key->items[MAGIC], 3);
}

int key_read_cpu(struct wp_overload *out, const struct pickle_value *v)
{
    int r = 0;

    *out = (struct wp_overload){0};
    if (is_key(v) && is_strings(v->items[MAGIC], 3))
        r = read_cpu(out, v->items[MAGIC]);
    if (r < 0)
        key_clear(out);
    return r;
}

static int read_code(struct wp_overload *out, const struct pickle_value *code)
{
    int r = take(&out->code, code->items[0], repr_str);

    r = r < 0 ? r : take(&out->cells, code->items[1], repr_str);
    out->closure = r == 0 && strcmp(out->cells, NO_CELLS) != 0;
    return r;
}

static int read_other(struct buf *out, const struct pickle_value *v)
{
    int r = out->size ? buf_add_str(out, ", ") : 0;

    return r < 0 ? r : repr_repr(v, out);
}

/* The parts behind the magic. */
static int read_rest(struct wp_overload *out, const struct pickle_value *v)
{
    _cleanup_buf_ struct buf other = {0};
    const size_t code = find_code(v);
    int r = 0;

    for (size_t i = MAGIC + 1; i < v->count && r == 0; i++) {
        const struct pickle_value *part = v->items[i];

        if (i == code)
            r = read_code(out, part);
        else if (is_version(v, i, code))
            r = take(&out->version, part, repr_str);
        else if (is_launch(part) && !out->launch)
            r = take(&out->launch, part, repr_repr);
        else
            r = read_other(&other, part);
    }
    if (r == 0 && other.size) {
        out->other = text_of(&other);
        r = out->other ? 0 : -ENOMEM;
    }
    return r;
}

int key_read(struct wp_overload *out, const struct pickle_value *v)
{
    int r;

    *out = (struct wp_overload){0};
    if (!is_key(v))
        return 0;
    r = take(&out->signature, v->items[SIGNATURE], repr_str);
    if (r == 0 && is_strings(v->items[MAGIC], 3))
        r = read_cpu(out, v->items[MAGIC]);
    else if (r == 0)
        r = take(&out->target, v->items[MAGIC], repr_repr);
    if (r == 0)
        r = read_rest(out, v);
    if (r < 0)
        key_clear(out);
    return r;
}

bool key_is_for_cpu(const struct pickle_value *v)
{
    if (!is_key(v) || !is_strings(v->items[MAGIC], 3) || find_code(v) == v->count)
        return false;
    for (size_t i = MAGIC + 1; i < v->count; i++)
        if (is_launch(v->items[i]))
            return false;
    return true;
}

int key_is_alike(const struct pickle_value *a, const struct pickle_value *b)
{
    if (!key_is_for_cpu(a) || !key_is_for_cpu(b) || a->count != b->count)
        return 0;
    for (size_t i = 0; i < a->count; i++) {
        const struct pickle_value *x = a->items[i], *y = b->items[i];
        int r = i == MAGIC ? pickle_equal(x->items[0], y->items[0]) : pickle_equal(x, y);

        if (r != 1)
            return r;
    }
    return 1;
}

void key_clear(struct wp_overload *o)
{
    free(o->signature);
    free(o->triple);
    free(o->cpu);
    free(o->features);
    free(o->target);
    free(o->version);
    free(o->launch);
    free(o->other);
    free(o->code);
    free(o->cells);
    free(o->data);
    free(o->module);
    *o = (struct wp_overload){0};
}
