#pragma once
/* The key of an overload: (signature, magic, code).
 * Source: Numba 0.52 to 0.67, core/caching.py, Cache._index_key; core/codegen.py, magic_tuple. */

#include "base/buf.h"
#include "numba/pickle.h"

struct key {
    char *signature; /* what str() of the first part gives; NULL: no such part */
    /* The CPU that it was compiled for; NULL where the second part is not that of CPU code. */
    char *triple, *cpu, *features;
    char *target;       /* what repr() of such another second part gives; else NULL */
    char *code, *cells; /* hex digests of the bytecode and of the closure's cells; NULL: not so */
};

/* 0 or -ENOMEM. A part that has another form than Numba's is left NULL. A NUL within a text is
 * written as "\x00". */
int key_read(struct key *out, const struct pickle_value *v);
/* The same of the CPU alone. */
int key_read_cpu(struct key *out, const struct pickle_value *v);
void key_clear(struct key *k);

/* Does the code belong to a closure over something? */
bool key_is_closure(const struct key *k);
