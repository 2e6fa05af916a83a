#pragma once
/* How a pickle came to be: what pickle_read notes where it is asked to trace. For
 * lib/numba/pickle*.c alone. All memory belongs to the struct pickle. */

#include "numba/pickle.h"

/* The opcodes that the reader and those who write pickles speak of. */
enum {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_BINUNICODE = 'X',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_SETITEM = 's',
    OP_EMPTY_DICT = '}',
    OP_PROTO = 0x80,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_LONG1 = 0x8a,
    OP_SHORT_BINUNICODE = 0x8c,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95
};

/* A value that was put into the memo. */
struct memo_entry {
    struct pickle_value *value;
    struct pickle_span span;  /* what pushed it; END is 0 until it is taken off the stack */
    struct memo_entry *below; /* the entry that was made of the same place before, or NULL */
    size_t number;            /* in the order of the pickle, from 0 */
};

/* An opcode that another pickle cannot have as it is. */
enum pickle_event_kind {
    EVENT_PUT,    /* PUT, MEMOIZE: the number is another one there */
    EVENT_GET,    /* likewise */
    EVENT_FRAMING /* PROTO, FRAME */
};
struct pickle_event {
    struct pickle_span span;
    enum pickle_event_kind kind;
    const struct memo_entry *entry; /* PUT, GET */
};

struct pickle_trace {
    struct pickle_event *events; /* in the order of the pickle */
    size_t count, room;
    size_t entries;      /* of the memo, those that were overwritten included */
    bool changes_shared; /* a value is changed after it was pushed, through a GET */
};
