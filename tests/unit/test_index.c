/* Reading cache indexes: those of a real Numba, and bad ones. */

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "numba/index.h"

#define DATA TEST_DATA "/numba"

static void read_file(struct buf *out, const char *dir, const char *name)
{
    char path[4096];
    unsigned char piece[65536];
    size_t n;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        assert_int_equal(buf_add(out, piece, n), 0);
    assert_int_equal(buf_terminate(out), 0);
    fclose(f);
}

/* ---- Indexes that Numba wrote ------------------------------------------------------------ */

/* The lines that data/numba/make.py writes of what Python reads in the same file. */
static void describe(struct buf *out, const char *name, const struct index *index)
{
    const struct wp_stamp *s = &index->stamp;
    char hex[2 * sizeof(s->sha256) + 1];
    uint64_t bits;
    hex_encode(s->sha256, sizeof(s->sha256), hex);
    memcpy(&bits, &s->mtime, sizeof(bits));
    buf_printf(out, "%s %s %s ", name, index->numba, wp_stamp_kind_name(s->kind));
    if (s->kind == WP_STAMP_CONTENT)
        buf_printf(out, "%s\n", hex);
    else
        buf_printf(out, "%016llx %llu\n", (unsigned long long)bits, (unsigned long long)s->size);
    for (size_t i = 0; i < index->count; i++)
        buf_printf(out, "  %s\n", index->overloads[i].data);
}

static void assert_stamp_is_where_it_says(const struct index *index, const struct buf *text)
{
    double value;
    uint64_t bits = 0;
    if (index->stamp.kind != WP_STAMP_MTIME) {
        assert_int_equal(index->stamp_float_at, 0);
        return;
    }
    assert_true(index->stamp_float_at > index->body_at);
    assert_int_equal(text->data[index->stamp_float_at - 1], 'G');
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | text->data[index->stamp_float_at + (size_t)i];
    memcpy(&value, &bits, sizeof(value));
    assert_true(value == index->stamp.mtime);
}

static void assert_keys_have_three_parts(const struct index *index)
{
    for (size_t i = 0; i < index->count; i++) {
        const struct pickle_value *key = index->overloads[i].key;
        assert_int_equal(key->type, PICKLE_TUPLE);
        assert_int_equal(key->count, 3);
        assert_int_equal(key->items[1]->count, 3);
        assert_int_equal(key->items[1]->items[0]->type, PICKLE_STR);
        assert_int_equal(key->items[2]->count, 2);
        assert_int_equal(key->items[2]->items[0]->size, 64);
    }
}

static void describe_file(struct buf *out, const char *dir, const char *name)
{
    _cleanup_buf_ struct buf text = {0};
    struct index index;
    struct wp_error err = {0};
    struct index_name parts;
    read_file(&text, dir, name);
    if (index_read(&index, text.data, text.size, &err) < 0)
        fail_msg("%s: %s", name, err.message);
    assert_stamp_is_where_it_says(&index, &text);
    assert_keys_have_three_parts(&index);
    assert_int_equal(index_name_parse(name, &parts), 0);
    describe(out, name, &index);
    index_clear(&index);
}

static int ends_in_nbi(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 4 && strcmp(d->d_name + n - 4, ".nbi") == 0;
}

static int ends_in_nbc(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 4 && strcmp(d->d_name + n - 4, ".nbc") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Each index of DIR reads as DIR/indexes.txt says; the number of indexes. */
static int assert_reads_as_python_does(const char *dir)
{
    _cleanup_buf_ struct buf got = {0}, want = {0};
    struct dirent **list;
    int n = scandir(dir, &list, ends_in_nbi, by_bytes);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        describe_file(&got, dir, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    assert_int_equal(buf_terminate(&got), 0);
    read_file(&want, dir, "indexes.txt");
    assert_string_equal((char *)got.data, (char *)want.data);
    return n;
}

/* Each data file of DIR is whole, and no longer so without its last byte; their number. */
static int assert_data_is_checked(const char *dir)
{
    struct dirent **list;
    int n = scandir(dir, &list, ends_in_nbc, by_bytes);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        _cleanup_buf_ struct buf text = {0};
        struct wp_error err = {0};
        read_file(&text, dir, list[i]->d_name);
        if (index_check_data(text.data, text.size, &err) < 0)
            fail_msg("%s: %s", list[i]->d_name, err.message);
        assert_int_equal(index_check_data(text.data, text.size - 1, NULL), -EINVAL);
        assert_int_equal(index_check_data(text.data, text.size / 2, NULL), -EINVAL);
        assert_int_equal(index_check_data(text.data, 0, NULL), -EINVAL);
        free(list[i]);
    }
    free(list);
    return n;
}

static void reads_stored_indexes_as_python_does(void **state)
{
    (void)state;
    assert_true(assert_reads_as_python_does(DATA) >= 14);
    assert_true(assert_data_is_checked(DATA) >= 2);
}

/* With the Numba of this machine: njit with several signatures, eager ones, vectorize,
 * guvectorize, cfunc, a closure, a name that is not ASCII, and an index of several frames. */
static void reads_what_numba_writes_now_as_python_does(void **state)
{
    (void)state;
    char dir[] = "/tmp/warmpack-test-XXXXXX", command[4096];
    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof(command), "/usr/bin/python3 -B '%s/make.py' live %s", DATA, dir);
    assert_int_equal(system(command), 0);
    assert_true(assert_reads_as_python_does(dir) >= 15);
    assert_true(assert_data_is_checked(dir) >= 12);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* ---- Made by hand ------------------------------------------------------------------------ */

#define VERSION                                                                                    \
    "\x80\x04\x8c\x06"                                                                             \
    "0.56.4."
#define STAMP "\x80\x04G\x41\xda\xc0\xad\x21\x1d\x36\x56M\x95\x02\x86"
#define P(bytes) bytes, sizeof(bytes) - 1

static int read_text(struct index *out, const char *data, size_t size, struct wp_error *err)
{
    return index_read(out, (const unsigned char *)data, size, err);
}

static const struct {
    const char *data;
    size_t size;
    const char *why; /* part of the message */
} bad[] = {
    {P(""), "empty"},
    {P(VERSION), "overloads: pickle, byte 0: empty"},
    {P("\x80\x04\x8c\x06"
       "0.56"),
     "version: pickle"},
    {P("\x80\x04N." STAMP "}\x86."), "version"},
    {P("\x80\x04\x8c\x02"
       "0\x00." STAMP "}\x86."),
     "version"},
    {P(VERSION STAMP "}\x86"), "overloads: pickle, byte 17: the data end"},
    {P(VERSION STAMP "}\x85."), "not a pair"},
    {P(VERSION STAMP "]\x86."), "not a pair"},
    {P(VERSION STAMP "}."), "not a pair"},
    {P(VERSION STAMP "}NNs\x86."), "data file"},
    {P(VERSION STAMP "}N\x8c\x00s\x86."), "data file"},
    {P(VERSION STAMP "}N\x8c\x03"
                     "a/bs\x86."),
     "data file"},
    {P(VERSION STAMP "}N\x8c\x03"
                     "a\0bs\x86."),
     "data file"},
    {P(VERSION STAMP "}N\x8c\x02..s\x86."), "data file"},
    {P(VERSION STAMP "}N\x8c\x01.s\x86."), "data file"},
    {P(VERSION STAMP "}N\x8c\x03\xed\xa0\x80s\x86."), "data file"}, /* no byte's surrogate */
    {P("\x80\x04\x95\x40\x00\x00\x00\x00\x00\x00\x00\x8c\x01"
       "0." STAMP "}\x86."),
     "frame"},
    {P(VERSION "\x80\x04\x95\x14\x00\x00\x00\x00\x00\x00\x00" STAMP "}\x86."), "frame"},
};

static void refuses_bad_indexes_and_says_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct index index;
        struct wp_error err = {0};
        int r = read_text(&index, bad[i].data, bad[i].size, &err);
        if (r != -EINVAL || !strstr(err.message, bad[i].why))
            fail_msg("case %zu: %d, %s", i, r, err.message);
        assert_int_equal(index.count, 0);
    }
}

/* Sound pickles of somebody else under the name of an index. */
static void an_index_that_no_numba_wrote_is_told_as_that(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
    } of_others[] = {{P("V0.56.4\np0\n.")},
                     {P("\x80\x02X\x06\x00\x00\x00"
                        "0.56.4.\x80\x02N}\x86.")},
                     {P(VERSION "(I1\nI2\nt}\x86.")},
                     {P(VERSION "\x80\x02(K\x01K\x02t}\x86.")},
                     {P(VERSION STAMP "}K\x01QNs\x86.")}};
    for (size_t i = 0; i < sizeof(of_others) / sizeof(*of_others); i++) {
        struct index index;
        struct wp_error err = {0};
        int r = read_text(&index, of_others[i].data, of_others[i].size, &err);
        if (r != -ENOTSUP || err.code != ENOTSUP ||
            strncmp(err.message, "is not one of Numba's: ", 23) != 0)
            fail_msg("case %zu: %d, %s", i, r, err.message);
        assert_int_equal(
            index_check_data((const unsigned char *)of_others[i].data, of_others[i].size, NULL), 0);
    }
}

/* What the stamp of an index with this text is. */
static struct wp_stamp stamp_named(const char *data, size_t size, size_t *float_at)
{
    struct index index;
    struct wp_error err = {0};
    if (read_text(&index, data, size, &err) < 0)
        fail_msg("%s", err.message);
    struct wp_stamp stamp = index.stamp;
    *float_at = index.stamp_float_at;
    index_clear(&index);
    return stamp;
}

static const struct {
    const char *data;
    size_t size;
    enum wp_stamp_kind kind;
    size_t float_at;
} stamps[] = {
    {P(VERSION STAMP "}\x86."), WP_STAMP_MTIME, 14},
    {P(VERSION STAMP "}\x86.and more"), WP_STAMP_MTIME, 14},
    {P(VERSION "\x80\x04"
               "J\xff\xff\xff\xffK\x01\x86}\x86."),
     WP_STAMP_SECONDS, 0},
    {P(VERSION "\x80\x04"
               "C 0123456789abcdef0123456789abcdef}\x86."),
     WP_STAMP_CONTENT, 0},
    {P(VERSION "\x80\x04"
               "C\x1f"
               "0123456789abcdef0123456789abcde}\x86."),
     WP_STAMP_UNKNOWN, 0},
    {P(VERSION "\x80\x04"
               "\x8c\x20"
               "0123456789abcdef0123456789abcdef}\x86."),
     WP_STAMP_UNKNOWN, 0},
    {P(VERSION "\x80\x04"
               "N}\x86."),
     WP_STAMP_UNKNOWN, 0},
    {P(VERSION "\x80\x04"
               "G\x7f\xf8\x00\x00\x00\x00\x00\x00K\x01\x86}\x86."),
     WP_STAMP_UNKNOWN, 0}, /* NaN */
    {P(VERSION STAMP "K\x01\x86}\x86."), WP_STAMP_UNKNOWN, 0},
    {P(VERSION "\x80\x04"
               "K\x01J\xff\xff\xff\xff\x86}\x86."),
     WP_STAMP_UNKNOWN, 0}, /* size -1 */
    {P(VERSION "\x80\x04"
               "K\x01K\x02K\x03\x87}\x86."),
     WP_STAMP_UNKNOWN, 0},
    {P(VERSION "\x80\x04"
               "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x01\x86}\x86."),
     WP_STAMP_UNKNOWN, 0},
};

static void tells_the_kinds_of_stamp(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(stamps) / sizeof(*stamps); i++) {
        size_t float_at;
        struct wp_stamp s = stamp_named(stamps[i].data, stamps[i].size, &float_at);
        if (s.kind != stamps[i].kind || float_at != stamps[i].float_at)
            fail_msg("case %zu: %s, %zu", i, wp_stamp_kind_name(s.kind), float_at);
    }
}

/* Python holds such a name with surrogates (PEP 383). */
static void data_names_may_be_any_bytes(void **state)
{
    (void)state;
    struct index index;
    assert_int_equal(read_text(&index,
                               P(VERSION STAMP "}N\x8c\x0a"
                                               "f\xed\xb2\x80\xed\xb3\xbf\xc3\xa9."
                                               "s\x86."),
                               NULL),
                     0);
    assert_int_equal(index.count, 1);
    assert_string_equal(index.overloads[0].data, "f\x80\xff\xc3\xa9.");
    assert_string_equal(index.numba, "0.56.4");
    index_clear(&index);
}

/* A copy of its own size, so that a sanitizer sees reading beyond it. */
static void refuses_every_cut_of_an_index(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = {0};
    read_file(&text, DATA, "app.add-5.py311.nbi");
    for (size_t n = 0; n < text.size; n++) {
        struct index index;
        _cleanup_free_ unsigned char *copy = malloc(n + 1);
        memcpy(copy, text.data, n);
        copy = realloc(copy, n ? n : 1);
        assert_int_equal(index_read(&index, copy, n, NULL), -EINVAL);
    }
}

/* ---- Names ------------------------------------------------------------------------------- */

static const struct {
    const char *name, *stem, *python; /* stem NULL: no index's name */
} names[] = {
    {"k.add-3.py311.nbi", "k.add-3.py311", "311"},
    {"k.mk.locals.inner-11.py311.nbi", "k.mk.locals.inner-11.py311", "311"},
    {"guf-app.gu-6.py39.nbi", "guf-app.gu-6.py39", "39"},
    {"k.lambda-5.py36m.nbi", "k.lambda-5.py36m", "36m"},
    {"k.f-5.py313t.nbi", "k.f-5.py313t", "313t"},
    {"k.f-5.py27dmu.nbi", "k.f-5.py27dmu", "27dmu"},
    {"a.py-b.gr\xc3\xb6\xc3\x9f"
     "e-5.py311.nbi",
     "a.py-b.gr\xc3\xb6\xc3\x9f"
     "e-5.py311",
     "311"},
    {"cell.f-0f3b9a2c1d.py311.nbi", "cell.f-0f3b9a2c1d.py311", "311"},
    /* PyTensor's */
    {"string.add-774d324e6ba7f4a6b5f72d5dce2ad6655351f92dd6dee6739d809decfd5940d3_fastmath1"
     ".py311.nbi",
     "string.add-774d324e6ba7f4a6b5f72d5dce2ad6655351f92dd6dee6739d809decfd5940d3_fastmath1.py311",
     "311"},
    {"k.add-3_fastmath1.py311.nbi", NULL, NULL},
    {"k.add-3.py311.1.nbc", NULL, NULL},
    {"k.add-3.py311.nbi.tmp.1ab2", NULL, NULL},
    {"k.add-3.py.nbi", NULL, NULL},
    {"k.add-3.py3.nbi", NULL, NULL},
    {"k.add-3.pyx311.nbi", NULL, NULL},
    {"k.add-3.nbi", NULL, NULL},
    {"k.add.py311.nbi", NULL, NULL},
    {"k.add-.py311.nbi", NULL, NULL},
    {"k.add-x.py311.nbi", NULL, NULL},
    {"-3.py311.nbi", NULL, NULL},
    {"k.add-3.py3111111111111111.nbi", NULL, NULL},
    {"d/k.add-3.py311.nbi", NULL, NULL},
    {".nbi", NULL, NULL},
    {"", NULL, NULL},
};

static void tells_index_names_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct index_name parts = {0};
        int r = index_name_parse(names[i].name, &parts);
        if (r != (names[i].stem ? 0 : -EINVAL))
            fail_msg("%s: %d", names[i].name, r);
        if (!names[i].stem)
            continue;
        assert_int_equal(parts.stem, strlen(names[i].stem));
        assert_string_equal(parts.python, names[i].python);
    }
}

static void tells_data_names_apart(void **state)
{
    (void)state;
    size_t stem;
    static const char *const others[] = {"k.add-3.py311.nbi",
                                         "k.add-3.py311.nbc",
                                         "k.add-3.py311.x.nbc",
                                         "k.add-3.1.nbc",
                                         "1.nbc",
                                         ".1.nbc",
                                         "nbc",
                                         "k.add-3.py311.1.nbc.tmp.12"};
    assert_true(index_is_data_name("k.add-3.py311.12.nbc", &stem));
    assert_int_equal(stem, strlen("k.add-3.py311"));
    assert_true(index_is_data_name("guf-app.gu-6.py39.1.nbc", &stem));
    assert_int_equal(stem, strlen("guf-app.gu-6.py39"));
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_false(index_is_data_name(others[i], &stem));
}

static void tells_temporaries_from_files_of_the_user(void **state)
{
    (void)state;
    assert_true(index_is_temporary("k.add-3.py311.nbi.tmp.123ab"));
    assert_true(index_is_temporary("k.add-3.py311.1.nbc.tmp.0123456789abcdef"));
    assert_false(index_is_temporary("k.add-3.py311.nbi"));
    assert_false(index_is_temporary("notes.tmp.12"));
    assert_false(index_is_temporary("k.add-3.py311.nbi.tmp."));
    assert_false(index_is_temporary("k.add-3.py311.nbi.tmp.12x"));
    assert_false(index_is_temporary(".tmp.12"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_stored_indexes_as_python_does),
        cmocka_unit_test(reads_what_numba_writes_now_as_python_does),
        cmocka_unit_test(refuses_bad_indexes_and_says_why),
        cmocka_unit_test(an_index_that_no_numba_wrote_is_told_as_that),
        cmocka_unit_test(tells_the_kinds_of_stamp),
        cmocka_unit_test(data_names_may_be_any_bytes),
        cmocka_unit_test(refuses_every_cut_of_an_index),
        cmocka_unit_test(tells_index_names_apart),
        cmocka_unit_test(tells_data_names_apart),
        cmocka_unit_test(tells_temporaries_from_files_of_the_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
