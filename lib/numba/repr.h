#pragma once
/* Values of a pickle as Python prints them. Nothing is executed, so what a class would print of
 * itself is known for Numba's own types alone; everything else is shown as what it is made of. */

#include "base/buf.h"
#include "numba/pickle.h"

/* Appends what str() and repr() give. Classes that are not known are shown by their name and
 * state, values nested too deep and text beyond a limit as "...". 0 or -ENOMEM. */
int repr_str(const struct pickle_value *v, struct buf *out);
int repr_repr(const struct pickle_value *v, struct buf *out);

/* How far a value is followed: pickles can share and nest without end. */
struct repr {
    struct buf *out;
    size_t limit; /* bytes of OUT at which it stops */
    unsigned depth;
};
int repr_value(struct repr *r, const struct pickle_value *v);
int repr_text(struct repr *r, const char *text);
int repr_bytes(struct repr *r, const unsigned char *data, size_t n);

/* Private to lib/numba/repr*.c: prints what Numba itself would know how to print. 1: done; 0: not
 * a thing of Numba's; -ENOMEM. */
int repr_numba(struct repr *r, const struct pickle_value *v);
