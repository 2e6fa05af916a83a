/* Keeps the pickle reader's stack, memo and memory. */

#include "pickle_machine.h"

#include <errno.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/little_endian.h"

/* Indexes are small and many, so the first block is small; later ones grow. */
enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 256 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* of the bytes */
    alignas(max_align_t) unsigned char bytes[];
};

static bool arena_charge(struct arena *a, size_t n)
{
    if (n > a->limit - a->used) {
        a->full = true;
        return false;
    }
    a->used += n;
    return true;
}

static bool arena_grow(struct arena *a, size_t size)
{
    size_t block = a->next ? a->next : FIRST_BLOCK;
    a->next = block < LARGEST_BLOCK ? block * 2 : LARGEST_BLOCK;
    if (block < size)
        block = size;
    if (block > SIZE_MAX - sizeof(struct arena_block) ||
        !arena_charge(a, block + sizeof(struct arena_block)))
        return false;
    struct arena_block *b = calloc(1, sizeof(*b) + block);
    if (!b)
        return false;
    b->size = block;
    b->next = a->blocks;
    a->blocks = b;
    a->left = block;
    return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
    enum { ALIGN = alignof(max_align_t) };
    if (size > SIZE_MAX - ALIGN)
        return NULL;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    if ((!a->blocks || a->left < size) && !arena_grow(a, size))
        return NULL;
    struct arena_block *b = a->blocks;
    void *p = b->bytes + (b->size - a->left);
    a->left -= size;
    return p;
}

void arena_free(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *b = a->blocks;
        a->blocks = b->next;
        free(b);
    }
}

static int fill(struct machine *m, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static int fill(struct machine *m, const char *fmt, va_list ap)
{
    char text[256];
    vsnprintf(text, sizeof(text), fmt, ap);
    return error_set(m->err, 0, NULL, "pickle, byte %zu: %s", m->op, text);
}

int machine_fill(struct machine *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = fill(m, fmt, ap);
    va_end(ap);
    return r;
}

int machine_foreign(struct machine *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(m, fmt, ap);
    va_end(ap);
    return -ENOTSUP;
}

int machine_no_memory(struct machine *m)
{
    if (!m->pickle->arena.full)
        return error_nomem(m->err);
    return error_set(m->err, 0, NULL, "pickle, byte %zu: needs more memory than it may", m->op);
}

int machine_take(struct machine *m, uint64_t n, const unsigned char **out)
{
    if (n > m->size - m->pos)
        return machine_fail(m, "the data end in the middle of a value");
    *out = m->data + m->pos;
    m->pos += n;
    return 0;
}

int machine_line(struct machine *m, const unsigned char **text, size_t *n)
{
    const unsigned char *start = m->data + m->pos;
    const unsigned char *end = m->pos < m->size ? memchr(start, '\n', m->size - m->pos) : NULL;
    if (!end)
        return machine_fail(m, "the data end in the middle of a line");
    *text = start;
    *n = (size_t)(end - start);
    m->pos += *n + 1;
    return 0;
}

int machine_number(struct machine *m, unsigned width, uint64_t *out)
{
    const unsigned char *p = NULL;
    int r = machine_take(m, width, &p);
    if (r < 0)
        return r;
    *out = get_le(p, width);
    return 0;
}

struct pickle_value *machine_new(struct machine *m, enum pickle_type type)
{
    struct node *n = arena_alloc(&m->pickle->arena, sizeof(*n));
    if (!n)
        return NULL;
    n->value.type = type;
    n->value.at = m->op;
    n->value.end = m->pos;
    return &n->value;
}

static int stack_grow(struct machine *m)
{
    size_t room = m->room ? m->room * 2 : 256;
    if (!arena_charge(&m->pickle->arena,
                      (room - m->room) * (sizeof(*m->stack) + sizeof(*m->places))))
        return machine_no_memory(m);
    void *p = reallocarray(m->stack, room, sizeof(*m->stack));
    if (!p)
        return machine_no_memory(m);
    m->stack = p;
    p = reallocarray(m->places, room, sizeof(*m->places));
    if (!p)
        return machine_no_memory(m);
    m->places = p;
    m->room = room;
    return 0;
}

int machine_push(struct machine *m, struct pickle_value *v)
{
    int r = m->depth == m->room ? stack_grow(m) : 0;
    if (r < 0)
        return r;
    m->places[m->depth] = (struct place){.span.at = m->begin};
    m->stack[m->depth++] = v;
    return 0;
}

/* Takes the topmost value off the stack. Where an opcode takes several, each ends where the one
 * above it begins, and the value that is made of them begins where the lowest does. */
static void take_off(struct machine *m)
{
    struct place *place = &m->places[--m->depth];
    place->span.end = m->end;
    for (struct memo_entry *e = place->memo; e; e = e->below)
        e->span.end = m->end;
    m->begin = m->end = place->span.at;
}

int machine_push_new(struct machine *m, enum pickle_type type, struct pickle_value **out)
{
    struct pickle_value *v = machine_new(m, type);
    if (!v)
        return machine_no_memory(m);
    *out = v;
    return machine_push(m, v);
}

/* The lowest place of the stack that may be touched. */
static size_t fence(const struct machine *m)
{
    return m->mark_count ? m->marks[m->mark_count - 1].depth : 0;
}

int machine_top(struct machine *m, struct pickle_value **out)
{
    if (m->depth <= fence(m))
        return machine_fail(m, "nothing on the stack");
    *out = m->stack[m->depth - 1];
    return 0;
}

int machine_pop(struct machine *m, struct pickle_value **out)
{
    int r = machine_top(m, out);
    if (r == 0)
        take_off(m);
    return r;
}

int machine_mark(struct machine *m)
{
    if (m->mark_count == m->mark_limit)
        return machine_fail(m, "nested more than %zu deep", m->mark_limit);
    m->marks[m->mark_count++] = (struct mark){m->depth, m->op};
    return 0;
}

int machine_pop_mark(struct machine *m, struct pickle_value ***items, size_t *count)
{
    if (m->mark_count == 0)
        return machine_fail(m, "no mark on the stack");
    const struct mark *mark = &m->marks[--m->mark_count];
    *items = mark->depth ? m->stack + mark->depth : m->stack; /* there may be no stack yet */
    *count = m->depth - mark->depth;
    while (m->depth > mark->depth)
        take_off(m);
    m->begin = m->end = mark->at;
    return 0;
}

/* A larger copy, in the arena, of COUNT items of SIZE bytes; NULL: no more. */
static void *arena_grown(struct machine *m, const void *old, size_t count, size_t room, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(room, size, &bytes))
        return NULL;
    void *grown = arena_alloc(&m->pickle->arena, bytes);
    if (grown && count)
        memcpy(grown, old, count * size);
    return grown;
}

/* Room in *LIST for COUNT + N pointers, and as many *SPANS where that is not NULL. */
static int extend_room(struct machine *m, struct pickle_value ***list, struct pickle_span **spans,
                       size_t count, size_t *room, size_t n)
{
    /* Exactly what is needed the first time: most lists get their members at once. */
    size_t need;
    if (__builtin_add_overflow(count, n, &need))
        return machine_no_memory(m);
    if (*room && need < *room * 2)
        need = *room * 2;
    struct pickle_value **grown = arena_grown(m, *list, count, need, sizeof(**list));
    if (!grown)
        return machine_no_memory(m);
    *list = grown;
    if (spans) {
        struct pickle_span *more = arena_grown(m, *spans, count, need, sizeof(**spans));
        if (!more)
            return machine_no_memory(m);
        *spans = more;
    }
    *room = need;
    return 0;
}

int machine_extend(struct machine *m, struct pickle_value *v, bool more,
                   struct pickle_value *const *values, size_t n)
{
    struct node *node = (struct node *)v;
    struct pickle_value ***list = more ? &v->more : &v->items;
    size_t *count = more ? &v->more_count : &v->count;
    size_t *room = more ? &node->more_room : &node->items_room;
    bool traced = m->pickle->trace && !more && (v->type == PICKLE_TUPLE || v->type == PICKLE_DICT);
    if (n == 0)
        return 0;
    if (n > *room - *count) {
        int r = extend_room(m, list, traced ? &v->spans : NULL, *count, room, n);
        if (r < 0)
            return r;
    }
    memcpy(*list + *count, values, n * sizeof(*values));
    for (size_t i = 0; traced && i < n; i++)
        v->spans[*count + i] = m->places[m->depth + i].span;
    *count += n;
    return 0;
}

/* A tree of four levels, a byte of the index each: what a pickle says of an index costs at most
 * four such nodes, where an array would have to be as long as the largest index. */
enum { MEMO_FANOUT = 256 };
struct memo_level {
    void *slots[MEMO_FANOUT];
};

int memo_put(struct machine *m, uint64_t index)
{
    if (index > UINT32_MAX)
        return machine_fail(m, "memo index %llu is too large", (unsigned long long)index);
    void **slot = (void **)&m->memo;
    for (int shift = 24; shift >= 0; shift -= 8) {
        if (!*slot && !(*slot = arena_alloc(&m->pickle->arena, sizeof(struct memo_level))))
            return machine_no_memory(m);
        slot = &((struct memo_level *)*slot)->slots[index >> shift & 0xff];
    }
    struct memo_entry *entry = arena_alloc(&m->pickle->arena, sizeof(*entry));
    if (!entry)
        return machine_no_memory(m);
    struct place *place = &m->places[m->depth - 1];
    *entry = (struct memo_entry){.value = m->stack[m->depth - 1],
                                 .span.at = place->span.at,
                                 .below = place->memo,
                                 .number = m->entries++};
    place->memo = entry;
    if (!*slot)
        m->memo_count++;
    *slot = entry;
    return machine_note(m, EVENT_PUT, entry);
}

const struct memo_entry *memo_get(const struct machine *m, uint64_t index)
{
    if (index > UINT32_MAX)
        return NULL;
    void *at = m->memo;
    for (int shift = 24; at && shift >= 0; shift -= 8)
        at = ((struct memo_level *)at)->slots[index >> shift & 0xff];
    return at;
}

int machine_note(struct machine *m, enum pickle_event_kind kind, const struct memo_entry *entry)
{
    struct pickle_trace *t = m->pickle->trace;
    if (!t)
        return 0;
    if (t->count == t->room) {
        size_t room = t->room ? t->room * 2 : 64;
        struct pickle_event *grown = arena_grown(m, t->events, t->count, room, sizeof(*t->events));
        if (!grown)
            return machine_no_memory(m);
        t->events = grown;
        t->room = room;
    }
    t->events[t->count++] =
        (struct pickle_event){.span = {m->op, m->pos}, .kind = kind, .entry = entry};
    t->entries = m->entries;
    return 0;
}

void machine_note_change(struct machine *m)
{
    if (m->pickle->trace && m->places[m->depth - 1].shared)
        m->pickle->trace->changes_shared = true;
}
