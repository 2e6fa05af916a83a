#pragma once
/* A pickle reader that executes nothing: it builds a graph of plain values. Classes and calls
 * stay data. It reads protocols 3 to 5, less the opcodes that no Numba ever wrote; depth and memory
 * are bounded.
 *
 * Source of the rules: CPython 3.13, Lib/pickle.py and Lib/pickletools.py. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum pickle_type {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_BIGINT,
    PICKLE_FLOAT,
    PICKLE_BYTES,
    PICKLE_BYTEARRAY,
    PICKLE_STR,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_SET,
    PICKLE_FROZENSET,
    PICKLE_GLOBAL,
    PICKLE_REDUCE,
    PICKLE_NEWOBJ,
    PICKLE_NEWOBJ_EX
};

/* A piece of a pickle: opcodes that push one value, onto any stack, and leave everything else as it
 * was. Offsets from the pickle's start; END is behind it. */
struct pickle_span {
    size_t at, end;
};

/* A value; the graph may have cycles (a list that holds itself), so walkers bound their depth.
 * All memory belongs to the struct pickle. */
struct pickle_value {
    enum pickle_type type;
    bool boolean;
    int64_t integer;             /* INT */
    double real;                 /* FLOAT */
    const unsigned char *data;   /* STR (UTF-8, surrogatepass), BYTES, BYTEARRAY; BIGINT:
                                    little-endian two's complement */
    size_t size;                 /* of data */
    size_t at;                   /* offset of the opcode that made it, from the pickle's start */
    size_t end;                  /* offset behind it; AT and END enclose the literal's bytes */
    struct pickle_value **items; /* TUPLE, LIST, SET, FROZENSET: members; DICT: key, value, ...;
                                    GLOBAL: module, name (both STR); REDUCE, NEWOBJ: callable or
                                    class, arguments; NEWOBJ_EX: class, args, kwargs */
    size_t count;
    struct pickle_span *spans;  /* of a traced pickle's TUPLE or DICT: what pushed each item */
    struct pickle_value *state; /* what BUILD gave, or NULL */
    struct pickle_value **more; /* APPEND(S)/SETITEM(S) on something that is not a list or dict */
    size_t more_count;
};

struct pickle; /* owns a graph */

struct pickle_limits {
    size_t memory; /* bytes for the graph; 0: 256 MiB */
    size_t depth;  /* of marks; 0: 1000 */
    bool trace;    /* note how the values came to be, for lib/numba/pickle_copy.h */
};

/* Reads one pickle from the start of DATA; *USED is its length. The values point into DATA where
 * they can: DATA must outlive the pickle. Errors, with text that says what and at which offset:
 * -ENOTSUP for a pickle that no Numba wrote (of a protocol below 3 or above 5, or with an opcode
 * that only other programs use); -EINVAL for what is malformed or truncated; -ENOMEM also where the
 * limit is reached. */
int pickle_read(struct pickle **out, const unsigned char *data, size_t size, size_t *used,
                const struct pickle_limits *limits, struct wp_error *err);
struct pickle_value *pickle_root(struct pickle *p);
/* The furthest offset to which a FRAME claims to go; 0 without frames. Reading does not depend on
 * it, but CPython's C unpickler refuses a pickle whose frame goes beyond the end of its data. */
uint64_t pickle_frame_end(const struct pickle *p);
void pickle_free(struct pickle *p);

bool pickle_is_str(const struct pickle_value *v, const char *text);

/* Do A and B say the same: are they of one form, and their parts too, whatever is shared within
 * them? What holds itself is equal where no way through it shows a difference. 1 and 0; it errs on
 * the side of 0 for values that Python holds equal although they are written in other ways (1 and
 * 1.0, dicts and sets in another order). -ENOTSUP where they nest too deep or are too large to be
 * compared; -ENOMEM. */
int pickle_equal(const struct pickle_value *a, const struct pickle_value *b);
/* The same number for equal values, and most often another for others. */
uint64_t pickle_hash(const struct pickle_value *v);

/* Hands every value that ROOT leads to, itself included, to FN, each once, until FN returns less
 * than 0, which is returned then. -ENOMEM. */
int pickle_walk(const struct pickle_value *root, int (*fn)(void *arg, const struct pickle_value *v),
                void *arg);
