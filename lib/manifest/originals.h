#pragma once
/* Lines of state.jsonl, before the last one, that keep indexes as they were before their keys were
 * made another CPU's. */

#include "base/buf.h"
#include "base/error.h"

struct manifest_original {
    char *index;     /* its path in the archive; owned */
    struct buf text; /* owned */
};
struct manifest_originals {
    struct manifest_original *list; /* owned */
    size_t count;
};

/* Appends a line for INDEX, whose bytes were TEXT. -EFBIG: it is longer than a line may be. */
int originals_write(struct buf *out, const char *index, const struct buf *text);
/* Reads those of state.jsonl's TEXT, of SIZE bytes; other lines are passed over. NAME is for
 * messages. OUT is to be cleared in any case. */
int originals_read(struct manifest_originals *out, const void *text, size_t size, const char *name,
                   struct wp_error *err);
/* The one of INDEX, or NULL. */
const struct manifest_original *originals_find(const struct manifest_originals *o,
                                               const char *index);
/* Appends to OUT what TEXT has besides such lines. 0 or -ENOMEM. */
int originals_leave_out(struct buf *out, const void *text, size_t size);
void originals_clear(struct manifest_originals *o);
