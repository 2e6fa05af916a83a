/* Carries out the opcodes that make containers and objects of values that are already there. */

#include "pickle_machine.h"

#include "base/path.h"

/* Pushes a new value of TYPE whose N members are ITEMS. */
static int push_of(struct machine *m, enum pickle_type type, struct pickle_value *const *items,
                   size_t n)
{
    struct pickle_value *v = machine_new(m, type);
    int r = v ? machine_extend(m, v, false, items, n) : machine_no_memory(m);
    return r < 0 ? r : machine_push(m, v);
}

/* ---- Containers -------------------------------------------------------------------------- */

int op_empty(struct machine *m, const struct opcode *o)
{
    struct pickle_value *v;
    return machine_push_new(m, o->type, &v);
}

/* TUPLE, FROZENSET: of all that stands above the mark. */
int op_collect(struct machine *m, const struct opcode *o)
{
    struct pickle_value **items;
    size_t n;
    int r = machine_pop_mark(m, &items, &n);
    return r < 0 ? r : push_of(m, o->type, items, n);
}

/* A value of the topmost N: TUPLE1 to TUPLE3, REDUCE, NEWOBJ, NEWOBJ_EX, STACK_GLOBAL. */
int op_combine(struct machine *m, const struct opcode *o)
{
    struct pickle_value *parts[3];
    for (size_t i = o->width; i-- > 0;) {
        int r = machine_pop(m, &parts[i]);
        if (r < 0)
            return r;
        if (o->type == PICKLE_GLOBAL && parts[i]->type != PICKLE_STR)
            return machine_fail(m, "the name of a class is not a string");
    }
    return push_of(m, o->type, parts, o->width);
}

/* Things of classes: what they do with what they are given cannot be known here. */
static bool is_object(const struct pickle_value *v)
{
    switch (v->type) {
    case PICKLE_GLOBAL:
    case PICKLE_REDUCE:
    case PICKLE_NEWOBJ:
    case PICKLE_NEWOBJ_EX:
    case PICKLE_BYTEARRAY:
        return true;
    default:
        return false;
    }
}

/* APPEND(S), SETITEM(S), ADDITEMS: o->type is what takes them as members. */
static int give(struct machine *m, const struct opcode *o, struct pickle_value *const *items,
                size_t n)
{
    struct pickle_value *to;
    int r = machine_top(m, &to);
    if (r < 0)
        return r;
    if (o->type == PICKLE_DICT && n % 2 != 0)
        return machine_fail(m, "a key without a value");
    machine_note_change(m);
    if (to->type == o->type)
        return machine_extend(m, to, false, items, n);
    if (!is_object(to))
        return machine_fail(m, "%s on a value that cannot take it", o->name);
    return machine_extend(m, to, true, items, n);
}

int op_give_topmost(struct machine *m, const struct opcode *o)
{
    struct pickle_value *items[2];
    for (size_t i = o->width; i-- > 0;) {
        int r = machine_pop(m, &items[i]);
        if (r < 0)
            return r;
    }
    return give(m, o, items, o->width);
}

int op_give_marked(struct machine *m, const struct opcode *o)
{
    struct pickle_value **items;
    size_t n;
    int r = machine_pop_mark(m, &items, &n);
    return r < 0 ? r : give(m, o, items, n);
}

/* ---- Classes and objects ----------------------------------------------------------------- */

int op_build(struct machine *m, const struct opcode *o)
{
    (void)o;
    struct pickle_value *state, *v;
    int r = machine_pop(m, &state);
    r = r < 0 ? r : machine_top(m, &v);
    if (r < 0)
        return r;
    machine_note_change(m);
    v->state = state;
    return 0;
}

static int global_line(struct machine *m, struct pickle_value **out)
{
    const unsigned char *text;
    size_t n;
    int r = machine_line(m, &text, &n);
    if (r < 0)
        return r;
    if (!utf8_valid_surrogates(text, n))
        return machine_fail(m, "the name of a class is not UTF-8");
    struct pickle_value *v = machine_new(m, PICKLE_STR);
    if (!v)
        return machine_no_memory(m);
    v->data = text;
    v->size = n;
    v->at = (size_t)(text - m->data);
    v->end = v->at + n;
    *out = v;
    return 0;
}

/* The class that the two lines behind the opcode name. */
int op_global(struct machine *m, const struct opcode *o)
{
    (void)o;
    struct pickle_value *names[2];
    for (int i = 0; i < 2; i++) {
        int r = global_line(m, &names[i]);
        if (r < 0)
            return r;
    }
    return push_of(m, PICKLE_GLOBAL, names, 2);
}
