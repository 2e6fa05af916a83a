/* Reads the names of modules, functions and classes in a cache. */

#include "numba/code_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "numba/index.h"
#include "numba/object_code.h"
#include "numba/pickle.h"

enum {
    LONGEST_PATH = 4096,
    MOST_BYTES = 16 << 20, /* of all names; real ones have some kilobytes */
    DEEPEST = 4,           /* pickles in pickles */
};

/* ".NumbaEnv.MODULE.QUALNAME", mangled. */
#define ENVIRONMENT "_ZN08NumbaEnv"

struct reading {
    struct code_names *out;
    unsigned depth;
    int r; /* the first failure, in callbacks that cannot return one */
};

static int add_text(struct code_names *n, const char **out, const void *text, size_t size)
{
    n->used += size + 1;
    if (n->used > MOST_BYTES)
        return -EFBIG;
    *out = texts_add(&n->texts, text, size);
    return *out ? 0 : -ENOMEM;
}

static bool is_name(const struct pickle_value *v)
{
    return v && v->type == PICKLE_STR && !memchr(v->data, 0, v->size);
}

/* The mangled parts of a symbol, joined by dots: "3pkg3low4step..." is "pkg.low.step". */
static int read_path(struct code_names *n, const char *symbol, size_t room, const char **out)
{
    char path[LONGEST_PATH];
    size_t used = 0, at = strlen(ENVIRONMENT);

    *out = NULL;
    while (at < room && symbol[at] >= '0' && symbol[at] <= '9') {
        size_t length = 0;

        for (; at < room && symbol[at] >= '0' && symbol[at] <= '9'; at++) {
            length = length * 10 + (size_t)(symbol[at] - '0');
            if (length > room)
                return 0;
        }
        if (length > room - at || used + length + 1 > sizeof path || memchr(symbol + at, 0, length))
            return 0;
        if (used > 0)
            path[used++] = '.';
        memcpy(path + used, symbol + at, length);
        used += length;
        at += length;
    }
    return used > 0 ? add_text(n, out, path, used) : 0;
}

static int add_function(struct code_names *n, const char *symbol, size_t room,
                        const struct pickle_value *module)
{
    struct code_function f = {0};
    int r = read_path(n, symbol, room, &f.path);

    if (r < 0 || !f.path)
        return r;
    if (module)
        r = add_text(n, &f.module, module->data, module->size);
    if (r == 0)
        r = array_add(n->functions, n->function_count, f);
    return r;
}

static bool note_symbol(void *arg, const char *name, size_t room, bool undefined)
{
    struct reading *reading = arg;

    (void)undefined;
    reading->r = add_function(reading->out, name, room, NULL);
    return reading->r == 0;
}

static int read_object(struct reading *reading, const struct pickle_value *v)
{
    struct object_code o;

    if (object_read(&o, v->data, v->size) != OBJECT_WHOLE)
        return 0;
    reading->r = 0;
    object_each_symbol(&o, ENVIRONMENT, note_symbol, reading);
    return reading->r;
}

static int add_global(struct code_names *n, const struct pickle_value *v)
{
    struct code_global g;
    int r;

    if (v->count != 2 || !is_name(v->items[0]) || !is_name(v->items[1]))
        return 0;
    r = add_text(n, &g.module, v->items[0]->data, v->items[0]->size);
    if (r == 0)
        r = add_text(n, &g.name, v->items[1]->data, v->items[1]->size);
    if (r == 0)
        r = array_add(n->globals, n->global_count, g);
    return r;
}

static bool is_global(const struct pickle_value *v, const char *name)
{
    return v && v->type == PICKLE_GLOBAL && v->count == 2 && pickle_is_str(v->items[1], name);
}

/* _rebuild_env(module, constants, symbol): what a function's globals are, and its constants. */
static int read_environment(struct reading *reading, const struct pickle_value *v)
{
    const struct pickle_value *args = v->count == 2 ? v->items[1] : NULL;

    if (!args || !is_global(v->items[0], "_rebuild_env") || args->type != PICKLE_TUPLE ||
        args->count != 3 || !is_name(args->items[2]) ||
        args->items[2]->size <= strlen(ENVIRONMENT) ||
        memcmp(args->items[2]->data, ENVIRONMENT, strlen(ENVIRONMENT)) != 0)
        return 0;
    if (args->items[0] && args->items[0]->type == PICKLE_NONE)
        reading->out->is_nameless = true;
    if (!is_name(args->items[0]))
        return 0;
    return add_function(reading->out, (const char *)args->items[2]->data, args->items[2]->size,
                        args->items[0]);
}

/* The text of a member of an object's state. */
static const struct pickle_value *member(const struct pickle_value *dict, const char *name)
{
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        if (pickle_is_str(dict->items[i], name) && is_name(dict->items[i + 1]))
            return dict->items[i + 1];
    return NULL;
}

static bool is_false(const struct pickle_value *dict, const char *name)
{
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        if (pickle_is_str(dict->items[i], name) && dict->items[i + 1])
            return dict->items[i + 1]->type == PICKLE_BOOL && !dict->items[i + 1]->boolean;
    return false;
}

/* A function's description, whose state is (None, {"modname": ..., ...}). */
static int read_description(struct code_names *n, const struct pickle_value *v)
{
    const struct pickle_value *state = v->state, *module, *qualname;
    int r = 0;

    if (n->module || v->count < 1 || !is_global(v->items[0], "PythonFunctionDescriptor") || !state)
        return 0;
    if (state->type == PICKLE_TUPLE && state->count == 2)
        state = state->items[1];
    if (state->type != PICKLE_DICT)
        return 0;
    module = member(state, "modname");
    qualname = member(state, "qualname");
    if (module)
        r = add_text(n, &n->module, module->data, module->size);
    if (r == 0 && qualname)
        r = add_text(n, &n->qualname, qualname->data, qualname->size);
    n->is_object_mode = is_false(state, "native");
    return r;
}

static int read_value(void *arg, const struct pickle_value *v);

/* What Numba pickles by value, such as a function without a module, lies in a pickle of its own. */
static int read_inner(struct reading *reading, const struct pickle_value *v)
{
    struct reading inner = {.out = reading->out, .depth = reading->depth + 1};
    struct pickle *p;
    size_t used;
    int r;

    if (inner.depth > DEEPEST || v->size < 4 || v->data[0] != 0x80 || v->data[1] > 5)
        return 0;
    r = pickle_read(&p, v->data, v->size, &used, NULL, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : 0; /* bytes that only look so */
    r = pickle_walk(pickle_root(p), read_value, &inner);
    pickle_free(p);
    return r;
}

static int read_value(void *arg, const struct pickle_value *v)
{
    struct reading *reading = arg;

    switch (v->type) {
    case PICKLE_GLOBAL:
        return add_global(reading->out, v);
    case PICKLE_BYTES:
        if (object_is_elf(v->data, v->size))
            return read_object(reading, v);
        return read_inner(reading, v);
    case PICKLE_REDUCE:
        return read_environment(reading, v);
    case PICKLE_NEWOBJ:
        return read_description(reading->out, v);
    default:
        return 0;
    }
}

/* By path, those with a module first. */
static int compare_functions(const void *a, const void *b)
{
    const struct code_function *x = a, *y = b;
    int d = strcmp(x->path, y->path);

    if (d != 0)
        return d;
    if (x->module && y->module)
        return strcmp(x->module, y->module);
    return (y->module != NULL) - (x->module != NULL);
}

static int compare_globals(const void *a, const void *b)
{
    const struct code_global *x = a, *y = b;
    int d = strcmp(x->module, y->module);

    return d != 0 ? d : strcmp(x->name, y->name);
}

static void sort(struct code_names *n)
{
    size_t kept = 0;

    array_sort(n->functions, n->function_count, compare_functions);
    for (size_t i = 0; i < n->function_count; i++) {
        const struct code_function *last = kept > 0 ? n->functions + kept - 1 : NULL, *f;

        f = n->functions + i;
        if (!last || strcmp(last->path, f->path) != 0 ||
            (f->module && compare_functions(last, f) != 0))
            n->functions[kept++] = *f;
    }
    n->function_count = kept;
    kept = 0;
    array_sort(n->globals, n->global_count, compare_globals);
    for (size_t i = 0; i < n->global_count; i++)
        if (kept == 0 || compare_globals(n->globals + kept - 1, n->globals + i) != 0)
            n->globals[kept++] = n->globals[i];
    n->global_count = kept;
}

static int finish(struct code_names *out, int r, struct wp_error *err)
{
    if (r == -EFBIG)
        return error_set(err, EFBIG, NULL, "more names than any cache of Numba's has");
    if (r < 0)
        return error_nomem(err);
    sort(out);
    return 0;
}

int code_names_read_data(struct code_names *out, const unsigned char *data, size_t size,
                         struct wp_error *err)
{
    struct reading reading = {.out = out};
    struct wp_error why = {0};
    struct pickle *p;
    int r;

    *out = (struct code_names){0};
    r = index_read_data(&p, data, size, &why);
    if (r == -ENOTSUP)
        return 0; /* nothing is known of it */
    if (r < 0) {
        if (err)
            *err = why;
        return r;
    }
    r = pickle_walk(pickle_root(p), read_value, &reading);
    pickle_free(p);
    return finish(out, r, err);
}

int code_names_read_index(struct code_names *out, const struct index *index, struct wp_error *err)
{
    struct reading reading = {.out = out};

    *out = (struct code_names){0};
    if (!index->body_pickle)
        return 0;
    return finish(out, pickle_walk(pickle_root(index->body_pickle), read_value, &reading), err);
}

void code_names_clear(struct code_names *n)
{
    free(n->functions);
    free(n->globals);
    texts_free(&n->texts);
    *n = (struct code_names){0};
}
