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
    for (int protocol = 3; protocol <= 5; protocol++) {
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

/* ---- Opcode by opcode -------------------------------------------------------------------- */

/* Behind the protocol, with which each of Numba's begins. */
#define P(bytes) "\x80\x04" bytes, sizeof("\x80\x04" bytes) - 1
static const struct {
    const char *data;
    size_t size;
    const char *text;
} by_hand[] = {
    {P("\x8a\x00."), "0"},
    {P("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff."), "-1"},
    {P("\x8b\x02\x00\x00\x00\x00\x80."), "-32768"},
    {P("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."), "-9223372036854775808"},
    {P("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00."), "big 000000000000008000"},
    {P("J\xff\xff\xff\xff."), "-1"},
    {P("M\xff\xff."), "65535"},
    {P("\x8d\x01\x00\x00\x00\x00\x00\x00\x00z."), "str 7a"},
    {P("\x8e\x01\x00\x00\x00\x00\x00\x00\x00z."), "bytes 7a"},
    {P("(K\x01(K\x02\x30\x30tN\x86."), "(tuple (tuple 1) None)"}, /* POP of a value, of a mark */
    {P("(K\x01(K\x02\x31t."), "(tuple 1)"},
    {P("K\x07r\x00\x00\x00\x80\x30j\x00\x00\x00\x80."), "7"},
    {P("K\x07q\x05K\x08\x94\x86h\x01\x86."), "(tuple (tuple 7 8) 8)"}, /* the memo's length */
    {P("cm\nn\n)R}b]a(K\x01K\x02"
       "e."),
     "(reduce (global str 6d str 6e) (tuple) state (dict) more (list) 1 2)"},
    {P("\x80\x03N."), "None"},
};

static void reads_each_form_of_a_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(by_hand) / sizeof(*by_hand); i++)
        assert_reads_as(by_hand[i].data, by_hand[i].size, by_hand[i].text);
}

/* Sound pickles all: somebody else's, and not to be taken for damage. */
#define RAW(bytes) bytes, sizeof(bytes) - 1
static const struct {
    const char *data;
    size_t size;
    const char *why;
} of_others[] = {
    {RAW("I01\n."), "protocol"},
    {RAW("V0.56.4\np0\n."), "protocol"},
    {RAW("X\x01\x00\x00\x00zq\x00."), "begin with its protocol"},
    {RAW("N."), "begin with its protocol"},
    {RAW("\x80\x02N."), "this is 2"},
    {RAW("\x80\x06N."), "this is 6"},
    {P("K\x01\x32\x86."), "opcode 0x32"}, /* DUP */
    {P("I1\n."), "opcode 0x49"},
    {P("L123L\n."), "opcode 0x4c"},
    {P("F1.5\n."), "opcode 0x46"},
    {P("S'a'\n."), "opcode 0x53"},
    {P("U\x01\xe9."), "opcode 0x55"},
    {P("T\x01\x00\x00\x00z."), "opcode 0x54"},
    {P("(K\x01l."), "opcode 0x6c"},
    {P("(K\x01K\x02\x64."), "opcode 0x64"},
    {P("(cmod\nname\nK\x01o."), "opcode 0x6f"},
    {P("(K\x01imod\nname\n."), "opcode 0x69"},
    {P("Np5\n."), "opcode 0x70"},
    {P("P12\n."), "opcode 0x50"},
    {P("K\x07Q."), "opcode 0x51"},
    {P("\x82\x01."), "opcode 0x82"},
    {P("\x97\x98."), "opcode 0x97"},
};

static void a_pickle_that_no_numba_wrote_is_told_from_a_broken_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(of_others) / sizeof(*of_others); i++) {
        struct pickle *p = NULL;
        struct wp_error err = {0};
        size_t used;
        int r =
            pickle_read(&p, (const void *)of_others[i].data, of_others[i].size, &used, NULL, &err);
        if (r != -ENOTSUP || !strstr(err.message, of_others[i].why))
            fail_msg("case %zu: %d, %s", i, r, err.message);
        assert_null(p);
    }
}

static bool is_opcode(unsigned char byte)
{
    struct pickle *p = NULL;
    const unsigned char data[] = {0x80, 4, byte};
    struct wp_error err = {0};
    size_t used;
    int r = pickle_read(&p, data, sizeof(data), &used, NULL, &err);
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
    assert_int_equal(pickle_read(&p, (const void *)"\x80\x04N.K\x01.", 7, &used, NULL, NULL), 0);
    assert_int_equal(used, 4);
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
    {RAW("")},
    {RAW("\xff.")},
    {RAW("\0\0\0\0")},
    {P("")},
    {P(".")},
    {P("\xff.")},
    {P("(.")},       /* a mark is no value */
    {P("N(0\x30.")}, /* nor can what is below it be reached */
    {P("t.")},       /* no mark */
    {P("(N\x86.")},  /* TUPLE2 across a mark */
    {P("h\x00.")},   /* nothing in the memo */
    {P("}(Nu.")},    /* a key without a value */
    {P("Na.")},      /* APPEND to nothing */
    {P("NNa.")},     /* APPEND to None */
    {P("]K\x00K\x01s.")},
    {P("\x8c\x01"
       "aN\x93.")}, /* the name of a class is None */
    {P("\x8b\xff\xff\xff\xff.")},
    {P("X\xff\xff\xff\xff.")},
    {P("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.")},
    {P("\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.")},
    {P("\x8c\x02\xc0\x80.")}, /* UTF-8 longer than needed */
    {P("\x8c\x04\xf4\x90\x80\x80.")},
    {P("\x8c\x02\xe2\x82.")},
    {P("cmod\n.")},
    {P("cmod\nna\xffme\n.")},
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
    for (int protocol = 3; protocol <= 5; protocol++) {
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
    for (int protocol = 3; protocol <= 5; protocol++) {
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
            assert_true(r == 0 || r == -EINVAL || r == -ENOTSUP || r == -ENOMEM);
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
    memcpy(bomb, "\x80\x04", 2);
    assert_int_equal(pickle_read(&p, (void *)bomb, SIZE, &used, &limits, &err), -EINVAL);
    assert_int_equal(err.code, EINVAL);
    for (size_t i = 2; i + 2 <= SIZE; i += 2) /* each two bytes a place on the stack */
        memcpy(bomb + i, i == 2 ? "N\x94" : "h", 2);
    assert_int_equal(pickle_read(&p, (void *)bomb, SIZE, &used, &limits, NULL), -EINVAL);
    /* Far indices of the memo cost no more than near ones. */
    static const char far[] = "\x80\x04Nr\xff\xff\xff\xffr\x00\x00\x00\x80r\x00\x5e\xd0\xb2.";
    limits.memory = 65536;
    assert_int_equal(pickle_read(&p, (void *)far, sizeof(far) - 1, &used, &limits, NULL), 0);
    pickle_free(p);
}

static void depth_is_bounded_and_needs_no_stack(void **state)
{
    (void)state;
    enum { MARKS = 1000, TUPLES = 1000000, HEAD = 2 };
    _cleanup_free_ char *data = malloc(HEAD + TUPLES + 3);
    struct pickle_limits limits = {.depth = 10};
    struct pickle *p = NULL;
    size_t used;
    char *body = data + HEAD;
    memcpy(data, "\x80\x04", HEAD);
    memset(body, '(', MARKS + 1);
    memset(body + MARKS, 't', MARKS);
    body[2 * MARKS] = '.';
    const size_t size = HEAD + 2 * MARKS + 1;
    assert_int_equal(pickle_read(&p, (void *)data, size, &used, NULL, NULL), 0);
    pickle_free(p);
    assert_int_equal(pickle_read(&p, (void *)data, size, &used, &limits, NULL), -EINVAL);
    body[MARKS] = '(';
    assert_int_equal(pickle_read(&p, (void *)data, size, &used, NULL, NULL), -EINVAL);
    body[0] = 'N';
    memset(body + 1, '\x85', TUPLES); /* a tuple of a tuple of a tuple ... */
    body[TUPLES + 1] = '.';
    assert_int_equal(pickle_read(&p, (void *)data, HEAD + TUPLES + 2, &used, NULL, NULL), 0);
    pickle_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_protocol_as_python_does),
        cmocka_unit_test(reads_each_form_of_a_value),
        cmocka_unit_test(a_pickle_that_no_numba_wrote_is_told_from_a_broken_one),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
