/* Finds the code of a Python source: strings of every kind and comments are skipped. */

#include "numba/source_text.h"

#include <endian.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    BLOCK = 64,
    DEEPEST = 150, /* strings in strings: CPython's MAXFSTRINGLEVEL */
};

typedef unsigned char lanes __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

/* Bit I of the result: is byte I of V, which is all ones or all zeros, ones? */
static uint64_t bits(lanes v)
{
#ifdef __SSE2__
    return (unsigned)_mm_movemask_epi8((__m128i)v);
#else
    halves h = (halves)v & htole64(0x8040201008040201);

    return (le64toh(h[0]) * 0x0101010101010101 >> 56) | (le64toh(h[1]) * 0x0101010101010101 >> 56)
                                                            << 8;
#endif
}

static lanes load(const unsigned char *at)
{
    lanes v;

    memcpy(&v, at, sizeof v);
    return v;
}

/* The masks of the block at DATA, behind which one more byte can be read. */
static void look_at(struct source_text *s, const unsigned char *data)
{
    memset(s->masks, 0, sizeof s->masks);
    for (unsigned i = 0; i < BLOCK; i += 16) {
        lanes v = load(data + i), n = load(data + i + 1);
        lanes quote = (lanes)(v == '"'), apostrophe = (lanes)(v == '\'');
        lanes backslash = (lanes)(v == '\\');
        lanes word =
            ((lanes)(v == 'm') & (lanes)(n == 'p')) | ((lanes)(v == 'x') & (lanes)(n == 'e')) |
            ((lanes)(v == 'e') & (lanes)(n == 'v')) | ((lanes)(v == 'y') & (lanes)(n == 's')) |
            ((lanes)(v == '_') & (lanes)(n == '_'));
        lanes code = quote | apostrophe | (lanes)(v == '#') | (lanes)(v >= 0x80) | word;

        s->masks[SOURCE_CODE] |= bits(code) << i;
        s->masks[SOURCE_QUOTE] |= bits(quote | backslash) << i;
        s->masks[SOURCE_APOSTROPHE] |= bits(apostrophe | backslash) << i;
        s->masks[SOURCE_LINE_END] |= bits((lanes)(v == '\n') | (lanes)(v == '\r')) << i;
    }
}

static void enter_block(struct source_text *s, size_t block)
{
    unsigned char last[BLOCK + 16] = {0};

    s->block = block;
    if (s->size - block > BLOCK) {
        look_at(s, s->data + block);
        return;
    }
    memcpy(last, s->data + block, s->size - block);
    look_at(s, last);
}

/* The first place from AT on where a bit of either mask is set, or the end. */
static inline size_t find(struct source_text *s, size_t at, enum source_mask a, enum source_mask b)
{
    while (at < s->size) {
        uint64_t m;

        if (at - s->block >= BLOCK)
            enter_block(s, at / BLOCK * BLOCK);
        m = (s->masks[a] | s->masks[b]) >> (at % BLOCK);
        if (m)
            return at + (unsigned)__builtin_ctzll(m);
        at = (at / BLOCK + 1) * BLOCK;
    }
    return s->size;
}

void source_text_start(struct source_text *s, const unsigned char *data, size_t size)
{
    *s = (struct source_text){.data = data, .size = size, .comment_end = SIZE_MAX};
    if (size)
        enter_block(s, 0);
}

size_t source_text_line_end(struct source_text *s, size_t at)
{
    return find(s, at, SOURCE_LINE_END, SOURCE_LINE_END);
}

size_t source_text_skip_line_end(const struct source_text *s, size_t at)
{
    if (s->data[at] == '\r' && at + 1 < s->size && s->data[at + 1] == '\n')
        return at + 2;
    return at + 1;
}

/* How often C stands from AT up to END. */
static size_t count(const unsigned char *at, const unsigned char *end, unsigned char c)
{
    enum { ROUNDS = 255 }; /* a lane counts as far */
    size_t n = 0;

    while (end - at >= 16) {
        lanes found = {0};

        for (unsigned i = 0; i < ROUNDS && end - at >= 16; i++, at += 16)
            found -= (lanes)(load(at) == c);
        for (unsigned i = 0; i < 16; i++)
            n += found[i];
    }
    for (; at < end; at++)
        n += *at == c;
    return n;
}

size_t source_text_count_lines(const struct source_text *s, size_t begin, size_t end)
{
    const unsigned char *at = s->data + begin, *last = s->data + end;
    size_t returns = count(at, last, '\r'), lines = count(at, last, '\n') + returns;

    for (; returns && (at = memchr(at, '\r', (size_t)(last - at))); returns--, at++)
        lines -= at + 1 < last && at[1] == '\n';
    return lines;
}

size_t source_name_begin(const struct source_text *s, size_t at)
{
    while (at > 0 && source_is_name(s->data[at - 1]))
        at--;
    return at;
}

size_t source_name_end(const struct source_text *s, size_t at)
{
    while (at < s->size && source_is_name(s->data[at]))
        at++;
    return at;
}

/* Behind the backslash at AT and what it escapes. */
static size_t skip_escape(const struct source_text *s, size_t at)
{
    if (at + 1 >= s->size)
        return s->size;
    return source_text_skip_line_end(s, at + 1);
}

/* Do three of the quote at AT stand there? */
static bool is_triple(const struct source_text *s, size_t at)
{
    const unsigned char *c = s->data + at;

    return s->size - at >= 3 && c[1] == c[0] && c[2] == c[0];
}

/* A string, whatever it lies in. */
struct literal {
    unsigned char quote;
    bool triple, raw, fields; /* FIELDS: an f-string, or a t-string */
};

static struct literal read_opening(const struct source_text *s, size_t quote)
{
    struct literal l = {.quote = s->data[quote], .triple = is_triple(s, quote)};
    size_t begin = quote;

    while (begin > 0 && quote - begin <= 2 && source_is_name(s->data[begin - 1]))
        begin--;
    if (quote - begin > 2) /* a name, such as else, and no prefix */
        return l;
    for (size_t i = begin; i < quote; i++) {
        unsigned char c = s->data[i] | 0x20;

        l.raw |= c == 'r';
        l.fields |= c == 'f' || c == 't';
        if (!strchr("rbuft", c)) /* a name, such as if */
            return (struct literal){.quote = l.quote, .triple = l.triple};
    }
    return l;
}

static bool closes(const struct source_text *s, const struct literal *l, size_t at)
{
    return s->data[at] == l->quote && (!l->triple || is_triple(s, at));
}

static size_t no_end(struct source_text *s)
{
    s->broken = true;
    return s->size;
}

static size_t skip_plain(struct source_text *s, const struct literal *l, size_t at)
{
    enum source_mask mask = l->quote == '"' ? SOURCE_QUOTE : SOURCE_APOSTROPHE;

    for (;;) {
        at = find(s, at, mask, l->triple ? mask : SOURCE_LINE_END);
        if (at >= s->size || source_is_line_end(s->data[at]))
            return no_end(s);
        if (s->data[at] == '\\')
            at = skip_escape(s, at);
        else if (closes(s, l, at))
            return at + (l->triple ? 3 : 1);
        else
            at++;
    }
}

static size_t skip_string_at(struct source_text *s, size_t at, unsigned depth);
static size_t skip_format(struct source_text *s, const struct literal *l, size_t at,
                          unsigned depth);

/* Behind the field whose first byte behind "{" is AT. */
static size_t skip_field(struct source_text *s, const struct literal *l, size_t at, unsigned depth)
{
    size_t brackets = 0, end;

    while (at < s->size && !s->broken) {
        unsigned char c = s->data[at];

        if (c == '"' || c == '\'') {
            at = skip_string_at(s, at, depth + 1);
        } else if (c == '#') {
            at = source_text_line_end(s, at);
        } else if (source_is_name(c)) {
            end = source_name_end(s, at);
            if (s->field_name)
                s->field_name(s->arg, at, end);
            at = end;
        } else if (c == '(' || c == '[' || c == '{') {
            brackets++;
            at++;
        } else if (brackets > 0 && (c == ')' || c == ']' || c == '}')) {
            brackets--;
            at++;
        } else if (c == '}') {
            return at + 1;
        } else if (c == ':' && brackets == 0) {
            return skip_format(s, l, at + 1, depth);
        } else {
            at++;
        }
    }
    return no_end(s);
}

/* Behind the format of a field, which ends with the field. */
static size_t skip_format(struct source_text *s, const struct literal *l, size_t at, unsigned depth)
{
    if (depth >= DEEPEST)
        return no_end(s);
    while (at < s->size && !s->broken) {
        unsigned char c = s->data[at];

        if (c == '}')
            return at + 1;
        if (c == '{')
            at = skip_field(s, l, at + 1, depth + 1);
        else if (closes(s, l, at))
            break;
        else
            at++;
    }
    return no_end(s);
}

/* Behind a backslash in an f-string: one before a brace does not escape it, and the braces of
 * "\N{DIGIT ONE}" hold no field. */
static size_t skip_field_escape(const struct source_text *s, const struct literal *l, size_t at)
{
    unsigned char next = at + 1 < s->size ? s->data[at + 1] : 0;
    const unsigned char *end;

    if (next == '{' || next == '}')
        return at + 1;
    if (l->raw || next != 'N' || at + 2 >= s->size || s->data[at + 2] != '{')
        return skip_escape(s, at);
    end = memchr(s->data + at, '}', s->size - at);
    return end ? (size_t)(end - s->data) + 1 : s->size;
}

static size_t skip_fields(struct source_text *s, const struct literal *l, size_t at, unsigned depth)
{
    while (at < s->size && !s->broken) {
        unsigned char c = s->data[at];

        if (c == '\\') {
            at = skip_field_escape(s, l, at);
        } else if (c == '{') {
            if (at + 1 < s->size && s->data[at + 1] == '{')
                at += 2;
            else
                at = skip_field(s, l, at + 1, depth);
        } else if (closes(s, l, at)) {
            return at + (l->triple ? 3 : 1);
        } else if (!l->triple && source_is_line_end(c)) {
            break;
        } else {
            at++;
        }
    }
    return no_end(s);
}

static size_t skip_string_at(struct source_text *s, size_t at, unsigned depth)
{
    struct literal l = read_opening(s, at);

    if (depth >= DEEPEST)
        return no_end(s);
    at += l.triple ? 3 : 1;
    return l.fields ? skip_fields(s, &l, at, depth) : skip_plain(s, &l, at);
}

size_t source_text_skip_string(struct source_text *s, size_t at)
{
    return skip_string_at(s, at, 0);
}

size_t source_text_next(struct source_text *s, size_t at)
{
    while ((at = find(s, at, SOURCE_CODE, SOURCE_CODE)) < s->size) {
        unsigned char c = s->data[at];

        if (c == '"' || c == '\'') {
            size_t begin = at;

            at = source_text_skip_string(s, at);
            if (s->string)
                s->string(s->arg, begin, at);
        } else if (c == '#')
            at = s->comment_end = source_text_line_end(s, at + 1);
        else
            break;
    }
    return at;
}
