#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tar/pax.h"
#include "tar/tar_header.h"

/* ---- Records ----------------------------------------------------------------------------- */

static void test_a_record_counts_its_own_length_at_every_size(void **state)
{
    char *value = calloc(1, 10100);

    (void)state;
    memset(value, 'v', 10100);
    for (size_t n = 0; n < 10100; n++) {
        struct buf b = {0};

        assert_int_equal(pax_add(&b, "path", value, n), 0);
        assert_int_equal(buf_terminate(&b), 0);
        assert_int_equal(strtoul((char *)b.data, NULL, 10), b.size);
        assert_int_equal(b.data[b.size - 1], '\n');
        buf_free(&b);
    }
    free(value);
}

static void test_lengths_jump_over_what_cannot_be(void **state)
{
    struct buf b = {0};

    /* " k=" and the newline are four bytes: 95 make 99, and with one more 101, never 100. */
    (void)state;
    char value[96];
    memset(value, 'x', sizeof(value));
    assert_int_equal(pax_add(&b, "k", value, 93), 0);
    assert_int_equal(b.size, 99);
    buf_clear(&b);
    assert_int_equal(pax_add(&b, "k", value, 94), 0);
    assert_int_equal(b.size, 101);
    assert_memory_equal(b.data, "101 k=", 6);
    buf_free(&b);
}

static void test_what_was_written_is_read_again(void **state)
{
    static const char name[] = "a=b\n17 path=x\n\xe9 \xc3\xa9";
    struct timespec t = {.tv_sec = -1, .tv_nsec = 500000000};
    struct pax p = {0};
    struct buf b = {0};

    (void)state;
    assert_int_equal(pax_add_str(&b, "hdrcharset", "BINARY"), 0);
    assert_int_equal(pax_add_str(&b, "path", name), 0);
    assert_int_equal(pax_add_number(&b, "size", INT64_C(9000000000000)), 0);
    assert_int_equal(pax_add_time(&b, "mtime", t), 0);
    assert_int_equal(pax_parse(&p, b.data, b.size), 0);
    assert_string_equal(p.path, name);
    assert_true(p.has_size && p.has_mtime && !p.has_uid);
    assert_int_equal(p.size, INT64_C(9000000000000));
    assert_int_equal(p.mtime.tv_sec, -1);
    assert_int_equal(p.mtime.tv_nsec, 500000000);
    pax_clear(&p);
    buf_free(&b);
}

static void test_a_later_record_wins_and_an_empty_one_takes_back(void **state)
{
    struct pax p = {0};
    static const char twice[] = "9 path=a\n9 path=b\n", none[] = "8 path=\n";

    (void)state;
    assert_int_equal(pax_parse(&p, twice, sizeof(twice) - 1), 0);
    assert_string_equal(p.path, "b");
    assert_int_equal(pax_parse(&p, none, sizeof(none) - 1), 0);
    assert_null(p.path);
    pax_clear(&p);
}

static void test_malformed_records_are_refused(void **state)
{
    static const struct {
        const char *text;
        size_t n;
    } bad[] = {
#define BAD(s) {s, sizeof(s) - 1}
        BAD("path=a\n"),
        BAD("9path=a\n"),
        BAD("12 path=a\n"),
        BAD("7 path=a\n"),
        BAD("0 path=a\n"),
        BAD("99999999999999999999999 path=a\n"),
        BAD("18446744073709551616 a=b\n"),
        BAD("8 patha\n"),
        BAD("5 =a\n"),
        BAD("3 \n"),
        BAD("9 path=a"),
        BAD("12 path=a\0b\n"),
        BAD("12 size=-12\n"),
        BAD("29 size=99999999999999999999\n"),
        BAD("13 mtime=1,5\n"),
        BAD("12 mtime=-.\n"),
        BAD("20 GNU.sparse.map=1\n"),
        BAD("22 GNU.sparse.major=2\n"),
#undef BAD
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pax p = {0};

        if (pax_parse(&p, bad[i].text, bad[i].n) != -EINVAL)
            fail_msg("not refused: %s", bad[i].text);
        pax_clear(&p);
    }
}

/* ---- Times ------------------------------------------------------------------------------- */

static void test_times_are_exact_decimals_on_both_sides_of_1970(void **state)
{
    static const struct {
        struct timespec t;
        const char *text;
    } known[] = {
        {{0, 0}, "0"},
        {{0, 1}, "0.000000001"},
        {{1795339396, 456441290}, "1795339396.456441290"},
        {{-1, 0}, "-1"},
        {{-1, 500000000}, "-0.500000000"},
        {{-1, 999999999}, "-0.000000001"},
        {{-1, 1}, "-0.999999999"},
        {{-2, 500000000}, "-1.500000000"},
        {{4294967296, 5}, "4294967296.000000005"},
        {{INT64_MAX, 999999999}, "9223372036854775807.999999999"},
        {{-INT64_MAX, 0}, "-9223372036854775807"},
        {{INT64_MIN, 1}, "-9223372036854775807.999999999"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct buf b = {0};
        struct timespec back;
        char want[64];

        snprintf(want, sizeof(want), "%zu m=%s\n",
                 strlen(known[i].text) + 4 + (strlen(known[i].text) + 5 > 9 ? 2 : 1),
                 known[i].text);
        assert_int_equal(pax_add_time(&b, "m", known[i].t), 0);
        assert_int_equal(buf_terminate(&b), 0);
        assert_string_equal((char *)b.data, want);
        assert_int_equal(pax_parse_time(known[i].text, strlen(known[i].text), &back), 0);
        assert_true(back.tv_sec == known[i].t.tv_sec && back.tv_nsec == known[i].t.tv_nsec);
        buf_free(&b);
    }
}

static void test_digits_beyond_the_ninth_round_to_the_past(void **state)
{
    static const struct {
        const char *text;
        struct timespec t;
    } known[] = {
        {"1.5", {1, 500000000}},
        {"1.", {1, 0}},
        {"1.1234567899", {1, 123456789}},
        {"-1.5", {-2, 500000000}},
        {"-1.1234567891", {-2, 876543210}},
        {"-1.1234567890", {-2, 876543211}},
        {"-0.9999999999", {-1, 0}},
        {"-0", {0, 0}},
        {"-0.0000000001", {-1, 999999999}},
    };
    static const char *const bad[] = {
        "", "-", ".", ".5", "1.x", "+1", "1e5", " 1", "9223372036854775808", "--1", "1.5.5"};

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct timespec t;

        assert_int_equal(pax_parse_time(known[i].text, strlen(known[i].text), &t), 0);
        if (t.tv_sec != known[i].t.tv_sec || t.tv_nsec != known[i].t.tv_nsec)
            fail_msg("%s: %lld %ld", known[i].text, (long long)t.tv_sec, t.tv_nsec);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct timespec t;

        if (pax_parse_time(bad[i], strlen(bad[i]), &t) != -EINVAL)
            fail_msg("not refused: %s", bad[i]);
    }
}

/* ---- Numbers of headers ------------------------------------------------------------------ */

static void test_header_numbers_come_back(void **state)
{
    static const int64_t numbers[] = {
        0,         1,  07777777, 010000000,    077777777777, 1LL << 33, (1LL << 33) - 1,
        INT64_MAX, -1, -2,       -12345678901, INT64_MIN};

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char field[12];
        int64_t back;

        tar_put_number(field, sizeof(field), numbers[i]);
        assert_int_equal(tar_get_number(field, sizeof(field), &back), 0);
        assert_int_equal(back, numbers[i]);
    }
    assert_true(tar_number_fits(12, 077777777777) && !tar_number_fits(12, 0100000000000));
    assert_false(tar_number_fits(12, -1));
}

static void test_header_numbers_in_others_spelling(void **state)
{
    int64_t v;

    (void)state;
    assert_int_equal(tar_get_number("   644 \0", 8, &v), 0);
    assert_int_equal(v, 0644);
    assert_int_equal(tar_get_number("\0\0\0\0\0\0\0\0", 8, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(tar_get_number("777777777777", 12, &v), 0); /* no end */
    assert_int_equal(v, 0777777777777);
    assert_int_equal(tar_get_number("00008\0\0\0", 8, &v), -EINVAL);
    assert_int_equal(tar_get_number("-1\0\0\0\0\0\0", 8, &v), -EINVAL);
    assert_int_equal(tar_get_number("\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, &v),
                     -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_counts_its_own_length_at_every_size),
        cmocka_unit_test(test_lengths_jump_over_what_cannot_be),
        cmocka_unit_test(test_what_was_written_is_read_again),
        cmocka_unit_test(test_a_later_record_wins_and_an_empty_one_takes_back),
        cmocka_unit_test(test_malformed_records_are_refused),
        cmocka_unit_test(test_times_are_exact_decimals_on_both_sides_of_1970),
        cmocka_unit_test(test_digits_beyond_the_ninth_round_to_the_past),
        cmocka_unit_test(test_header_numbers_come_back),
        cmocka_unit_test(test_header_numbers_in_others_spelling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
