#pragma once
/* Writing a pickle from pieces of others.
 *
 * Nothing is executed and no value is taken apart: opcodes are copied as they are, so that what
 * they make is what they made, whatever that is. Only the numbers of the memo are others. A
 * reference to a value that the new pickle does not have yet is replaced by the opcodes that made
 * the value, at its first use; so each value that was shared is shared again, and what is left out
 * leaves no gap.
 *
 * For lib/numba alone. */

#include "base/buf.h"
#include "numba/pickle_trace.h"

/* The pickle being written. Zero-initialise but for PROTOCOL; OUT is to be freed. */
struct pickle_writer {
    struct buf out;    /* what is written of the body; owned */
    unsigned protocol; /* 3 to 5: below 4 there is no MEMOIZE and no FRAME */
    size_t memo;       /* entries of the new memo */
    size_t most;       /* bytes of OUT that are not to be exceeded */
};

/* A traced pickle that pieces are taken from. */
struct pickle_copy {
    const struct pickle *from;      /* borrowed */
    const unsigned char *data;      /* borrowed; what it was read from */
    size_t *numbers;                /* of each entry of its memo: the new number + 1, or 0; owned */
    const struct memo_entry **list; /* its entries by where they begin, the longest first; owned */
};
/* FROM was read with limits.trace. -ENOTSUP where a value in it is changed after it was made, which
 * no piece would show. */
int pickle_copy_begin(struct pickle_copy *c, const struct pickle *from, const unsigned char *data,
                      struct wp_error *err);
void pickle_copy_end(struct pickle_copy *c);

/* Writes the opcodes of SPAN, which is what pushes one value, or a part of that. Where BUT is not
 * NULL, it is a span that the caller writes in another way: what holds it becomes another value,
 * and the new memo does not know that one. Errors: -ENOTSUP for a value that refers to one which is
 * not finished and which SPAN is not within; -EFBIG; -ENOMEM. OUT is then of no use. */
int pickle_copy_span(struct pickle_copy *c, struct pickle_writer *w, struct pickle_span span,
                     const struct pickle_span *but, struct wp_error *err);

/* Writes a text of N bytes, which are UTF-8, as a literal that the memo does not know. */
int pickle_write_text(struct pickle_writer *w, const void *text, size_t n, struct wp_error *err);
/* Writes one opcode without an argument. */
int pickle_write_op(struct pickle_writer *w, unsigned char op, struct wp_error *err);
/* Puts what was written last into the memo, as *NUMBER; and writes a reference to such a value. */
int pickle_write_put(struct pickle_writer *w, size_t *number, struct wp_error *err);
int pickle_write_get(struct pickle_writer *w, size_t number, struct wp_error *err);

/* Adds to OUT the whole pickle: the protocol, one frame, and the body, which must leave one value.
 */
int pickle_writer_finish(struct pickle_writer *w, struct buf *out, struct wp_error *err);
