/* Reads the values that a pickle holds as binary literals. */

#include "pickle_machine.h"

#include <string.h>

#include "base/path.h"

int op_constant(struct machine *m, const struct opcode *o)
{
    struct pickle_value *v;
    int r = machine_push_new(m, o->type, &v);
    if (r < 0)
        return r;
    v->boolean = o->width == 1; /* NEWTRUE */
    return 0;
}

int op_int(struct machine *m, const struct opcode *o)
{
    uint64_t n;
    struct pickle_value *v;
    int r = machine_number(m, o->width, &n);
    r = r < 0 ? r : machine_push_new(m, PICKLE_INT, &v);
    if (r < 0)
        return r;
    /* BININT alone is signed. */
    v->integer = o->width == 4 ? (int32_t)(uint32_t)n : (int64_t)n;
    return 0;
}

/* Makes V an INT or, where 64 bits do not hold it, a BIGINT, from N bytes of little-endian two's
 * complement, which must live as long as the pickle. */
static void set_integer(struct pickle_value *v, const unsigned char *bytes, size_t n)
{
    /* A byte at the end that only repeats the sign of the one before says nothing. */
    while (n > 1 && bytes[n - 1] == (bytes[n - 2] & 0x80 ? 0xff : 0))
        n--;
    if (n > sizeof(v->integer)) {
        v->type = PICKLE_BIGINT;
        v->data = bytes;
        v->size = n;
        return;
    }
    uint64_t value = n > 0 && bytes[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = n; i-- > 0;)
        value = value << 8 | bytes[i];
    v->type = PICKLE_INT;
    v->integer = (int64_t)value;
}

/* The argument of O: a number of O's width, and as many BYTES. NEGATIVE: the number has a sign
 * where it is four bytes wide, and this is wrong with one below zero. */
static int take_counted(struct machine *m, const struct opcode *o, const char *negative,
                        const unsigned char **bytes, uint64_t *n)
{
    int r = machine_number(m, o->width, n);
    if (r < 0)
        return r;
    if (negative && o->width == 4 && *n > INT32_MAX)
        return machine_fail(m, "%s", negative);
    return machine_take(m, *n, bytes);
}

int op_long(struct machine *m, const struct opcode *o)
{
    uint64_t n;
    const unsigned char *bytes;
    struct pickle_value *v;
    int r = take_counted(m, o, "an integer of negative length", &bytes, &n);
    r = r < 0 ? r : machine_push_new(m, PICKLE_INT, &v);
    if (r < 0)
        return r;
    set_integer(v, bytes, n);
    return 0;
}

int op_float(struct machine *m, const struct opcode *o)
{
    (void)o;
    const unsigned char *bytes;
    struct pickle_value *v;
    int r = machine_take(m, 8, &bytes);
    r = r < 0 ? r : machine_push_new(m, PICKLE_FLOAT, &v);
    if (r < 0)
        return r;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i];
    memcpy(&v->real, &bits, sizeof(bits));
    return 0;
}

int op_counted(struct machine *m, const struct opcode *o)
{
    uint64_t n;
    const unsigned char *bytes;
    struct pickle_value *v;
    int r = take_counted(m, o, NULL, &bytes, &n);
    if (r < 0)
        return r;
    if (o->type == PICKLE_STR && !utf8_valid_surrogates(bytes, n))
        return machine_fail(m, "a string that is not UTF-8");
    r = machine_push_new(m, o->type, &v);
    if (r < 0)
        return r;
    v->data = bytes;
    v->size = n;
    return 0;
}
