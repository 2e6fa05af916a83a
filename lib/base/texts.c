/* Keeps many short texts packed one behind the other. */

#include "base/texts.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 32 * 1024 }; /* bytes; longer texts have a block for themselves */

struct texts_block {
    struct texts_block *next;
    char data[];
};

static char *add_block(struct texts *t, size_t room)
{
    struct texts_block *b = malloc(sizeof *b + room);

    if (!b)
        return NULL;
    b->next = t->blocks;
    t->blocks = b;
    t->used = 0;
    t->room = room;
    return b->data;
}

char *texts_add(struct texts *t, const void *text, size_t n)
{
    char *at;

    if (n > SIZE_MAX / 2)
        return NULL;
    if (n >= t->room - t->used && !add_block(t, n < BLOCK ? BLOCK : n + 1))
        return NULL;
    at = t->blocks->data + t->used;
    memcpy(at, text, n);
    at[n] = '\0';
    t->used += n + 1;
    return at;
}

char *texts_share(struct texts *t, const char *text, size_t n, char *like)
{
    if (like && strncmp(like, text, n) == 0 && !like[n])
        return like;
    return texts_add(t, text, n);
}

void texts_join(struct texts *t, struct texts *from)
{
    struct texts_block *last = from->blocks;

    if (!last)
        return;
    while (last->next)
        last = last->next;
    last->next = t->blocks;
    *t = *from;
    *from = (struct texts){.blocks = NULL};
}

void texts_free(struct texts *t)
{
    for (struct texts_block *b = t->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *t = (struct texts){.blocks = NULL};
}
