#pragma once
/* The inside of the pickle reader: a stack machine that the opcodes' handlers work on.
 * Private to lib/numba/pickle*.c. */

#include "base/error.h"
#include "numba/pickle.h"
#include "numba/pickle_trace.h"

/* A run of memory that is handed out piece by piece and freed as a whole. */
struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t left;  /* bytes free at the end of the newest block */
    size_t next;  /* size of the next block */
    size_t used;  /* bytes charged so far: blocks, and the machine's stack */
    size_t limit; /* what USED may not exceed */
    bool full;    /* the limit was met: the data ask for too much, and the machine has memory */
};

void *arena_alloc(struct arena *a, size_t size); /* aligned for anything; zeroed; NULL: no more */
void arena_free(struct arena *a);

struct pickle {
    struct arena arena;
    struct pickle_value *root;
    uint64_t frame_end;         /* the furthest end that a FRAME claims; may lie beyond the data */
    struct pickle_trace *trace; /* NULL: not asked for */
};

/* A value with what is needed to let it grow. Every value of a pickle is one of these. */
struct node {
    struct pickle_value value; /* first, so that a pointer to it is one to the node */
    size_t items_room;
    size_t more_room;
};

struct memo_level; /* a node of the memo's tree */

/* Where a value of the stack came from. */
struct place {
    struct pickle_span span; /* END is set when the value is taken off the stack */
    struct memo_entry *memo; /* the newest entry that was made of it while it stood here, or NULL */
    bool shared;             /* a GET has pushed it */
};

struct machine {
    const unsigned char *data;
    size_t size;
    size_t pos; /* where the next byte is read */
    size_t op;  /* offset of the opcode being carried out */
    struct pickle *pickle;
    struct pickle_value **stack; /* owned */
    struct place *places;        /* owned: of each value of the stack */
    size_t depth, room;
    struct mark *marks; /* owned, innermost last */
    size_t mark_count, mark_limit;
    /* Of the opcode being carried out: where a value that it pushes begins, and where one that it
     * takes ends. */
    size_t begin, end;
    struct memo_level *memo; /* in the arena */
    size_t memo_count;       /* indices that hold something */
    size_t entries;          /* that were ever made */
    bool stopped;
    struct wp_error *err;
};

/* What a MARK opcode leaves. */
struct mark {
    size_t depth; /* of the stack below */
    size_t at;    /* offset of the opcode */
};

/* What one byte of a pickle means. */
struct opcode {
    const char *name; /* NULL: there is no such opcode */
    int (*run)(struct machine *m, const struct opcode *o);
    enum pickle_type type; /* of the value made, where the handler serves several */
    unsigned char width;   /* bytes of the argument or of its length; members of a tuple */
};

/* Fills the machine's error with the opcode's offset and the text; returns -EINVAL. */
#define machine_fail(...) error_negative(machine_fill(__VA_ARGS__))
int machine_fill(struct machine *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for what no Numba wrote; returns -ENOTSUP. */
int machine_foreign(struct machine *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Reading. machine_take: N bytes. machine_line: up to a newline, which is eaten and not counted.
 * machine_number: WIDTH bytes, little-endian, unsigned. */
int machine_take(struct machine *m, uint64_t n, const unsigned char **out);
int machine_line(struct machine *m, const unsigned char **text, size_t *n);
int machine_number(struct machine *m, unsigned width, uint64_t *out);

/* Fills the error and returns what there is to return where there is no memory: -ENOMEM, or -EINVAL
 * where the limit is reached. */
int machine_no_memory(struct machine *m);
/* A new value of TYPE that ends where the machine reads now; NULL on no memory. */
struct pickle_value *machine_new(struct machine *m, enum pickle_type type);
int machine_push(struct machine *m, struct pickle_value *v);
int machine_push_new(struct machine *m, enum pickle_type type, struct pickle_value **out);

/* The stack above the innermost mark: nothing below it can be reached. */
int machine_pop(struct machine *m, struct pickle_value **out);
int machine_top(struct machine *m, struct pickle_value **out);
int machine_mark(struct machine *m);
/* Ends the innermost mark; what stood above it is *ITEMS, valid until the next push. */
int machine_pop_mark(struct machine *m, struct pickle_value ***items, size_t *count);

/* Adds N values to the members of V, or with MORE to what else V was given. Those of a TUPLE or
 * DICT must be what was taken off the stack last. */
int machine_extend(struct machine *m, struct pickle_value *v, bool more,
                   struct pickle_value *const *values, size_t n);

/* The memo: any index of 32 bits, at a cost that does not depend on it. */
int memo_put(struct machine *m, uint64_t index); /* what stands on top of the stack */
const struct memo_entry *memo_get(const struct machine *m, uint64_t index); /* NULL: none */

/* Notes the opcode being carried out, where the pickle is traced; ENTRY may be NULL. */
int machine_note(struct machine *m, enum pickle_event_kind kind, const struct memo_entry *entry);
/* The same of one that changes the value on top. */
void machine_note_change(struct machine *m);

/* Handlers of literals (pickle_literals.c). */
int op_constant(struct machine *m, const struct opcode *o);
int op_int(struct machine *m, const struct opcode *o);
int op_long(struct machine *m, const struct opcode *o);
int op_float(struct machine *m, const struct opcode *o);
int op_counted(struct machine *m, const struct opcode *o);
/* Containers and objects (pickle_objects.c). */
int op_empty(struct machine *m, const struct opcode *o);
int op_collect(struct machine *m, const struct opcode *o);
int op_combine(struct machine *m, const struct opcode *o);
int op_give_topmost(struct machine *m, const struct opcode *o);
int op_give_marked(struct machine *m, const struct opcode *o);
int op_build(struct machine *m, const struct opcode *o);
int op_global(struct machine *m, const struct opcode *o);
