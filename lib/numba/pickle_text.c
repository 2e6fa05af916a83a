/* Values that protocol 0 writes as lines of text. */

#include "pickle_machine.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

/* As many digits as Python converts without being told to (sys.int_info). It bounds the work,
 * which grows with the square of their number. */
enum { MAX_DIGITS = 4300, MAX_LIMBS = MAX_DIGITS * 4 / 32 + 2 };

static int digit_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

static bool is_blank(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* limbs = limbs * factor + more; the number of limbs now in use. */
static size_t limbs_shift_in(uint32_t *limbs, size_t count, uint32_t factor, uint32_t more)
{
    uint64_t carry = more;
    for (size_t i = 0; i < count; i++) {
        carry += (uint64_t)limbs[i] * factor;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry)
        limbs[count++] = (uint32_t)carry;
    return count;
}

/* The digits of TEXT in BASE, single underscores between them allowed. The number of limbs, or
 * -1 where this is no number, -2 where it is too long. */
static int limbs_parse(uint32_t *limbs, const unsigned char *text, size_t n, unsigned base)
{
    size_t count = 0, digits = 0;
    uint32_t factor = 1, some = 0; /* several digits go in at once */
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '_' && i > 0 && i + 1 < n && text[i - 1] != '_')
            continue;
        unsigned d = (unsigned)digit_value(text[i]);
        if (d >= base)
            return -1;
        if (++digits > MAX_DIGITS)
            return -2;
        some = some * base + d;
        factor *= base;
        if (factor > UINT32_MAX / 16) {
            count = limbs_shift_in(limbs, count, factor, some);
            factor = 1;
            some = 0;
        }
    }
    count = limbs_shift_in(limbs, count, factor, some);
    return digits ? (int)count : -1;
}

static size_t leading_zeros(const unsigned char *text, size_t n)
{
    size_t i = 0;
    while (i < n && (text[i] == '0' || text[i] == '_'))
        i++;
    return i;
}

/* A number as Python's int(text, 0) reads it: the prefix says the base. */
static int parse_integer(struct machine *m, const unsigned char *text, size_t n,
                         struct pickle_value *v)
{
    uint32_t limbs[MAX_LIMBS];
    while (n > 0 && is_blank(text[0]))
        text++, n--;
    while (n > 0 && is_blank(text[n - 1]))
        n--;
    bool negative = n > 0 && text[0] == '-';
    if (n > 0 && (text[0] == '-' || text[0] == '+'))
        text++, n--;
    unsigned char prefix = n > 2 && text[0] == '0' ? text[1] | 0x20 : 0;
    unsigned base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
    if (base != 10)
        text += 2, n -= 2;
    else if (n > 1 && text[0] == '0' && leading_zeros(text, n) < n)
        return machine_fail(m, "a number with leading zeros"); /* octal for some readers */
    int count = limbs_parse(limbs, text, n, base);
    if (count < 0)
        return machine_fail(m, count == -1 ? "not a number" : "a number of too many digits");

    /* Two's complement, with a byte in front for the sign. */
    size_t bytes = (size_t)count * 4 + 1;
    unsigned char *out = arena_alloc(&m->pickle->arena, bytes);
    if (!out)
        return machine_nomem(m);
    for (size_t i = 0; i + 1 < bytes; i++)
        out[i] = (unsigned char)(limbs[i / 4] >> (8 * (i % 4)));
    if (negative) {
        unsigned carry = 1;
        for (size_t i = 0; i < bytes; i++) {
            carry += (unsigned char)~out[i];
            out[i] = (unsigned char)carry;
            carry >>= 8;
        }
    }
    literal_set_integer(v, out, bytes);
    return 0;
}

int op_int_line(struct machine *m, const struct opcode *o)
{
    (void)o;
    const unsigned char *text;
    size_t n;
    struct pickle_value *v;
    int r = machine_push_line(m, PICKLE_INT, &v, &text, &n);
    if (r < 0)
        return r;
    /* How protocols 0 and 1 write True and False. */
    if (n == 2 && text[0] == '0' && (text[1] == '0' || text[1] == '1')) {
        v->type = PICKLE_BOOL;
        v->boolean = text[1] == '1';
        return 0;
    }
    return parse_integer(m, text, n, v);
}

int op_long_line(struct machine *m, const struct opcode *o)
{
    (void)o;
    const unsigned char *text;
    size_t n;
    struct pickle_value *v;
    int r = machine_line(m, &text, &n);
    if (r < 0)
        return r;
    if (n > 0 && text[n - 1] == 'L')
        n--;
    r = machine_push_new(m, PICKLE_INT, &v);
    if (r < 0)
        return r;
    return parse_integer(m, text, n, v);
}

int op_float_line(struct machine *m, const struct opcode *o)
{
    (void)o;
    const unsigned char *text;
    size_t n;
    struct pickle_value *v;
    int r = machine_push_line(m, PICKLE_FLOAT, &v, &text, &n);
    if (r < 0)
        return r;
    /* The program may run in a locale whose decimal point is a comma. The newline behind the
     * text, which machine_line has found, ends the number. */
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0)
        return machine_nomem(m);
    char *end;
    v->real = strtod_l((const char *)text, &end, c);
    freelocale(c);
    bool hex = memchr(text, 'x', n) || memchr(text, 'X', n) || memchr(text, '(', n);
    if (n == 0 || is_blank(text[0]) || hex || (const unsigned char *)end != text + n)
        return machine_fail(m, "not a number");
    return 0;
}

/* The escape at TEXT (behind its backslash) as Python's bytes literals have it: how much of it
 * was eaten, with *C filled; 0: no escape, the backslash stands for itself; -1: malformed. */
static int unescape(const unsigned char *text, size_t n, unsigned char *c)
{
    static const char from[] = "\\'\"bfnrtva", to[] = "\\'\"\b\f\n\r\t\v\a";
    if (n == 0)
        return -1;
    const char *known = memchr(from, text[0], sizeof(from) - 1);
    if (known) {
        *c = (unsigned char)to[known - from];
        return 1;
    }
    if (text[0] >= '0' && text[0] <= '7') {
        unsigned value = 0;
        int used = 0;
        while (used < 3 && (size_t)used < n && text[used] >= '0' && text[used] <= '7')
            value = value * 8 + (text[used++] - '0');
        *c = (unsigned char)value;
        return used;
    }
    if (text[0] != 'x')
        return 0;
    if (n < 3 || digit_value(text[1]) > 15 || digit_value(text[2]) > 15)
        return -1;
    *c = (unsigned char)(digit_value(text[1]) * 16 + digit_value(text[2]));
    return 3;
}

int op_string_line(struct machine *m, const struct opcode *o)
{
    (void)o;
    const unsigned char *text;
    size_t n, size = 0;
    struct pickle_value *v;
    int r = machine_line(m, &text, &n);
    if (r < 0)
        return r;
    if (n < 2 || text[0] != text[n - 1] || (text[0] != '"' && text[0] != '\''))
        return machine_fail(m, "a string without quotes");
    text++;
    n -= 2;
    unsigned char *out = arena_alloc(&m->pickle->arena, n);
    if (!out)
        return machine_nomem(m);
    for (size_t i = 0; i < n;) {
        out[size] = text[i++];
        if (out[size++] != '\\')
            continue;
        int used = unescape(text + i, n - i, &out[size - 1]);
        if (used < 0)
            return machine_fail(m, "a malformed escape in a string");
        i += (size_t)used;
    }
    r = machine_push_new(m, PICKLE_STR, &v);
    if (r < 0)
        return r;
    literal_set_old_string(v, out, size);
    return 0;
}

/* Code point C, surrogates included, as UTF-8 at OUT; the number of bytes. */
static size_t utf8_put(unsigned char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (unsigned char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (unsigned char)(lead[n] | c);
    return n;
}

/* "raw-unicode-escape": \uXXXX and \UXXXXXXXX, all else is Latin-1. The character at TEXT, how
 * much of it was eaten; 0: malformed. */
static size_t raw_character(const unsigned char *text, size_t n, uint32_t *c)
{
    *c = text[0];
    if (text[0] != '\\' || n < 2 || (text[1] != 'u' && text[1] != 'U'))
        return 1;
    size_t digits = text[1] == 'u' ? 4 : 8;
    uint32_t value = 0;
    if (n < 2 + digits)
        return 0;
    for (size_t i = 2; i < 2 + digits; i++) {
        int d = digit_value(text[i]);
        if (d > 15)
            return 0;
        value = value << 4 | (uint32_t)d;
    }
    *c = value;
    return value <= 0x10ffff ? 2 + digits : 0;
}

int op_unicode_line(struct machine *m, const struct opcode *o)
{
    (void)o;
    const unsigned char *text;
    size_t n, size = 0, room;
    struct pickle_value *v;
    int r = machine_line(m, &text, &n);
    if (r < 0)
        return r;
    /* A byte of Latin-1 becomes at most two, an escape fewer than it was. */
    if (__builtin_mul_overflow(n, 2, &room))
        return machine_nomem(m);
    unsigned char *out = arena_alloc(&m->pickle->arena, room);
    if (!out)
        return machine_nomem(m);
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t used = raw_character(text + i, n - i, &c);
        if (used == 0)
            return machine_fail(m, "a malformed escape in a string");
        i += used;
        size += utf8_put(out + size, c);
        /* The second of two backslashes does not begin an escape. */
        if (c == '\\' && used == 1 && i < n && text[i] == '\\') {
            out[size++] = '\\';
            i++;
        }
    }
    r = machine_push_new(m, PICKLE_STR, &v);
    if (r < 0)
        return r;
    v->data = out;
    v->size = size;
    return 0;
}
