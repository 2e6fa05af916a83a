#pragma once
/* Many short texts that live and die together, packed one behind the other: an allocation of its
 * own for each would cost as much again. */

#include <stddef.h>
#include <stdint.h>

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

/* A hash of the SIZE bytes of TEXT: any of its bits may be taken alone. The same in one run of the
 * program only. */
uint64_t text_hash(const char *text, size_t size);

/* Numbers by text. The texts are borrowed. Zero-initialise. */
enum { TEXT_TABLE_NONE = UINT32_MAX };
struct text_table {
    struct text_slot {
        const char *text;
        uint32_t size, value;
    } * slots; /* a power of two, half full at most; value TEXT_TABLE_NONE: free; owned */
    size_t room, count;
};

/* The number of TEXT, of SIZE bytes, or TEXT_TABLE_NONE. */
uint32_t text_table_get(const struct text_table *t, const char *text, size_t size);
/* Gives it a number, unless it has one. 0 or -ENOMEM. */
int text_table_put(struct text_table *t, const char *text, size_t size, uint32_t value);
void text_table_free(struct text_table *t); /* also resets to empty */
