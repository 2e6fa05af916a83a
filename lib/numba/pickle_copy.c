/* Writes a pickle from pieces of others, opcode by opcode. */

#include "numba/pickle_copy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/little_endian.h"
#include "numba/pickle_machine.h"

/* ---- Writing ----------------------------------------------------------------------------- */

static int add(struct pickle_writer *w, const void *data, size_t n, struct wp_error *err)
{
    if (n > w->most || w->out.size > w->most - n) {
        error_fill(err, EFBIG, NULL, "index: what is to be written is too large");
        return -EFBIG;
    }
    return buf_add(&w->out, data, n) < 0 ? error_nomem(err) : 0;
}

/* An opcode with an argument of WIDTH bytes, little-endian. */
static int add_number(struct pickle_writer *w, unsigned char op, uint64_t v, size_t width,
                      struct wp_error *err)
{
    unsigned char text[9] = {op};
    put_le(text + 1, width, v);
    return add(w, text, 1 + width, err);
}

int pickle_write_op(struct pickle_writer *w, unsigned char op, struct wp_error *err)
{
    return add(w, &op, 1, err);
}

int pickle_write_text(struct pickle_writer *w, const void *text, size_t n, struct wp_error *err)
{
    bool is_short = n <= UINT8_MAX && w->protocol >= 4;
    if (n > UINT32_MAX)
        return error_set(err, EFBIG, NULL, "index: a text is too large");
    int r = is_short ? add_number(w, OP_SHORT_BINUNICODE, n, 1, err)
                     : add_number(w, OP_BINUNICODE, n, 4, err);
    return r < 0 ? r : add(w, text, n, err);
}

/* Numbers are given in order, without gaps, so MEMOIZE gives the same. */
int pickle_write_put(struct pickle_writer *w, size_t *number, struct wp_error *err)
{
    *number = w->memo++;
    if (w->protocol >= 4)
        return pickle_write_op(w, OP_MEMOIZE, err);
    return *number <= UINT8_MAX ? add_number(w, OP_BINPUT, *number, 1, err)
                                : add_number(w, OP_LONG_BINPUT, *number, 4, err);
}

int pickle_write_get(struct pickle_writer *w, size_t number, struct wp_error *err)
{
    return number <= UINT8_MAX ? add_number(w, OP_BINGET, number, 1, err)
                               : add_number(w, OP_LONG_BINGET, number, 4, err);
}

int pickle_writer_finish(struct pickle_writer *w, struct buf *out, struct wp_error *err)
{
    enum { FRAME_SIZE = 9 };
    unsigned char head[2 + FRAME_SIZE] = {OP_PROTO, (unsigned char)w->protocol, OP_FRAME};
    int r = pickle_write_op(w, OP_STOP, err);
    if (r < 0)
        return r;
    put_le(head + 3, 8, w->out.size);
    if (buf_add(out, head, w->protocol >= 4 ? sizeof(head) : 2) < 0 ||
        buf_add(out, w->out.data, w->out.size) < 0)
        return error_nomem(err);
    return 0;
}

/* ---- What pieces are taken from ---------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    const struct memo_entry *x = *(const struct memo_entry *const *)a;
    const struct memo_entry *y = *(const struct memo_entry *const *)b;
    if (x->span.at != y->span.at)
        return x->span.at < y->span.at ? -1 : 1;
    if (x->span.end != y->span.end)
        return x->span.end > y->span.end ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

int pickle_copy_begin(struct pickle_copy *c, const struct pickle *from, const unsigned char *data,
                      struct wp_error *err)
{
    const struct pickle_trace *t = from->trace;
    size_t count = 0;
    *c = (struct pickle_copy){.from = from, .data = data};
    if (t->changes_shared)
        return error_set(err, ENOTSUP, NULL, "index: a value is changed after it was made");
    c->numbers = calloc(t->entries + 1, sizeof(*c->numbers));
    c->list = calloc(t->entries + 1, sizeof(*c->list));
    if (!c->numbers || !c->list) {
        pickle_copy_end(c);
        return error_nomem(err);
    }
    for (size_t i = 0; i < t->count; i++)
        if (t->events[i].kind == EVENT_PUT)
            c->list[count++] = t->events[i].entry;
    array_sort(c->list, count, compare_entries);
    return 0;
}

void pickle_copy_end(struct pickle_copy *c)
{
    free(c->numbers);
    free(c->list);
    *c = (struct pickle_copy){0};
}

/* ---- Copying ----------------------------------------------------------------------------- */

/* A span on its way; the innermost is a value that is made at its first use. */
struct step {
    size_t at, end;
    size_t event; /* the first that is not before AT */
    size_t entry; /* likewise, of c->list */
};

struct walk {
    struct pickle_copy *c;
    struct pickle_writer *w;
    const struct pickle_span *but;
    struct step *steps; /* owned */
    size_t count;
    struct wp_error *err;
};

static size_t find_event(const struct pickle_trace *t, size_t at)
{
    return array_first(i, t->count, t->events[i].span.at < at);
}

static size_t find_entry(const struct pickle_copy *c, size_t at)
{
    return array_first(i, c->from->trace->entries, c->list[i]->span.at < at);
}

static int walk_into(struct walk *k, struct pickle_span span)
{
    if (array_grow(k->steps, k->count) < 0)
        return error_nomem(k->err);
    k->steps[k->count++] = (struct step){.at = span.at,
                                         .end = span.end,
                                         .event = find_event(k->c->from->trace, span.at),
                                         .entry = find_entry(k->c, span.at)};
    return 0;
}

static int copy_bytes(struct walk *k, struct step *s, size_t to)
{
    int r = add(k->w, k->c->data + s->at, to - s->at, k->err);
    s->at = to;
    return r;
}

/* The next value in the step, up to LIMIT, that the new pickle has already; NULL: none. */
static const struct memo_entry *next_known(const struct walk *k, struct step *s, size_t limit)
{
    for (; s->entry < k->c->from->trace->entries; s->entry++) {
        const struct memo_entry *e = k->c->list[s->entry];
        if (e->span.at > limit)
            break;
        if (e->span.at >= s->at && e->span.end <= s->end && k->c->numbers[e->number])
            return e;
    }
    return NULL;
}

static int write_known(struct walk *k, struct step *s, const struct memo_entry *e)
{
    int r = copy_bytes(k, s, e->span.at);
    if (r == 0)
        r = pickle_write_get(k->w, k->c->numbers[e->number] - 1, k->err);
    s->at = e->span.end;
    s->event = find_event(k->c->from->trace, s->at);
    s->entry = find_entry(k->c, s->at);
    return r;
}

static int write_put(struct walk *k, const struct memo_entry *e)
{
    const struct pickle_span *but = k->but;
    size_t number;
    if (but && e->span.at <= but->at && e->span.end >= but->end)
        return 0;
    if (k->c->numbers[e->number])
        return error_set(k->err, ENOTSUP, NULL, "index: a value is made of itself");
    int r = pickle_write_put(k->w, &number, k->err);
    k->c->numbers[e->number] = number + 1;
    return r;
}

/* A value that the new pickle does not have is made here. It must have been finished at AT: one
 * that holds what refers to it would be made within itself. */
static int write_get(struct walk *k, const struct memo_entry *e, size_t at)
{
    size_t number = k->c->numbers[e->number];
    if (number)
        return pickle_write_get(k->w, number - 1, k->err);
    if (e->span.end > at)
        return error_set(k->err, ENOTSUP, NULL, "index: a value refers to what holds it");
    return walk_into(k, e->span);
}

static int write_event(struct walk *k, struct step *s)
{
    const struct pickle_event *event = &k->c->from->trace->events[s->event++];
    int r = copy_bytes(k, s, event->span.at);
    s->at = event->span.end;
    if (r < 0 || event->kind == EVENT_FRAMING)
        return r;
    return event->kind == EVENT_PUT ? write_put(k, event->entry)
                                    : write_get(k, event->entry, event->span.at);
}

static int walk_on(struct walk *k)
{
    const struct pickle_trace *t = k->c->from->trace;
    struct step *s = &k->steps[k->count - 1];
    size_t limit = s->event < t->count ? t->events[s->event].span.at : s->end;
    if (s->at >= s->end) {
        k->count--;
        return 0;
    }
    bool is_event = limit < s->end;
    const struct memo_entry *known = next_known(k, s, is_event ? limit : s->end);
    if (known)
        return write_known(k, s, known);
    return is_event ? write_event(k, s) : copy_bytes(k, s, s->end);
}

int pickle_copy_span(struct pickle_copy *c, struct pickle_writer *w, struct pickle_span span,
                     const struct pickle_span *but, struct wp_error *err)
{
    struct walk k = {.c = c, .w = w, .but = but, .err = err};
    int r = walk_into(&k, span);
    while (r == 0 && k.count)
        r = walk_on(&k);
    free(k.steps);
    return r;
}
