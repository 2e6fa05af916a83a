/* The pickle reader: reads what Python writes, as Python reads it, and survives the rest. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "numba/pickle.h"

#define DATA TEST_DATA "/numba"

static void read_file(struct buf *out, const char *path)
{
    unsigned char piece[65536];
    size_t n;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        assert_int_equal(buf_add(out, piece, n), 0);
    assert_int_equal(buf_terminate(out), 0);
    fclose(f);
}

/* ---- A graph as text, the same that data/numba/make.py writes ---------------------------- */

static const struct {
    const char *name;
    bool is_hex; /* the data, in hex */
    bool is_run; /* the items, in parentheses */
} kinds[] = {
    [PICKLE_BIGINT] = {"big", .is_hex = true},
    [PICKLE_BYTES] = {"bytes", .is_hex = true},
    [PICKLE_BYTEARRAY] = {"bytearray", .is_hex = true},
    [PICKLE_STR] = {"str", .is_hex = true},
    [PICKLE_TUPLE] = {"tuple", .is_run = true},
    [PICKLE_LIST] = {"list", .is_run = true},
    [PICKLE_DICT] = {"dict", .is_run = true},
    [PICKLE_SET] = {"set", .is_run = true},
    [PICKLE_FROZENSET] = {"frozenset", .is_run = true},
    [PICKLE_GLOBAL] = {"global", .is_run = true},
    [PICKLE_REDUCE] = {"reduce", .is_run = true},
    [PICKLE_NEWOBJ] = {"newobj", .is_run = true},
    [PICKLE_NEWOBJ_EX] = {"newobj_ex", .is_run = true},
    [PICKLE_INST] = {"inst", .is_run = true},
    [PICKLE_PERSID] = {"persid", .is_hex = true, .is_run = true},
    [PICKLE_EXT] = {"ext", .is_run = true},
    [PICKLE_BUFFER] = {"buffer", .is_run = true},
};

struct above { /* the values around the one being printed */
    const struct above *next;
    const struct pickle_value *value;
};

static void print_value(struct buf *out, const struct pickle_value *v, const struct above *above);

static void print_run(struct buf *out, struct pickle_value *const *items, size_t n,
                      const struct above *above)
{
    for (size_t i = 0; i < n; i++) {
        buf_add_str(out, " ");
        print_value(out, items[i], above);
    }
}

static void print_parts(struct buf *out, const struct pickle_value *v, const struct above *above)
{
    for (const struct above *a = above; a; a = a->next)
        if (a->value == v) {
            buf_add_str(out, "cycle");
            return;
        }
    struct above here = {above, v};
    buf_printf(out, "(%s", kinds[v->type].name);
    if (v->type == PICKLE_EXT)
        buf_printf(out, " %lld", (long long)v->integer);
    if (v->type == PICKLE_PERSID && v->size)
        buf_printf(out, " %.*s", (int)v->size, (const char *)v->data);
    print_run(out, v->items, v->count, &here);
    if (v->state) {
        buf_add_str(out, " state ");
        print_value(out, v->state, &here);
    }
    if (v->more_count)
        buf_add_str(out, " more");
    print_run(out, v->more, v->more_count, &here);
    buf_add_str(out, ")");
}

static void print_value(struct buf *out, const struct pickle_value *v, const struct above *above)
{
    uint64_t bits;
    switch (v->type) {
    case PICKLE_NONE:
        buf_add_str(out, "None");
        return;
    case PICKLE_BOOL:
        buf_add_str(out, v->boolean ? "True" : "False");
        return;
    case PICKLE_INT:
        buf_printf(out, "%lld", (long long)v->integer);
        return;
    case PICKLE_FLOAT:
        memcpy(&bits, &v->real, sizeof(bits));
        buf_printf(out, "float %016llx", (unsigned long long)bits);
        return;
    default:
        break;
    }
    if (kinds[v->type].is_run) {
        print_parts(out, v, above);
        return;
    }
    buf_printf(out, "%s ", kinds[v->type].name);
    for (size_t i = 0; i < v->size; i++)
        buf_printf(out, "%02x", v->data[i]);
}

static void assert_reads_as(const void *data, size_t size, const char *text)
{
    struct pickle *p;
    struct wp_error err = {0};
    size_t used;
    _cleanup_buf_ struct buf out = {0};
    if (pickle_read(&p, data, size, &used, NULL, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    assert_int_equal(used, size);
    print_value(&out, pickle_root(p), NULL);
    assert_int_equal(buf_terminate(&out), 0);
    /* Where they part; the whole would not be printed. */
    size_t same = 0;
    while (text[same] && text[same] == (char)out.data[same])
        same++;
    if (text[same] || same < out.size)
        fail_msg("at %zu: %.100s != %.100s", same, out.data + same, text + same);
    pickle_free(p);
}

/* ---- Python's own pickles ---------------------------------------------------------------- */

static void reads_each_protocol_as_python_does(void **state)
{
    (void)state;
    for (int protocol = 0; protocol <= 5; protocol++) {
        _cleanup_buf_ struct buf data = {0}, text = {0};
        char path[sizeof(DATA) + 64];
        snprintf(path, sizeof(path), DATA "/protocol-%d.pickle", protocol);
        read_file(&data, path);
        snprintf(path, sizeof(path), DATA "/protocol-%d.txt", protocol);
        read_file(&text, path);
        text.data[text.size - 1] = '\0'; /* the newline */
        assert_reads_as(data.data, data.size, (char *)text.data);
    }
}

/* ---- What Python no longer writes -------------------------------------------------------- */

#define P(bytes) bytes, sizeof(bytes) - 1
static const struct {
    const char *data;
    size_t size;
    const char *text;
} by_hand[] = {
    {P("I00\n."), "False"},
    {P("I01\n."), "True"},
    {P("I1\n."), "1"},
    {P("I-0x1F\n."), "-31"},
    {P("I 0b101 \n."), "5"},
    {P("L123L\n."), "123"},
    {P("L-9223372036854775808L\n."), "-9223372036854775808"},
    {P("L9223372036854775808\n."), "big 000000000000008000"},
    {P("L1_000\n."), "1000"},
    {P("\x8a\x00."), "0"},
    {P("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff."), "-1"},
    {P("\x8b\x02\x00\x00\x00\x00\x80."), "-32768"},
    {P("J\xff\xff\xff\xff."), "-1"},
    {P("M\xff\xff."), "65535"},
    {P("F1.5\n."), "float 3ff8000000000000"},
    {P("F-inf\n."), "float fff0000000000000"},
    {P("S'a\\n\\x41\\101\\\\\\q'\n."), "str 610a41415c5c71"},
    {P("S\"'\"\n."), "str 27"},
    {P("S'\\xff'\n."), "bytes ff"},
    {P("T\x02\x00\x00\x00hi."), "str 6869"},
    {P("U\x01\xe9."), "bytes e9"},
    {P("V\xe9\\u20ac\\U0001f40d\\\\u0041\\\n."), "str c3a9e282acf09f908d5c5c75303034315c"},
    {P("\x8d\x01\x00\x00\x00\x00\x00\x00\x00z."), "str 7a"},
    {P("\x8e\x01\x00\x00\x00\x00\x00\x00\x00z."), "bytes 7a"},
    {P("(I1\nI2\nl."), "(list 1 2)"},
    {P("(I1\nI2\nd."), "(dict 1 2)"},
    {P("(cmod\nname\nI1\no."), "(inst (global str 6d6f64 str 6e616d65) 1)"},
    {P("(I1\nimod\nname\n."), "(inst (global str 6d6f64 str 6e616d65) 1)"},
    {P("(I1\n(I2\n00tN\x86."), "(tuple (tuple 1) None)"}, /* POP of a value, then of a mark */
    {P("(I1\n(I2\n1t."), "(tuple 1)"},
    {P("K\x01\x32\x86."), "(tuple 1 1)"},
    {P("K\x07p5\n0g5\n."), "7"},
    {P("K\x07r\x00\x00\x00\x80\x30j\x00\x00\x00\x80."), "7"},
    {P("K\x07q\x05K\x08\x94\x86h\x01\x86."), "(tuple (tuple 7 8) 8)"}, /* the memo's length */
    {P("P12\n."), "(persid 12)"},
    {P("K\x07Q."), "(persid 7)"},
    {P("\x82\x01."), "(ext 1)"},
    {P("\x83\x01\x01."), "(ext 257)"},
    {P("\x84\x01\x00\x01\x00."), "(ext 65537)"},
    {P("\x97\x98."), "(buffer)"},
    {P("cm\nn\n)R}b]a(K\x01K\x02"
       "e."),
     "(reduce (global str 6d str 6e) (tuple) state (dict) more (list) 1 2)"},
    {P("]K\x00K\x01s."), "(list more 0 1)"},
    {P("\x80\x05\x80\x02N."), "None"},
};

static void reads_opcodes_that_python_no_longer_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(by_hand) / sizeof(*by_hand); i++)
        assert_reads_as(by_hand[i].data, by_hand[i].size, by_hand[i].text);
}

static bool is_opcode(unsigned char byte)
{
    struct pickle *p = NULL;
    struct wp_error err = {0};
    size_t used;
    int r = pickle_read(&p, &byte, 1, &used, NULL, &err);
    assert_true(r < 0);
    return !strstr(err.message, "is no opcode");
}

static void knows_every_opcode_of_pickletools(void **state)
{
    (void)state;
    bool known[256] = {false};
    int code;
    FILE *f = popen("/usr/bin/python3 -c 'import pickletools\n"
                    "for o in pickletools.opcodes: print(ord(o.code))'",
                    "r");
    assert_non_null(f);
    size_t count = 0;
    for (; fscanf(f, "%d", &code) == 1; count++)
        known[code & 0xff] = true;
    assert_int_equal(pclose(f), 0);
    assert_true(count >= 68);
    for (code = 0; code < 256; code++)
        if (is_opcode((unsigned char)code) != known[code])
            fail_msg("opcode 0x%02x", (unsigned)code);
}

static void a_value_knows_where_its_bytes_are(void **state)
{
    (void)state;
    static const char data[] = "\x80\x04\x8c\x02hiG?\xf8\x00\x00\x00\x00\x00\x00\x86.";
    struct pickle *p;
    size_t used;
    assert_int_equal(pickle_read(&p, (const void *)data, sizeof(data) - 1, &used, NULL, NULL), 0);
    const struct pickle_value *v = pickle_root(p);
    assert_int_equal(v->at, 15);
    assert_int_equal(v->end, 16);
    assert_int_equal(v->items[0]->at, 2);
    assert_int_equal(v->items[0]->end, 6);
    assert_ptr_equal(v->items[0]->data, data + 4);
    assert_true(pickle_is_str(v->items[0], "hi"));
    assert_false(pickle_is_str(v->items[0], "hint"));
    assert_false(pickle_is_str(v->items[1], "hi"));
    assert_int_equal(v->items[1]->at, 6);
    assert_int_equal(v->items[1]->end, 15);
    pickle_free(p);
}

static void stops_behind_the_pickle(void **state)
{
    (void)state;
    struct pickle *p;
    size_t used;
    assert_int_equal(pickle_read(&p, (const void *)"N.I1\n.", 6, &used, NULL, NULL), 0);
    assert_int_equal(used, 2);
    pickle_free(p);
}

static void frames_that_lie_do_not_matter(void **state)
{
    (void)state;
    assert_reads_as("\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00N.", 13, "None");
    assert_reads_as("\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00N.", 13, "None");
    assert_reads_as("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", 13, "None");
}

static void says_how_far_frames_claim_to_go(void **state)
{
    (void)state;
    static const struct {
        const char *length;
        uint64_t end;
    } frames[] = {{"\x02\x00\x00\x00\x00\x00\x00\x00", 13},
                  {"\x10\x00\x00\x00\x00\x00\x00\x00", 27},
                  {"\xff\xff\xff\xff\xff\xff\xff\xff", UINT64_MAX}};
    for (size_t i = 0; i < 3; i++) {
        unsigned char data[] = "\x80\x04\x95........N.";
        struct pickle *p;
        size_t used;
        memcpy(data + 3, frames[i].length, 8);
        assert_int_equal(pickle_read(&p, data, 13, &used, NULL, NULL), 0);
        assert_int_equal(pickle_frame_end(p), frames[i].end);
        pickle_free(p);
    }
}

/* ---- Bad input --------------------------------------------------------------------------- */

static const struct {
    const char *data;
    size_t size;
} bad[] = {
    {P("")},
    {P(".")},
    {P("\xff.")},
    {P("\x80\x06N.")},
    {P("(.")},      /* a mark is no value */
    {P("N(2.")},    /* nor can what is below it be reached */
    {P("t.")},      /* no mark */
    {P("(N\x86.")}, /* TUPLE2 across a mark */
    {P("h\x00.")},  /* nothing in the memo */
    {P("g-1\n.")},
    {P("Np4294967296\n.")}, /* memo index beyond 32 bits */
    {P("Np18446744073709551616\n.")},
    {P("(Nd.")}, /* a key without a value */
    {P("}(Nu.")},
    {P("Na.")},  /* APPEND to nothing */
    {P("NNa.")}, /* APPEND to None */
    {P("\x8c\x01"
       "aN\x93.")}, /* the name of a class is None */
    {P("(o.")},
    {P("\x82\x00.")},
    {P("\x84\xff\xff\xff\xff.")},
    {P("\x8b\xff\xff\xff\xff.")},
    {P("T\xff\xff\xff\xff.")},
    {P("X\xff\xff\xff\xff.")},
    {P("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.")},
    {P("\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.")},
    {P("\x8c\x02\xc0\x80.")}, /* UTF-8 longer than needed */
    {P("\x8c\x04\xf4\x90\x80\x80.")},
    {P("\x8c\x02\xe2\x82.")},
    {P("V\\u12\n.")},
    {P("V\\U00110000\n.")},
    {P("I\n.")},
    {P("I1")},
    {P("I1x\n.")},
    {P("I0x\n.")},
    {P("I--1\n.")},
    {P("I1__0\n.")},
    {P("F\n.")},
    {P("F1.5x\n.")},
    {P("F0x10\n.")},
    {P("F 1\n.")},
    {P("S'a\n.")},
    {P("S'\n.")},
    {P("S'\\x1'\n.")},
    {P("cmod\n.")},
    {P("cmod\nna\xffme\n.")},
    {P("I012\n.")},
};

static void refuses_what_no_pickle_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct pickle *p = NULL;
        struct wp_error err = {0};
        size_t used;
        int r = pickle_read(&p, (const void *)bad[i].data, bad[i].size, &used, NULL, &err);
        if (r != -EINVAL)
            fail_msg("case %zu: %d", i, r);
        assert_null(p);
        assert_non_null(strstr(err.message, "pickle, byte "));
    }
}

/* A copy in memory of its own, so that a sanitizer sees reading beyond it. */
static int read_copy(const unsigned char *data, size_t size)
{
    _cleanup_free_ unsigned char *copy = malloc(size ? size : 1);
    struct pickle *p = NULL;
    size_t used;
    memcpy(copy, data, size);
    int r = pickle_read(&p, copy, size, &used, NULL, NULL);
    pickle_free(p);
    return r;
}

static void refuses_every_cut(void **state)
{
    (void)state;
    for (int protocol = 0; protocol <= 5; protocol++) {
        _cleanup_buf_ struct buf data = {0};
        char path[sizeof(DATA) + 64];
        snprintf(path, sizeof(path), DATA "/protocol-%d.pickle", protocol);
        read_file(&data, path);
        size_t step = 1;
        for (size_t n = 0; n < data.size; n += step) {
            assert_int_equal(read_copy(data.data, n), -EINVAL);
            step = n < 3000 ? 1 : 37;
        }
    }
}

static void survives_damage(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252;
    for (int protocol = 0; protocol <= 5; protocol++) {
        _cleanup_buf_ struct buf data = {0};
        char path[sizeof(DATA) + 64];
        snprintf(path, sizeof(path), DATA "/protocol-%d.pickle", protocol);
        read_file(&data, path);
        for (int i = 0; i < 500; i++) {
            _cleanup_free_ unsigned char *copy = malloc(data.size);
            memcpy(copy, data.data, data.size);
            for (int k = 0; k < 5; k++) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                copy[random % (k < 3 ? 2500 : data.size)] = (unsigned char)(random >> 32);
            }
            int r = read_copy(copy, data.size);
            assert_true(r == 0 || r == -EINVAL || r == -ENOMEM);
        }
    }
}

static void memory_is_bounded(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    _cleanup_free_ char *bomb = malloc(SIZE);
    struct pickle_limits limits = {.memory = 1 << 20};
    struct pickle *p = NULL;
    struct wp_error err = {0};
    size_t used;
    memset(bomb, ')', SIZE); /* each byte an empty tuple */
    assert_int_equal(pickle_read(&p, (void *)bomb, SIZE, &used, &limits, &err), -ENOMEM);
    assert_int_equal(err.code, ENOMEM);
    memset(bomb, '2', SIZE); /* each byte a place on the stack */
    bomb[0] = 'N';
    assert_int_equal(pickle_read(&p, (void *)bomb, SIZE, &used, &limits, NULL), -ENOMEM);
    /* Far indices of the memo cost no more than near ones. */
    static const char far[] = "Nr\xff\xff\xff\xffr\x00\x00\x00\x80p3000000000\n.";
    limits.memory = 65536;
    assert_int_equal(pickle_read(&p, (void *)far, sizeof(far) - 1, &used, &limits, NULL), 0);
    pickle_free(p);
}

static void depth_is_bounded_and_needs_no_stack(void **state)
{
    (void)state;
    enum { MARKS = 1000, TUPLES = 1000000 };
    _cleanup_free_ char *data = malloc(TUPLES + 3);
    struct pickle_limits limits = {.depth = 10};
    struct pickle *p = NULL;
    size_t used;
    memset(data, '(', MARKS + 1);
    memset(data + MARKS, 't', MARKS);
    data[2 * MARKS] = '.';
    assert_int_equal(pickle_read(&p, (void *)data, 2 * MARKS + 1, &used, NULL, NULL), 0);
    pickle_free(p);
    assert_int_equal(pickle_read(&p, (void *)data, 2 * MARKS + 1, &used, &limits, NULL), -EINVAL);
    data[MARKS] = '(';
    assert_int_equal(pickle_read(&p, (void *)data, 2 * MARKS + 1, &used, NULL, NULL), -EINVAL);
    data[0] = 'N';
    memset(data + 1, '\x85', TUPLES); /* a tuple of a tuple of a tuple ... */
    data[TUPLES + 1] = '.';
    assert_int_equal(pickle_read(&p, (void *)data, TUPLES + 2, &used, NULL, NULL), 0);
    pickle_free(p);
}

static void numbers_of_too_many_digits_are_refused(void **state)
{
    (void)state;
    enum { DIGITS = 4300 };
    char data[DIGITS + 8];
    struct pickle *p = NULL;
    size_t used;
    data[0] = 'L';
    memset(data + 1, '9', DIGITS);
    memcpy(data + 1 + DIGITS, "\n.", 2);
    assert_int_equal(pickle_read(&p, (void *)data, DIGITS + 3, &used, NULL, NULL), 0);
    assert_int_equal(pickle_root(p)->type, PICKLE_BIGINT);
    assert_int_equal(pickle_root(p)->size, 1786); /* (10**4300 - 1).bit_length() // 8 + 1 */
    pickle_free(p);
    memcpy(data + 1 + DIGITS, "9\n.", 3);
    assert_int_equal(pickle_read(&p, (void *)data, DIGITS + 4, &used, NULL, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_protocol_as_python_does),
        cmocka_unit_test(reads_opcodes_that_python_no_longer_writes),
        cmocka_unit_test(knows_every_opcode_of_pickletools),
        cmocka_unit_test(a_value_knows_where_its_bytes_are),
        cmocka_unit_test(stops_behind_the_pickle),
        cmocka_unit_test(frames_that_lie_do_not_matter),
        cmocka_unit_test(says_how_far_frames_claim_to_go),
        cmocka_unit_test(refuses_what_no_pickle_is),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(depth_is_bounded_and_needs_no_stack),
        cmocka_unit_test(numbers_of_too_many_digits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
