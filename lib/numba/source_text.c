/* Finds the code of a Python source: strings of every kind and comments are skipped. */

#include "numba/source_text.h"

#include <endian.h>
#include <string.h>

/* 2: AVX2 where the processor has it, and SSE2; 1: SSE2; 0: neither. Tests set it, so that they run
 * what other processors do. */
#ifndef SOURCE_TEXT_LEVEL
#ifdef __x86_64__
#define SOURCE_TEXT_LEVEL 2
#elif defined(__SSE2__)
#define SOURCE_TEXT_LEVEL 1
#else
#define SOURCE_TEXT_LEVEL 0
#endif
#endif

#if SOURCE_TEXT_LEVEL == 2
#include <immintrin.h>
#elif SOURCE_TEXT_LEVEL == 1
#include <emmintrin.h>
#endif

enum {
    BLOCK = 64,
    DEEPEST = 150, /* strings in strings: CPython's MAXFSTRINGLEVEL */
};

typedef unsigned char lanes __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

/* Bit I of the result: is byte I of V, which is all ones or all zeros, ones? */
static inline uint64_t bits(lanes v)
{
#if SOURCE_TEXT_LEVEL > 0
    return (unsigned)_mm_movemask_epi8((__m128i)v);
#else
    halves h = (halves)v & htole64(0x8040201008040201);

    return (le64toh(h[0]) * 0x0101010101010101 >> 56) | (le64toh(h[1]) * 0x0101010101010101 >> 56)
                                                            << 8;
#endif
}

static inline lanes load(const unsigned char *at)
{
    lanes v;

    memcpy(&v, at, sizeof v);
    return v;
}

/* ---- Code --------------------------------------------------------------------------------- */

/* Which bytes of V may be of interest in code; N are those behind them. */
static inline lanes of_interest(lanes v, lanes n)
{
    return (lanes)(v == '"') | (lanes)(v == '\'') | (lanes)(v == '#') | (lanes)(v >= 0x80) |
           ((lanes)(v == 'm') & (lanes)(n == 'p')) | ((lanes)(v == 'x') & (lanes)(n == 'e')) |
           ((lanes)(v == 'e') & (lanes)(n == 'v')) | ((lanes)(v == 'y') & (lanes)(n == 's')) |
           ((lanes)(v == '_') & (lanes)(n == '_'));
}

#if SOURCE_TEXT_LEVEL == 2
/* The same for 64 bytes, by their halves: a quote or '#' is bit 0, each first byte of a pair a bit
 * that its second byte has, too. Bit I of the result is byte I's. */
__attribute__((target("avx2"))) static uint64_t look_at_wide(const unsigned char *data)
{
    enum { ALONE = 1, MP = 2, XE = 4, EV = 8, YS = 16, UU = 32, NONE = 0 };
    /* By the lower and the upper half of the first byte, and of the second. */
    const __m256i low = _mm256_setr_epi8(
        NONE, NONE, ALONE, ALONE, NONE, EV, NONE, ALONE, XE, YS, NONE, NONE, NONE, MP, NONE, UU,
        NONE, NONE, ALONE, ALONE, NONE, EV, NONE, ALONE, XE, YS, NONE, NONE, NONE, MP, NONE, UU);
    const __m256i high =
        _mm256_setr_epi8(NONE, NONE, ALONE, NONE, NONE, UU, MP | EV, XE | YS, NONE, NONE, NONE,
                         NONE, NONE, NONE, NONE, NONE, NONE, NONE, ALONE, NONE, NONE, UU, MP | EV,
                         XE | YS, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE);
    const __m256i next_low = _mm256_setr_epi8(
        MP, NONE, NONE, YS, NONE, XE, EV, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, UU, MP,
        NONE, NONE, YS, NONE, XE, EV, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, UU);
    const __m256i next_high =
        _mm256_setr_epi8(NONE, NONE, NONE, NONE, NONE, UU, XE, MP | EV | YS, NONE, NONE, NONE, NONE,
                         NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, UU, XE, MP | EV | YS,
                         NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE);
    const __m256i half = _mm256_set1_epi8(15), alone = _mm256_set1_epi8(ALONE);
    uint64_t code = 0;

    for (unsigned i = 0; i < BLOCK; i += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(data + i));
        __m256i n = _mm256_loadu_si256((const __m256i *)(const void *)(data + i + 1));
        __m256i upper = _mm256_and_si256(_mm256_srli_epi16(v, 4), half);
        __m256i next_upper = _mm256_and_si256(_mm256_srli_epi16(n, 4), half);
        __m256i first =
            _mm256_and_si256(_mm256_shuffle_epi8(low, v), _mm256_shuffle_epi8(high, upper));
        __m256i second = _mm256_and_si256(_mm256_shuffle_epi8(next_low, n),
                                          _mm256_shuffle_epi8(next_high, next_upper));
        __m256i found = _mm256_and_si256(first, _mm256_or_si256(second, alone));
        uint32_t none =
            (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(found, _mm256_setzero_si256()));

        code |= (uint64_t)(~none | (uint32_t)_mm256_movemask_epi8(v)) << i;
    }
    return code;
}
#endif

/* The mask of the block at DATA, behind which one more byte can be read. */
static inline uint64_t look_at(const unsigned char *data)
{
    uint64_t code = 0;

#if SOURCE_TEXT_LEVEL == 2
    if (__builtin_cpu_supports("avx2"))
        return look_at_wide(data);
#endif
    for (unsigned i = 0; i < BLOCK; i += 16) {
        lanes v = load(data + i), n = load(data + i + 1);

        code |= bits(of_interest(v, n)) << i;
    }
    return code;
}

static void enter_block(struct source_text *s, size_t block)
{
    unsigned char last[BLOCK + 16] = {0};

    s->block = block;
    if (s->size - block > BLOCK) {
        s->code = look_at(s->data + block);
        return;
    }
    memcpy(last, s->data + block, s->size - block);
    s->code = look_at(last);
}

/* The first place from AT on that may be of interest in code, or the end. */
static inline size_t find_code(struct source_text *s, size_t at)
{
    while (at < s->size) {
        uint64_t m;

        if (at - s->block >= BLOCK)
            enter_block(s, at / BLOCK * BLOCK);
        m = s->code >> (at % BLOCK);
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

/* ---- Lines -------------------------------------------------------------------------------- */

/* The first place from AT on where one of these bytes stands, or the end. */
__attribute__((always_inline)) static inline size_t find(const struct source_text *s, size_t at,
                                                         unsigned char a, unsigned char b,
                                                         unsigned char c, unsigned char d)
{
    for (; at < s->size && s->size - at >= sizeof(lanes); at += sizeof(lanes)) {
        lanes v = load(s->data + at);
        uint64_t m = bits((lanes)(v == a) | (lanes)(v == b) | (lanes)(v == c) | (lanes)(v == d));

        if (m)
            return at + (unsigned)__builtin_ctzll(m);
    }
    while (at < s->size && s->data[at] != a && s->data[at] != b && s->data[at] != c &&
           s->data[at] != d)
        at++;
    return at;
}

size_t source_text_line_end(const struct source_text *s, size_t at)
{
    return find(s, at, '\n', '\n', '\r', '\r');
}

size_t source_text_skip_line_end(const struct source_text *s, size_t at)
{
    if (s->data[at] == '\r' && at + 1 < s->size && s->data[at + 1] == '\n')
        return at + 2;
    return at + 1;
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

/* The first place from AT on where the string may end or a backslash stands. */
static inline size_t find_end(const struct source_text *s, const struct literal *l, size_t at)
{
    if (l->triple)
        return l->quote == '"' ? find(s, at, '"', '"', '\\', '\\')
                               : find(s, at, '\'', '\'', '\\', '\\');
    return l->quote == '"' ? find(s, at, '"', '\\', '\n', '\r')
                           : find(s, at, '\'', '\\', '\n', '\r');
}

static size_t skip_plain(struct source_text *s, const struct literal *l, size_t at)
{
    for (;;) {
        at = find_end(s, l, at);
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

/* Behind the string whose opening quote stands at AT. */
static size_t skip_string(struct source_text *s, size_t at, unsigned depth);
static size_t skip_format(struct source_text *s, const struct literal *l, size_t at,
                          unsigned depth);

/* Behind the field whose first byte behind "{" is AT. */
static size_t skip_field(struct source_text *s, const struct literal *l, size_t at, unsigned depth)
{
    size_t brackets = 0, end;

    while (at < s->size && !s->broken) {
        unsigned char c = s->data[at];

        if (c == '"' || c == '\'') {
            at = skip_string(s, at, depth + 1);
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

static size_t skip_string(struct source_text *s, size_t at, unsigned depth)
{
    struct literal l = read_opening(s, at);

    if (depth >= DEEPEST)
        return no_end(s);
    at += l.triple ? 3 : 1;
    return l.fields ? skip_fields(s, &l, at, depth) : skip_plain(s, &l, at);
}

size_t source_text_next(struct source_text *s, size_t at)
{
    while ((at = find_code(s, at)) < s->size) {
        unsigned char c = s->data[at];

        if (c == '"' || c == '\'') {
            size_t begin = at;

            at = skip_string(s, at, 0);
            if (s->string)
                s->string(s->arg, begin, at);
        } else if (c == '#')
            at = s->comment_end = source_text_line_end(s, at + 1);
        else
            break;
    }
    return at;
}
