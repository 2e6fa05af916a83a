/* Times and floats are exact as text, both ways. */

#include "manifest_fixture.h"

#include <math.h>

#include "base/number_text.h"

/* In Python's struct; where qemu runs the test, Python is the real machine's. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define STRUCT_ORDER "<"
#else
#define STRUCT_ORDER ">"
#endif

static void times_have_nine_digits_and_one_sign(void **state)
{
    static const struct {
        const char *text;
        struct timespec t;
    } TIMES[] = {
        {"0.000000000", {0, 0}},
        {"0.000000001", {0, 1}},
        {"-0.000000001", {-1, 999999999}},
        {"-0.500000000", {-1, 500000000}},
        {"-1.000000000", {-1, 0}},
        {"-1.500000000", {-2, 500000000}},
        {"1795339396.456441290", {1795339396, 456441290}},
        {"9223372036854775807.999999999", {INT64_MAX, 999999999}},
        {"-9223372036854775808.000000000", {INT64_MIN, 0}},
        {"-9223372036854775807.999999999", {INT64_MIN, 1}},
    };
    static const char *const BAD[] = {"",
                                      "0",
                                      "1.5",
                                      "1.0000000000",
                                      "1.00000000",
                                      "1,000000000",
                                      "-0.000000000",
                                      "+1.000000000",
                                      "01.000000000",
                                      "--1.000000000",
                                      " 1.000000000",
                                      "1.000000000 ",
                                      ".000000000",
                                      "-.500000000",
                                      "9223372036854775808.000000000",
                                      "-9223372036854775808.000000001",
                                      "1.00000000x",
                                      "99999999999999999999.000000000",
                                      "1e9.000000000",
                                      "0x1.000000000",
                                      "nan"};

    (void)state;
    for (size_t i = 0; i < COUNT(TIMES); i++) {
        struct timespec t;
        char text[WP_NUMBER_SIZE];

        wp_time_text(TIMES[i].t.tv_sec, (int32_t)TIMES[i].t.tv_nsec, text);
        assert_string_equal(text, TIMES[i].text);
        assert_int_equal(time_parse(text, &t), 0);
        assert_true(t.tv_sec == TIMES[i].t.tv_sec && t.tv_nsec == TIMES[i].t.tv_nsec);
    }
    for (size_t i = 0; i < COUNT(BAD); i++) {
        struct timespec t;

        if (time_parse(BAD[i], &t) != -EINVAL)
            fail_msg("\"%s\" is taken for a time", BAD[i]);
    }
}

static void floats_are_written_as_python_writes_them(void **state)
{
    static const char SCRIPT[] =
        "import struct, sys\n"
        "data = open(sys.argv[1], \"rb\").read()\n"
        "want = [repr(v) for (v,) in struct.iter_unpack(\"" STRUCT_ORDER "d\", data)]\n"
        "got = open(sys.argv[2]).read().split()\n"
        "assert len(got) > 20000\n"
        "assert got == want, [p for p in zip(got, want) if p[0] != p[1]][:9]\n";
    static const double SPECIAL[] = {0,
                                     -0.0,
                                     1,
                                     -1,
                                     0.5,
                                     1e15,
                                     1e16,
                                     123456789012345680.0,
                                     9999999999999998.0,
                                     1e-4,
                                     1e-5,
                                     1.25e-5,
                                     1e22,
                                     5e-324,
                                     1e100,
                                     -1e-7,
                                     1.7976931348623157e308,
                                     1e15 + 0.5,
                                     0.001,
                                     0.3,
                                     1795339396.4564414,
                                     -0.5,
                                     INFINITY,
                                     -INFINITY,
                                     NAN,
                                     2147483648,
                                     4294967296.000001};
    char doubles_path[] = "/tmp/test_manifest.XXXXXX", text_path[] = "/tmp/test_manifest.XXXXXX";
    _cleanup_buf_ struct buf doubles = {0}, text = {0};
    uint64_t random = 88172645463325252;

    (void)state;
    for (size_t i = 0; i < 30000; i++) {
        double v;
        char out[WP_NUMBER_SIZE];

        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        if (i < COUNT(SPECIAL))
            v = SPECIAL[i];
        else if (i % 2) /* any time of two centuries */
            v = (double)(random % 8000000000) - 1e9 + 1e-9 * (double)(random >> 34);
        else
            memcpy(&v, &random, sizeof v);
        wp_float_text(v, out);
        assert_int_equal(buf_add(&doubles, &v, sizeof v), 0);
        assert_int_equal(buf_printf(&text, "%s\n", out), 0);
    }
    save(doubles_path, doubles.data, doubles.size);
    save(text_path, text.data, text.size);
    run_python(SCRIPT, doubles_path, text_path);
    unlink(doubles_path);
    unlink(text_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_have_nine_digits_and_one_sign),
        cmocka_unit_test(floats_are_written_as_python_writes_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
