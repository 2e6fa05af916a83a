/* Prints Numba's own types and signatures as they do themselves.
 * Source: Numba 0.52 to 0.67, core/types/abstract.py (Type.__repr__ is the name that the type was
 * given, _type_reconstructor makes it), core/types/function_type.py, core/typing/templates.py. */

#include <string.h>

#include "numba/repr.h"

static bool is_class(const struct pickle_value *v, const char *module, const char *name)
{
    return v->type == PICKLE_GLOBAL && pickle_is_str(v->items[0], module) &&
           pickle_is_str(v->items[1], name);
}

/* Is it one of Numba's own classes? Those of others may print anything. */
static bool is_of_numba(const struct pickle_value *class)
{
    static const char prefix[] = "numba.";

    return class->type == PICKLE_GLOBAL && class->items[0]->size >= strlen(prefix) &&
           memcmp(class->items[0]->data, prefix, strlen(prefix)) == 0;
}

/* The last value of KEY in a dict: as Python has it. */
static const struct pickle_value *lookup(const struct pickle_value *dict, const char *key)
{
    for (size_t i = dict->count; i >= 2; i -= 2)
        if (pickle_is_str(dict->items[i - 2], key))
            return dict->items[i - 1];
    return NULL;
}

/* _type_reconstructor(copyreg._reconstructor, (class, object, None), state): its class and state,
 * or false. */
static bool is_type(const struct pickle_value *v, const struct pickle_value **class,
                    const struct pickle_value **state)
{
    const struct pickle_value *args, *made;

    if (v->type != PICKLE_REDUCE || v->state || v->items[1]->type != PICKLE_TUPLE ||
        !(is_class(v->items[0], "numba.core.types.abstract", "_type_reconstructor") ||
          is_class(v->items[0], "numba.types.abstract", "_type_reconstructor")))
        return false;
    args = v->items[1];
    if (args->count != 3 || args->items[1]->type != PICKLE_TUPLE || args->items[1]->count != 3 ||
        args->items[2]->type != PICKLE_DICT ||
        !(is_class(args->items[0], "copyreg", "_reconstructor") ||
          is_class(args->items[0], "copy_reg", "_reconstructor")))
        return false;
    made = args->items[1];
    *class = made->items[0];
    *state = args->items[2];
    return made->items[0]->type == PICKLE_GLOBAL;
}

/* A type is called what its state says; a first-class function's name is put together. */
static int type_name(struct repr *r, const struct pickle_value *class,
                     const struct pickle_value *state)
{
    bool function = pickle_is_str(class->items[0], "numba.core.types.function_type") ||
                    pickle_is_str(class->items[0], "numba.types.function_type");
    const struct pickle_value *name = lookup(state, "name"), *key = lookup(state, "_key");
    int e;

    if (function && (pickle_is_str(class->items[1], "FunctionType") ||
                     pickle_is_str(class->items[1], "UndefinedFunctionType"))) {
        if (!key || key->type != PICKLE_STR)
            return 0;
        e = repr_bytes(r, class->items[1]->data, class->items[1]->size);
        if (!e)
            e = repr_text(r, "[");
        if (!e)
            e = repr_bytes(r, key->data, key->size);
        if (!e)
            e = repr_text(r, "]");
        return e ? e : 1;
    }
    if (!is_of_numba(class) || !name || name->type != PICKLE_STR)
        return 0;
    e = repr_bytes(r, name->data, name->size);
    return e ? e : 1;
}

/* A type of a class that is not Numba's: "module.Class{state}". */
static int foreign_type(struct repr *r, const struct pickle_value *class,
                        const struct pickle_value *state)
{
    int e = repr_value(r, class);

    if (!e)
        e = repr_value(r, state);
    return e ? e : 1;
}

/* Signature's state is (return type, arguments, receiver, Python's signature). */
static bool is_signature(const struct pickle_value *v)
{
    return v->type == PICKLE_NEWOBJ && v->state && v->state->type == PICKLE_TUPLE &&
           v->state->count == 4 &&
           (is_class(v->items[0], "numba.core.typing.templates", "Signature") ||
            is_class(v->items[0], "numba.typing.templates", "Signature"));
}

int repr_numba(struct repr *r, const struct pickle_value *v)
{
    const struct pickle_value *class, *state;
    int e;

    if (is_signature(v)) {
        e = repr_value(r, v->state->items[1]);
        if (!e)
            e = repr_text(r, " -> ");
        if (!e)
            e = repr_value(r, v->state->items[0]);
        return e ? e : 1;
    }
    if (!is_type(v, &class, &state))
        return 0;
    e = type_name(r, class, state);
    return e ? e : foreign_type(r, class, state);
}
