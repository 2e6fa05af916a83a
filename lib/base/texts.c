/* Keeps many short texts packed one behind the other, and finds texts by hash. */

#include "base/texts.h"

#include <errno.h>
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

/* ---- Numbers by text --------------------------------------------------------------------- */

/* Eight bytes at a time: paths are long, and are asked for by the million. */
uint64_t text_hash(const char *text, size_t size)
{
    const uint64_t odd = 0x9e3779b97f4a7c15;
    uint64_t h = size * odd, word = 0;
    uint32_t first, last;
    size_t at = 0;

    for (; size - at > sizeof word; at += sizeof word) {
        memcpy(&word, text + at, sizeof word);
        h = (h ^ word) * odd;
        h ^= h >> 32;
    }
    /* The last bytes; some may count twice. */
    if (size >= sizeof word) {
        memcpy(&word, text + size - sizeof word, sizeof word);
    } else if (size >= sizeof last) {
        memcpy(&first, text, sizeof first);
        memcpy(&last, text + size - sizeof last, sizeof last);
        word = (uint64_t)last << 32 | first;
    } else {
        for (; at < size; at++)
            word = word << 8 | (unsigned char)text[at];
    }
    h = (h ^ word) * odd;
    return h ^ h >> 32;
}

static struct text_slot *slot_of(const struct text_table *t, const char *text, size_t size)
{
    size_t at = (size_t)text_hash(text, size);

    for (;; at++) {
        struct text_slot *s = t->slots + (at & (t->room - 1));

        if (s->value == TEXT_TABLE_NONE || (s->size == size && memcmp(s->text, text, size) == 0))
            return s;
    }
}

uint32_t text_table_get(const struct text_table *t, const char *text, size_t size)
{
    return t->room ? slot_of(t, text, size)->value : TEXT_TABLE_NONE;
}

static int grow(struct text_table *t)
{
    struct text_table larger = {.room = t->room ? 2 * t->room : 64, .count = t->count};

    larger.slots = calloc(larger.room, sizeof *larger.slots);
    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < larger.room; i++)
        larger.slots[i].value = TEXT_TABLE_NONE;
    for (size_t i = 0; i < t->room; i++)
        if (t->slots[i].value != TEXT_TABLE_NONE)
            *slot_of(&larger, t->slots[i].text, t->slots[i].size) = t->slots[i];
    free(t->slots);
    *t = larger;
    return 0;
}

int text_table_put(struct text_table *t, const char *text, size_t size, uint32_t value)
{
    struct text_slot *s;
    int r;

    if (2 * t->count >= t->room && (r = grow(t)) < 0)
        return r;
    s = slot_of(t, text, size);
    if (s->value == TEXT_TABLE_NONE) {
        *s = (struct text_slot){text, (uint32_t)size, value};
        t->count++;
    }
    return 0;
}

void text_table_free(struct text_table *t)
{
    free(t->slots);
    *t = (struct text_table){0};
}
