#pragma once
/* Many short texts that live and die together, packed one behind the other: an allocation of its
 * own for each would cost as much again. */

#include <stddef.h>

struct texts_block;
struct texts {
    struct texts_block *blocks; /* the first is being filled; owned */
    size_t used, room;          /* bytes of it */
};

/* A copy of the N bytes of TEXT with a NUL behind them, or NULL: no memory. */
char *texts_add(struct texts *t, const void *text, size_t n);
/* Likewise, but LIKE (or NULL), which is a text of T already, where it is the same. */
char *texts_share(struct texts *t, const char *text, size_t n, char *like);
/* FROM's texts belong to T now. */
void texts_join(struct texts *t, struct texts *from);
void texts_free(struct texts *t);
