/* Names in caches: which functions a symbol speaks of, and what hostile pickles make of it. Real
 * caches are looked into by tests/numba/test_code_names.py. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "numba/code_names.h"

/* A data file whose one value that matters is the pickle's text VALUE, which may hold NULs. */
static int read_names(struct code_names *out, const char *value, size_t size)
{
    struct buf b = {0};
    int r;

    /* (("f", "object", (b"", b"")), VALUE) */
    assert_int_equal(buf_add(&b,
                             "\x80\x04\x8c\x01"
                             "f\x8c\x06"
                             "objectC\0C\0\x86\x87",
                             19),
                     0);
    assert_int_equal(buf_add(&b, value, size), 0);
    assert_int_equal(buf_add(&b, "\x86.", 2), 0);
    r = code_names_read_data(out, b.data, b.size, NULL);
    buf_free(&b);
    return r;
}

/* A value that is an environment of MODULE and SYMBOL. */
static void add_environment(struct buf *b, const char *module, const char *symbol)
{
    unsigned char length = (unsigned char)strlen(symbol);

    assert_int_equal(buf_add(b, "cnumba.core.environment\n_rebuild_env\n\x8c", 38), 0);
    length = (unsigned char)strlen(module);
    assert_int_equal(buf_add(b, &length, 1), 0);
    assert_int_equal(buf_add_str(b, module), 0);
    length = (unsigned char)strlen(symbol);
    assert_int_equal(buf_add(b, "]\x8c", 2), 0);
    assert_int_equal(buf_add(b, &length, 1), 0);
    assert_int_equal(buf_add_str(b, symbol), 0);
    assert_int_equal(buf_add(b, "\x87R", 2), 0);
}

static void check_path(const char *symbol, const char *path)
{
    struct code_names names;
    struct buf b = {0};

    add_environment(&b, "pkg.low", symbol);
    assert_int_equal(read_names(&names, (char *)b.data, b.size), 0);
    if (path) {
        assert_int_equal(names.function_count, 1);
        assert_string_equal(names.functions[0].path, path);
        assert_string_equal(names.functions[0].module, "pkg.low");
    } else {
        assert_int_equal(names.function_count, 0);
    }
    code_names_clear(&names);
    buf_free(&b);
}

static void symbols_name_functions(void **state)
{
    (void)state;
    check_path("_ZN08NumbaEnv3pkg3low4stepB2v5B38c8tJTIcFHzwEx", "pkg.low.step");
    check_path("_ZN08NumbaEnv3pkg3low2mk12_3clocals_3e5innerE", "pkg.low.mk._3clocals_3e.inner");
    check_path("_ZN08NumbaEnv3pkg3low8step$241Ex", "pkg.low.step$241"); /* up to 0.54 */
    check_path("_ZN08NumbaEnv3pkg3lowIxE", "pkg.low");
    check_path("_ZN08NumbaEnvE", NULL);
    check_path("_ZN08NumbaEnv9pkg", NULL);
    check_path("_ZN08NumbaEnv99999999999999999999999999pkg", NULL);
    check_path("_ZN3pkg3low4stepE", NULL);
}

static void one_function_is_named_once(void **state)
{
    (void)state;
    struct code_names names;
    struct buf b = {0};

    add_environment(&b, "a", "_ZN08NumbaEnv1a1fE");
    add_environment(&b, "a", "_ZN08NumbaEnv1a1fEx");
    add_environment(&b, "a", "_ZN08NumbaEnv1a1eE");
    assert_int_equal(buf_add(&b, "\x87", 1), 0);
    assert_int_equal(read_names(&names, (char *)b.data, b.size), 0);
    assert_int_equal(names.function_count, 2);
    assert_string_equal(names.functions[0].path, "a.e");
    assert_string_equal(names.functions[1].path, "a.f");
    assert_int_equal(names.global_count, 1);
    assert_string_equal(names.globals[0].module, "numba.core.environment");
    assert_string_equal(names.globals[0].name, "_rebuild_env");
    code_names_clear(&names);
    buf_free(&b);
}

static void the_description_names_the_module(void **state)
{
    (void)state;
    static const char value[] = "cnumba.core.funcdesc\nPythonFunctionDescriptor\n)\x81N}("
                                "\x8c\x07modname\x8c\x03"
                                "a.b\x8c\x08qualname\x8c\x01"
                                "fu\x86"
                                "b";
    struct code_names names;

    assert_int_equal(read_names(&names, value, sizeof value - 1), 0);
    assert_string_equal(names.module, "a.b");
    assert_string_equal(names.qualname, "f");
    code_names_clear(&names);
}

static void pickles_in_pickles_are_read(void **state)
{
    (void)state;
    static const char value[] = "C\x0d\x80\x04"
                                "cpkg\nType\n."
                                "C\x04\x80\x04"
                                "c."
                                "\x86";
    struct code_names names;

    assert_int_equal(read_names(&names, value, sizeof value - 1), 0);
    assert_int_equal(names.global_count, 1);
    assert_string_equal(names.globals[0].module, "pkg");
    assert_string_equal(names.globals[0].name, "Type");
    code_names_clear(&names);
}

/* A list that holds itself, and tuples of one another that a walk along every way would visit 2^200
 * times. */
static void a_knot_of_values_is_walked_once(void **state)
{
    (void)state;
    struct code_names names;
    struct buf b = {0};

    assert_int_equal(buf_add(&b, "]\x94h\x00", 4), 0);
    assert_int_equal(buf_add(&b, "a", 1), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(buf_add(&b, "2\x86", 2), 0);
    assert_int_equal(read_names(&names, (char *)b.data, b.size), 0);
    assert_int_equal(names.function_count, 0);
    code_names_clear(&names);
    buf_free(&b);
}

static void what_is_no_pickle_is_refused(void **state)
{
    (void)state;
    struct code_names names;

    assert_int_equal(code_names_read_data(&names, (const unsigned char *)"", 0, NULL), -EINVAL);
    code_names_clear(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_name_functions),
        cmocka_unit_test(one_function_is_named_once),
        cmocka_unit_test(the_description_names_the_module),
        cmocka_unit_test(pickles_in_pickles_are_read),
        cmocka_unit_test(a_knot_of_values_is_walked_once),
        cmocka_unit_test(what_is_no_pickle_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
