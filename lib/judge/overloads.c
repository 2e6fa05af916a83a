/* Writes the overloads of an index as texts of bounded length. */

#include "overloads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "numba/key.h"

/* Overloads, and bytes of text, of one index: a small pickle can say a large one many times. */
enum { MOST = 1 << 16, LONGEST = 64 << 20 };

static size_t length(const char *text)
{
    return text ? strlen(text) : 0;
}

static int fill(struct wp_overload *o, const struct index_overload *from, size_t *used)
{
    if (key_read(o, from->key) < 0)
        return -ENOMEM;
    o->data = strdup(from->data);
    *used += length(o->signature) + length(o->triple) + length(o->cpu) + length(o->features) +
             length(o->target) + length(o->version) + length(o->launch) + length(o->other) +
             length(o->code) + length(o->cells) + length(o->data) + sizeof *o;
    return o->data ? 0 : -ENOMEM;
}

int overloads_fill(struct wp_index_status *s, const struct index *index,
                   int (*size_of)(void *ctx, const char *name, uint64_t *size), void *ctx,
                   struct wp_error *err)
{
    size_t used = 0;

    overloads_clear(s);
    if (index->count > MOST)
        return error_set(err, 0, NULL, "it has %zu overloads, more than can be told", index->count);
    s->overloads = calloc(index->count + 1, sizeof *s->overloads);
    if (!s->overloads)
        return error_nomem(err);
    for (size_t i = 0; i < index->count; i++) {
        struct wp_overload *o = &s->overloads[i];
        int r;

        s->overload_count++;
        if (fill(o, &index->overloads[i], &used) < 0)
            return error_nomem(err);
        if (used > LONGEST) {
            overloads_clear(s);
            return error_set(err, 0, NULL, "what its keys say is too long to be told");
        }
        r = size_of ? size_of(ctx, o->data, &o->size) : 0;
        if (r == -ENOMEM)
            return error_nomem(err);
        o->has_size = r == 1;
    }
    return 0;
}

void overloads_clear(struct wp_index_status *s)
{
    for (size_t i = 0; i < s->overload_count; i++)
        key_clear(&s->overloads[i]);
    free(s->overloads);
    s->overloads = NULL;
    s->overload_count = 0;
}

bool overloads_are_alike(const struct wp_overload *a, const struct wp_overload *b)
{
    return text_same(a->signature, b->signature) && text_same(a->code, b->code) &&
           text_same(a->cells, b->cells) && text_same(a->target, b->target);
}
