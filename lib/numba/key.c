#include "numba/key.h"

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
        int e = b->data[i] ? buf_add(&out, &b->data[i], 1) : buf_add_str(&out, "\\x00");

        if (e)
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

static int read_cpu(struct key *out, const struct pickle_value *magic)
{
    int e = take(&out->triple, magic->items[0], repr_str);

    if (!e)
        e = take(&out->cpu, magic->items[1], repr_str);
    return e ? e : take(&out->features, magic->items[2], repr_str);
}

int key_read_cpu(struct key *out, const struct pickle_value *v)
{
    int e = 0;

    *out = (struct key){0};
    if (v->type == PICKLE_TUPLE && v->count == 3 && is_strings(v->items[1], 3))
        e = read_cpu(out, v->items[1]);
    if (e)
        key_clear(out);
    return e;
}

int key_read(struct key *out, const struct pickle_value *v)
{
    const struct pickle_value *magic, *code;
    int e;

    *out = (struct key){0};
    if (v->type != PICKLE_TUPLE || v->count != 3)
        return 0;
    magic = v->items[1];
    code = v->items[2];
    e = take(&out->signature, v->items[0], repr_str);
    if (!e && is_strings(magic, 3)) {
        e = read_cpu(out, magic);
    } else if (!e) {
        e = take(&out->target, magic, repr_repr);
    }
    if (!e && is_strings(code, 2)) {
        e = take(&out->code, code->items[0], repr_str);
        if (!e)
            e = take(&out->cells, code->items[1], repr_str);
    }
    if (e)
        key_clear(out);
    return e;
}

void key_clear(struct key *k)
{
    free(k->signature);
    free(k->triple);
    free(k->cpu);
    free(k->features);
    free(k->target);
    free(k->code);
    free(k->cells);
    *k = (struct key){0};
}

bool key_is_closure(const struct key *k)
{
    return k->cells && strcmp(k->cells, NO_CELLS) != 0;
}
