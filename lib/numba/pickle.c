/* Reads pickles: framing, the memo, the table of opcodes, and the loop that follows it.
 * Source of the rules: CPython, Lib/pickle.py and Lib/pickletools.py. */

#include "pickle_machine.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_DEPTH = 1000, LOWEST_PROTOCOL = 3, HIGHEST_PROTOCOL = 5 };
#define DEFAULT_MEMORY ((size_t)256 << 20)

/* ---- Framing and the stack --------------------------------------------------------------- */

static int op_proto(struct machine *m, const struct opcode *o)
{
    (void)o;
    uint64_t version;
    int r = machine_number(m, 1, &version);
    if (r < 0)
        return r;
    if (version < LOWEST_PROTOCOL || version > HIGHEST_PROTOCOL)
        return machine_foreign(m, "Numba writes protocols 3 to 5, and this is %d", (int)version);
    return machine_note(m, EVENT_FRAMING, NULL);
}

/* Frames are a hint for reading ahead, and what they hold can be read without. How far they claim
 * to go is kept: CPython refuses a frame that goes beyond the data. */
static int op_frame(struct machine *m, const struct opcode *o)
{
    (void)o;
    uint64_t n, end;
    int r = machine_number(m, 8, &n);
    if (r < 0)
        return r;
    if (__builtin_add_overflow((uint64_t)m->pos, n, &end))
        end = UINT64_MAX;
    if (end > m->pickle->frame_end)
        m->pickle->frame_end = end;
    return machine_note(m, EVENT_FRAMING, NULL);
}

static int op_stop(struct machine *m, const struct opcode *o)
{
    (void)o;
    m->stopped = true;
    return machine_pop(m, &m->pickle->root);
}

static int op_mark(struct machine *m, const struct opcode *o)
{
    (void)o;
    return machine_mark(m);
}

static int op_pop_mark(struct machine *m, const struct opcode *o)
{
    (void)o;
    struct pickle_value **items;
    size_t n;
    return machine_pop_mark(m, &items, &n);
}

/* POP takes a mark where a mark is what stands on top. */
static int op_pop(struct machine *m, const struct opcode *o)
{
    struct pickle_value *v;
    if (m->mark_count > 0 && m->marks[m->mark_count - 1].depth == m->depth)
        return op_pop_mark(m, o);
    return machine_pop(m, &v);
}

/* ---- The memo ---------------------------------------------------------------------------- */

static int op_get(struct machine *m, const struct opcode *o)
{
    uint64_t index;
    int r = machine_number(m, o->width, &index);
    if (r < 0)
        return r;
    const struct memo_entry *entry = memo_get(m, index);
    if (!entry)
        return machine_fail(m, "nothing in the memo at %llu", (unsigned long long)index);
    r = machine_note(m, EVENT_GET, entry);
    if (r == 0)
        r = machine_push(m, entry->value);
    if (r == 0)
        m->places[m->depth - 1].shared = true;
    return r;
}

static int op_put(struct machine *m, const struct opcode *o)
{
    uint64_t index;
    struct pickle_value *v;
    int r = machine_number(m, o->width, &index);
    if (r < 0)
        return r;
    r = machine_top(m, &v);
    return r < 0 ? r : memo_put(m, index);
}

static int op_memoize(struct machine *m, const struct opcode *o)
{
    (void)o;
    struct pickle_value *v;
    int r = machine_top(m, &v);
    return r < 0 ? r : memo_put(m, m->memo_count);
}

/* ---- The table --------------------------------------------------------------------------- */

static const struct opcode opcodes[256] = {
    [OP_PROTO] = {"PROTO", op_proto},
    [0x95] = {"FRAME", op_frame},
    [OP_STOP] = {"STOP", op_stop},
    [OP_MARK] = {"MARK", op_mark},
    ['0'] = {"POP", op_pop},
    ['1'] = {"POP_MARK", op_pop_mark},

    ['h'] = {"BINGET", op_get, .width = 1},
    ['j'] = {"LONG_BINGET", op_get, .width = 4},
    ['q'] = {"BINPUT", op_put, .width = 1},
    ['r'] = {"LONG_BINPUT", op_put, .width = 4},
    [0x94] = {"MEMOIZE", op_memoize},

    ['N'] = {"NONE", op_constant, PICKLE_NONE},
    [0x88] = {"NEWTRUE", op_constant, PICKLE_BOOL, 1},
    [0x89] = {"NEWFALSE", op_constant, PICKLE_BOOL, 0},
    ['J'] = {"BININT", op_int, .width = 4},
    ['K'] = {"BININT1", op_int, .width = 1},
    ['M'] = {"BININT2", op_int, .width = 2},
    [0x8a] = {"LONG1", op_long, .width = 1},
    [0x8b] = {"LONG4", op_long, .width = 4},
    ['G'] = {"BINFLOAT", op_float},

    ['X'] = {"BINUNICODE", op_counted, PICKLE_STR, 4},
    [0x8c] = {"SHORT_BINUNICODE", op_counted, PICKLE_STR, 1},
    [0x8d] = {"BINUNICODE8", op_counted, PICKLE_STR, 8},
    ['B'] = {"BINBYTES", op_counted, PICKLE_BYTES, 4},
    ['C'] = {"SHORT_BINBYTES", op_counted, PICKLE_BYTES, 1},
    [0x8e] = {"BINBYTES8", op_counted, PICKLE_BYTES, 8},
    [0x96] = {"BYTEARRAY8", op_counted, PICKLE_BYTEARRAY, 8},

    [')'] = {"EMPTY_TUPLE", op_empty, PICKLE_TUPLE},
    [']'] = {"EMPTY_LIST", op_empty, PICKLE_LIST},
    ['}'] = {"EMPTY_DICT", op_empty, PICKLE_DICT},
    [0x8f] = {"EMPTY_SET", op_empty, PICKLE_SET},
    ['t'] = {"TUPLE", op_collect, PICKLE_TUPLE},
    [0x91] = {"FROZENSET", op_collect, PICKLE_FROZENSET},
    [0x85] = {"TUPLE1", op_combine, PICKLE_TUPLE, 1},
    [0x86] = {"TUPLE2", op_combine, PICKLE_TUPLE, 2},
    [0x87] = {"TUPLE3", op_combine, PICKLE_TUPLE, 3},
    ['a'] = {"APPEND", op_give_topmost, PICKLE_LIST, 1},
    ['e'] = {"APPENDS", op_give_marked, PICKLE_LIST},
    ['s'] = {"SETITEM", op_give_topmost, PICKLE_DICT, 2},
    ['u'] = {"SETITEMS", op_give_marked, PICKLE_DICT},
    [0x90] = {"ADDITEMS", op_give_marked, PICKLE_SET},

    ['c'] = {"GLOBAL", op_global},
    [0x93] = {"STACK_GLOBAL", op_combine, PICKLE_GLOBAL, 2},
    ['R'] = {"REDUCE", op_combine, PICKLE_REDUCE, 2},
    [0x81] = {"NEWOBJ", op_combine, PICKLE_NEWOBJ, 2},
    [0x92] = {"NEWOBJ_EX", op_combine, PICKLE_NEWOBJ_EX, 3},
    ['b'] = {"BUILD", op_build},
};

/* DUP and what protocols below 3, the extension registry, persistent IDs and buffers outside of the
 * pickle need. */
static bool is_of_others(unsigned char byte)
{
    static const unsigned char theirs[] = "2gpILFSTUVldioPQ\x82\x83\x84\x97\x98";
    return memchr(theirs, byte, sizeof(theirs) - 1);
}

static int no_opcode(struct machine *m)
{
    unsigned char byte = m->data[m->op];
    if (is_of_others(byte))
        return machine_foreign(m, "Numba does not write opcode 0x%02x", byte);
    return machine_fail(m, "0x%02x is no opcode", byte);
}

static int check_begin(struct machine *m)
{
    if (m->size == 0)
        return machine_fail(m, "empty");
    if (m->data[0] != OP_PROTO && (opcodes[m->data[0]].name || is_of_others(m->data[0])))
        return machine_foreign(m, "it does not begin with its protocol");
    return 0;
}

static int run(struct machine *m)
{
    int r = check_begin(m);
    while (r == 0 && !m->stopped) {
        m->op = m->begin = m->end = m->pos;
        if (m->pos == m->size)
            return machine_fail(m, "the data end before the pickle does");
        const struct opcode *o = &opcodes[m->data[m->pos++]];
        r = o->name ? o->run(m, o) : no_opcode(m);
    }
    return r;
}

int pickle_read(struct pickle **out, const unsigned char *data, size_t size, size_t *used,
                const struct pickle_limits *limits, struct wp_error *err)
{
    struct machine m = {.data = data, .size = size, .err = err};
    *out = NULL;
    m.pickle = calloc(1, sizeof(*m.pickle));
    if (!m.pickle)
        return error_nomem(err);
    m.pickle->arena.limit = limits && limits->memory ? limits->memory : DEFAULT_MEMORY;
    m.mark_limit = limits && limits->depth ? limits->depth : DEFAULT_DEPTH;
    m.marks = calloc(m.mark_limit, sizeof(*m.marks));

    if (limits && limits->trace)
        m.pickle->trace = arena_alloc(&m.pickle->arena, sizeof(*m.pickle->trace));
    bool ready = m.marks && (m.pickle->trace || !limits || !limits->trace);
    int r = ready ? run(&m) : error_nomem(err);
    free(m.stack);
    free(m.places);
    free(m.marks);
    if (r < 0) {
        pickle_free(m.pickle);
        return r;
    }
    *used = m.pos;
    *out = m.pickle;
    return 0;
}

struct pickle_value *pickle_root(struct pickle *p)
{
    return p->root;
}

uint64_t pickle_frame_end(const struct pickle *p)
{
    return p->frame_end;
}

void pickle_free(struct pickle *p)
{
    if (!p)
        return;
    arena_free(&p->arena);
    free(p);
}

bool pickle_is_str(const struct pickle_value *v, const char *text)
{
    size_t n = strlen(text);
    return v && v->type == PICKLE_STR && v->size == n && memcmp(v->data, text, n) == 0;
}
