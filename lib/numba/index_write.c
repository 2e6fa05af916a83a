/* Writes a cache index from the overloads of others. */

#include "numba/index_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "numba/key.h"
#include "numba/pickle_copy.h"
#include "numba/pickle_machine.h"

enum { MAGIC = 1, NAME = 1, FEATURES = 2 }; /* places in a key, and in its magic */
enum { MOST_TEXTS = 64 };                   /* that are referred to: a machine's are three */
enum { MOST_ALIKE = 1 << 16 }; /* comparisons of keys with one hash: there should be none */

/* An index that overloads are taken from. */
struct source {
    const struct index *index; /* borrowed */
    struct pickle *traced;     /* its body, read again; owned */
    struct pickle_copy copy;   /* owned */
};

/* What an overload is to say. */
struct added {
    const struct pickle_value *key; /* as it was; borrowed from the source's index */
    char *cpu, *features;           /* owned; NULL: unchanged */
    char *data;                     /* owned */
};

/* A text that was written, and can be referred to. */
struct known_text {
    char *text; /* owned */
    size_t number;
};

struct index_writer {
    struct pickle_writer body;
    struct source **sources; /* owned, the first is the base */
    size_t source_count;
    struct added *added; /* owned */
    size_t added_count;
    struct known_text *texts; /* owned */
    size_t text_count;
};

/* ---- What overloads are taken from ------------------------------------------------------- */

static int not_supported(struct wp_error *err)
{
    return error_set(err, ENOTSUP, NULL, "index: it is written in a way that is not known");
}

static void source_free(struct source *s)
{
    if (!s)
        return;
    pickle_copy_end(&s->copy);
    pickle_free(s->traced);
    free(s);
}

/* Is the body a tuple of stamp and dict, both made where they stand? */
static bool is_usual(const struct pickle_value *root)
{
    const struct pickle_value *dict;

    if (root->type != PICKLE_TUPLE || root->count != 2 || !root->spans || root->state)
        return false;
    dict = root->items[1];
    return dict->type == PICKLE_DICT && !dict->state && (dict->count == 0 || dict->spans) &&
           dict->at >= root->spans[1].at && dict->at < root->spans[1].end;
}

static int source_new(struct source **out, const struct index *from, struct wp_error *err)
{
    const struct pickle_limits limits = {.trace = true};
    struct source *s = calloc(1, sizeof *s);
    struct wp_error why = {0};
    size_t used;
    int r;

    if (!s)
        return error_nomem(err);
    s->index = from;
    r = pickle_read(&s->traced, from->text + from->body_at, from->body_end - from->body_at, &used,
                    &limits, &why);
    if (r < 0)
        r = r == -ENOMEM ? error_nomem(err) : not_supported(err);
    else
        r = pickle_copy_begin(&s->copy, s->traced, from->text + from->body_at, err);
    if (r == 0 && !is_usual(pickle_root(s->traced)))
        r = not_supported(err);
    if (r < 0) {
        source_free(s);
        return r;
    }
    *out = s;
    return 0;
}

static int find_source(struct index_writer *w, const struct index *from, struct source **out,
                       struct wp_error *err)
{
    struct source *s = NULL;
    int r;

    for (size_t i = 0; i < w->source_count; i++)
        if (w->sources[i]->index == from) {
            *out = w->sources[i];
            return 0;
        }
    r = source_new(&s, from, err);
    if (r < 0)
        return r;
    if (array_grow(w->sources, w->source_count) < 0) {
        source_free(s);
        return error_nomem(err);
    }
    w->sources[w->source_count++] = *out = s;
    return 0;
}

/* ---- Writing ----------------------------------------------------------------------------- */

int index_writer_new(struct index_writer **out, const struct index *base, struct wp_error *err)
{
    struct index_writer *w = calloc(1, sizeof *w);
    const unsigned char *body = base->text + base->body_at;
    struct source *s;
    int r;

    *out = NULL;
    if (!w)
        return error_nomem(err);
    w->body = (struct pickle_writer){.protocol = body[1], .most = INDEX_LARGEST};
    /* A frame of the version that goes into what follows could go beyond what is written there. */
    r = pickle_frame_end(base->version_pickle) > base->body_at ? not_supported(err)
                                                               : find_source(w, base, &s, err);
    if (r == 0)
        r = pickle_copy_span(&s->copy, &w->body, pickle_root(s->traced)->spans[0], NULL, err);
    if (r == 0)
        r = pickle_write_op(&w->body, OP_EMPTY_DICT, err);
    if (r == 0)
        *out = w;
    else
        index_writer_free(w);
    return r;
}

/* A text that is written the first time, and then referred to. */
static int write_text(struct index_writer *w, const void *text, size_t n, struct wp_error *err)
{
    struct known_text *known;
    int r;

    for (size_t i = 0; i < w->text_count; i++)
        if (strlen(w->texts[i].text) == n && memcmp(w->texts[i].text, text, n) == 0)
            return pickle_write_get(&w->body, w->texts[i].number, err);
    if (w->text_count == MOST_TEXTS || memchr(text, '\0', n))
        return pickle_write_text(&w->body, text, n, err);
    if (array_grow(w->texts, w->text_count) < 0)
        return error_nomem(err);
    known = &w->texts[w->text_count];
    known->text = strndup(text, n);
    if (!known->text)
        return error_nomem(err);
    w->text_count++;
    r = pickle_write_text(&w->body, text, n, err);
    return r < 0 ? r : pickle_write_put(&w->body, &known->number, err);
}

/* The key whose value is KEY and which SPAN pushes, with CPU. */
static int write_key(struct index_writer *w, struct source *s, const struct pickle_value *key,
                     struct pickle_span span, const struct index_cpu *cpu, struct wp_error *err)
{
    const struct pickle_value *triple = key->items[MAGIC]->items[0];
    const struct pickle_span magic = key->spans[MAGIC];
    int r;

    if (magic.at <= span.at || magic.end >= span.end) /* it stands elsewhere */
        return not_supported(err);
    r = pickle_copy_span(&s->copy, &w->body, (struct pickle_span){span.at, magic.at}, &magic, err);
    if (r == 0)
        r = write_text(w, triple->data, triple->size, err);
    if (r == 0)
        r = write_text(w, cpu->name, strlen(cpu->name), err);
    if (r == 0)
        r = write_text(w, cpu->features, strlen(cpu->features), err);
    if (r == 0)
        r = pickle_write_op(&w->body, OP_TUPLE3, err);
    return r < 0 ? r
                 : pickle_copy_span(&s->copy, &w->body, (struct pickle_span){magic.end, span.end},
                                    &magic, err);
}

/* A file's name as Python has it: each byte that is not UTF-8 is a surrogate (PEP 383). */
static int write_name(struct index_writer *w, const char *name, struct wp_error *err)
{
    const unsigned char *s = (const unsigned char *)name;
    _cleanup_buf_ struct buf text = {0};

    for (size_t n = strlen(name); n > 0;) {
        size_t step = utf8_length(s, n, false);
        const unsigned char escape[] = {0xed, (unsigned char)(0xb0 | s[0] >> 6),
                                        (unsigned char)(0x80 | (s[0] & 0x3f))};
        int r = step ? buf_add(&text, s, step) : buf_add(&text, escape, sizeof escape);

        if (r < 0)
            return error_nomem(err);
        step = step ? step : 1;
        s += step;
        n -= step;
    }
    return pickle_write_text(&w->body, text.data, text.size, err);
}

static int remember(struct index_writer *w, const struct index_overload *o,
                    const struct index_cpu *cpu, const char *data, struct wp_error *err)
{
    struct added *a;

    if (array_grow(w->added, w->added_count) < 0)
        return error_nomem(err);
    a = &w->added[w->added_count++];
    *a = (struct added){.key = o->key,
                        .cpu = cpu ? strdup(cpu->name) : NULL,
                        .features = cpu ? strdup(cpu->features) : NULL,
                        .data = strdup(data ? data : o->data)};
    return a->data && (!cpu || (a->cpu && a->features)) ? 0 : error_nomem(err);
}

int index_writer_add(struct index_writer *w, const struct index *from, size_t which,
                     const struct index_cpu *cpu, const char *data, struct wp_error *err)
{
    const struct pickle_value *dict, *key;
    const struct pickle_span *spans;
    struct source *s;
    int r = find_source(w, from, &s, err);

    if (r < 0)
        return r;
    if (strcmp(from->numba, w->sources[0]->index->numba) != 0)
        return error_set(err, 0, NULL, "index: one is of Numba %s, another of %s",
                         w->sources[0]->index->numba, from->numba);
    dict = pickle_root(s->traced)->items[1];
    key = dict->items[2 * which];
    spans = &dict->spans[2 * which];
    if (cpu && !key_is_for_cpu(key))
        return error_set(err, ENOTSUP, NULL, "index: overload %zu is not for a CPU", which + 1);
    r = remember(w, &from->overloads[which], cpu, data, err);
    if (r == 0)
        r = cpu ? write_key(w, s, key, spans[0], cpu, err)
                : pickle_copy_span(&s->copy, &w->body, spans[0], NULL, err);
    if (r == 0)
        r = data ? write_name(w, data, err)
                 : pickle_copy_span(&s->copy, &w->body, spans[1], NULL, err);
    return r < 0 ? r : pickle_write_op(&w->body, OP_SETITEM, err);
}

/* ---- Checking ---------------------------------------------------------------------------- */

/* Does overload O say what it is to say? 1, 0 or a negative errno. */
static int is_as_asked(const struct index_overload *o, const struct added *a)
{
    const struct pickle_value *magic;

    if (strcmp(o->data, a->data) != 0)
        return 0;
    if (!a->cpu)
        return pickle_equal(o->key, a->key);
    if (!key_is_for_cpu(o->key))
        return 0;
    magic = o->key->items[MAGIC];
    return pickle_is_str(magic->items[NAME], a->cpu) &&
                   pickle_is_str(magic->items[FEATURES], a->features)
               ? key_is_alike(o->key, a->key)
               : 0;
}

struct hashed {
    uint64_t hash;
    const struct pickle_value *key;
};

static int compare_hashed(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;

    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* Keys that are equal would be one to Python, and the last would win. */
static int check_keys_differ(const struct index *now, struct wp_error *err)
{
    _cleanup_free_ struct hashed *keys = calloc(now->count + 1, sizeof *keys);
    size_t left = MOST_ALIKE;
    int r = 0;

    if (!keys)
        return error_nomem(err);
    for (size_t i = 0; i < now->count; i++)
        keys[i] = (struct hashed){pickle_hash(now->overloads[i].key), now->overloads[i].key};
    array_sort(keys, now->count, compare_hashed);
    for (size_t i = 1; i < now->count; i++)
        for (size_t k = i; k > 0 && keys[k - 1].hash == keys[i].hash && r == 0; k--)
            r = left-- ? pickle_equal(keys[k - 1].key, keys[i].key) : -ENOTSUP;
    if (r == 1) {
        error_fill(err, EEXIST, NULL, "index: two overloads would have one key");
        return -EEXIST;
    }
    return r == -ENOMEM ? error_nomem(err) : r < 0 ? not_supported(err) : 0;
}

static int unequal(struct wp_error *err)
{
    return error_set(err, ENOTSUP, NULL, "index: what was written does not read as it should");
}

static int check(const struct index_writer *w, const struct index *now, struct wp_error *err)
{
    const struct index *base = w->sources[0]->index;
    int r = pickle_equal(pickle_root(now->body_pickle)->items[0],
                         pickle_root(base->body_pickle)->items[0]);

    if (r == 1)
        r = strcmp(now->numba, base->numba) == 0 && now->count == w->added_count;
    for (size_t i = 0; i < w->added_count && r == 1; i++)
        r = is_as_asked(&now->overloads[i], &w->added[i]);
    if (r == 0)
        return unequal(err);
    if (r < 0)
        return r == -ENOMEM ? error_nomem(err) : not_supported(err);
    return check_keys_differ(now, err);
}

int index_writer_finish(struct index_writer *w, struct buf *out, struct wp_error *err)
{
    const struct index *base = w->sources[0]->index;
    _cleanup_(index_clear) struct index now = {0};
    _cleanup_buf_ struct buf text = {0};
    struct wp_error why = {0};
    int r = pickle_write_op(&w->body, OP_TUPLE2, err);

    if (r == 0 && buf_add(&text, base->text, base->body_at) < 0)
        r = error_nomem(err);
    if (r == 0)
        r = pickle_writer_finish(&w->body, &text, err);
    if (r == 0 && buf_add(&text, base->text + base->body_end, base->size - base->body_end) < 0)
        r = error_nomem(err);
    if (r < 0)
        return r;
    r = index_read(&now, text.data, text.size, &why);
    if (r < 0)
        return r == -ENOMEM ? error_nomem(err) : unequal(err);
    r = check(w, &now, err);
    if (r == 0 && buf_add(out, text.data, text.size) < 0)
        r = error_nomem(err);
    return r;
}

void index_writer_free(struct index_writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->source_count; i++)
        source_free(w->sources[i]);
    for (size_t i = 0; i < w->added_count; i++) {
        free(w->added[i].cpu);
        free(w->added[i].features);
        free(w->added[i].data);
    }
    for (size_t i = 0; i < w->text_count; i++)
        free(w->texts[i].text);
    free(w->sources);
    free(w->added);
    free(w->texts);
    buf_free(&w->body.out);
    free(w);
}

int index_retarget(const struct index *i, const bool *chosen, const struct index_cpu *cpu,
                   struct buf *out, struct wp_error *err)
{
    struct index_writer *w;
    int r = index_writer_new(&w, i, err);

    for (size_t k = 0; k < i->count && r == 0; k++)
        r = index_writer_add(w, i, k, chosen[k] ? cpu : NULL, NULL, err);
    if (r == 0)
        r = index_writer_finish(w, out, err);
    index_writer_free(w);
    return r;
}
