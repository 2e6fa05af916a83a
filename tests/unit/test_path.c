/* Path arithmetic: what Python's os.path says, what an archive may name, what a terminal sees. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/path.h"
#include "base/times.h"

static void assert_text(char *got, const char *want)
{
    assert_non_null(got);
    assert_string_equal(got, want);
    free(got);
}

/* Each pair is what python3 -c 'os.path.normpath(...)' prints. */
static void normalises_as_python_does(void **state)
{
    static const char *const pairs[][2] = {
        {"", "."},
        {".", "."},
        {"/", "/"},
        {"//", "//"},
        {"///", "/"},
        {"a//b", "a/b"},
        {"a/./b/", "a/b"},
        {"a/../b", "b"},
        {"a/..", "."},
        {"..", ".."},
        {"../..", "../.."},
        {"a/../..", ".."},
        {"/..", "/"},
        {"/../a", "/a"},
        {"//a/../b", "//b"},
        {"/a/b/../../c", "/c"},
        {"../a/../b", "../b"},
        {"a/b/../..", "."},
        {"/a/b/..", "/a"},
        {"...", "..."},
        {"a/...", "a/..."},
        {"..a/..", "."},
        {"/a..", "/a.."},
        {"a/b/../../../c", "../c"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_text(path_normalise(pairs[i][0]), pairs[i][1]);
}

static void absolute_joins_to_the_working_directory(void **state)
{
    char *cwd = path_absolute("");
    char *inner = path_absolute("x/../y");
    char *want = path_join(cwd, "y");

    (void)state;
    assert_string_equal(inner, want);
    free(cwd);
    free(inner);
    free(want);
    assert_text(path_absolute("/a/../b"), "/b");
}

static void unsafe_names_are_known(void **state)
{
    (void)state;
    assert_true(path_is_safe("a/b"));
    assert_true(path_is_safe("a/..b/...c"));
    assert_false(path_is_safe(""));
    assert_false(path_is_safe("/a"));
    assert_false(path_is_safe(".."));
    assert_false(path_is_safe("a/../b"));
    assert_false(path_is_safe("a/.."));
    assert_false(path_is_safe("../a"));
    assert_false(path_is_safe("a//..//b"));
}

static void archive_names_are_cleaned(void **state)
{
    (void)state;
    assert_text(path_clean("./a/./b//c/"), "a/b/c");
    assert_text(path_clean("."), "");
    assert_text(path_clean("./"), "");
    assert_text(path_clean("/a//b"), "/a/b");
    assert_text(path_clean("a/../b"), "a/../b");
    assert_text(path_clean(".a/..b"), ".a/..b");
}

static void strips_components(void **state)
{
    (void)state;
    assert_string_equal(path_strip("a/b/c", 0), "a/b/c");
    assert_string_equal(path_strip("a/b/c", 2), "c");
    assert_null(path_strip("a/b/c", 3));
    assert_null(path_strip("a", 1));
}

static void under_compares_whole_components(void **state)
{
    (void)state;
    assert_true(path_is_under("a/b", "a"));
    assert_true(path_is_under("a", "a"));
    assert_false(path_is_under("ab", "a"));
    assert_true(path_is_under("/x", "/"));
    assert_true(path_is_under("x", ""));
    assert_false(path_is_under("/x", ""));
}

static void joins_and_splits(void **state)
{
    (void)state;
    assert_text(path_join("a", "b"), "a/b");
    assert_text(path_join("a/", "b"), "a/b");
    assert_text(path_join("", "b"), "b");
    assert_text(path_join("a", "/b"), "/b");
    assert_text(path_join("/", "b"), "/b");
    assert_text(path_dir("a/b/c"), "a/b");
    assert_text(path_dir("a"), "");
    assert_string_equal(path_base("a/b"), "b");
    assert_string_equal(path_base("b"), "b");
}

static void utf8_is_judged_strictly(void **state)
{
    (void)state;
    assert_true(utf8_valid("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x8D", 10));
    assert_false(utf8_valid("\xC0\x80", 2));         /* overlong */
    assert_false(utf8_valid("\xED\xA0\x80", 3));     /* surrogate */
    assert_false(utf8_valid("\xF4\x90\x80\x80", 4)); /* above U+10FFFF */
    assert_false(utf8_valid("\xE2\x82", 2));         /* cut */
    assert_false(utf8_valid("\xFF", 1));
}

static void nothing_that_moves_a_cursor_survives_escaping(void **state)
{
    (void)state;
    assert_text(wp_escape("a\nb\t\\\x1b[1m\xff\xC2\x9B\xC3\xA9"),
                "a\\nb\\t\\\\\\033[1m\\377\\302\\233\xC3\xA9");
}

static void the_first_error_is_kept_on_one_line(void **state)
{
    struct wp_error err = {0};

    (void)state;
    assert_int_equal(error_set(&err, ENOENT, "a\nb", "cannot open"), -ENOENT);
    assert_int_equal(error_set(&err, 0, "c", "later"), -EINVAL);
    assert_int_equal(err.code, ENOENT);
    assert_string_equal(err.message, "a\\nb: cannot open: No such file or directory");
}

static void digests_are_those_of_the_standards(void **state)
{
    unsigned char sum[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    struct sha256 *s = sha256_new();

    (void)state;
    sha1_of("abc", 3, sum); /* FIPS 180-2, appendix A.1 and B.1 */
    hex_encode(sum, SHA1_SIZE, hex);
    assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
    for (int again = 0; again < 2; again++) {
        sha256_add(s, "a", 1);
        sha256_add(s, "bc", 2);
        sha256_end(s, sum);
        hex_encode(sum, SHA256_SIZE, hex);
        assert_string_equal(hex,
                            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
    sha256_free(s);
    assert_int_equal(hex_decode("0aF", sum, 1), -EINVAL);
    assert_int_equal(hex_decode("0", sum, 1), -EINVAL);
    assert_int_equal(hex_decode("0aFf", sum, 2), 0);
    assert_int_equal(sum[1], 0xff);
}

static void a_suffix_stands_behind_something(void **state)
{
    (void)state;
    assert_true(path_has_suffix("app/k.py", ".py"));
    assert_false(path_has_suffix("app/k.pyc", ".py"));
    assert_false(path_has_suffix(".py", ".py"));
    assert_false(path_has_suffix("", ".py"));
}

static void times_are_compared_to_the_nanosecond(void **state)
{
    const struct timespec early = {-1, 999999999}, late = {0, 0}, later = {0, 1};

    (void)state;
    assert_true(time_is(late, late));
    assert_false(time_is(late, later));
    assert_true(time_is_before(early, late));
    assert_true(time_is_before(late, later));
    assert_false(time_is_before(later, late));
    assert_false(time_is_before(late, late));
}

static void what_lies_below_is_seen_from_there_and_back(void **state)
{
    (void)state;
    assert_text(path_append("/srv", "app/k.py"), "/srv/app/k.py");
    assert_text(path_append("/srv", ""), "/srv");
    assert_string_equal(path_from("/srv/app/k.py", "/srv"), "app/k.py");
    assert_string_equal(path_from("/srv", "/srv"), "");
    assert_string_equal(path_from("/srv", "/"), "srv");
    assert_string_equal(path_from("app", ""), "app");
}

static void a_list_owns_its_texts_and_finds_them_once_it_is_sorted(void **state)
{
    struct path_list l = {0};

    (void)state;
    path_list_sort(&l);
    assert_false(path_list_has(&l, "app"));
    assert_int_equal(path_list_add(&l, strdup("b")), 0);
    assert_int_equal(path_list_add(&l, strdup("c")), 0);
    assert_int_equal(path_list_add(&l, strdup("a")), 0);
    assert_int_equal(path_list_add(&l, NULL), -ENOMEM);
    path_list_sort(&l);
    assert_int_equal(l.count, 3);
    assert_string_equal(l.v[0], "a");
    assert_true(path_list_has(&l, "b"));
    assert_true(path_list_has(&l, "c"));
    assert_false(path_list_has(&l, "d"));
    path_list_clear(&l);
    assert_int_equal(l.count, 0);
    assert_null(l.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalises_as_python_does),
        cmocka_unit_test(absolute_joins_to_the_working_directory),
        cmocka_unit_test(unsafe_names_are_known),
        cmocka_unit_test(archive_names_are_cleaned),
        cmocka_unit_test(strips_components),
        cmocka_unit_test(under_compares_whole_components),
        cmocka_unit_test(joins_and_splits),
        cmocka_unit_test(utf8_is_judged_strictly),
        cmocka_unit_test(nothing_that_moves_a_cursor_survives_escaping),
        cmocka_unit_test(the_first_error_is_kept_on_one_line),
        cmocka_unit_test(digests_are_those_of_the_standards),
        cmocka_unit_test(a_suffix_stands_behind_something),
        cmocka_unit_test(times_are_compared_to_the_nanosecond),
        cmocka_unit_test(what_lies_below_is_seen_from_there_and_back),
        cmocka_unit_test(a_list_owns_its_texts_and_finds_them_once_it_is_sorted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
