/* Of a file of settings the simple lines are read as Numba's YAML reads them; other YAML is told.
 */

#include "numba/config_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int add(void *ctx, const char *name, const char *value)
{
    char *said = ctx;
    size_t n = strlen(said);

    snprintf(said + n, 400 - n, "%s=%s;", name, value);
    return 0;
}

static void simple_lines_are_settings(void **state)
{
    static const char *const CASES[][2] = {
        {"", ""},
        {"---\n# no settings\n\n  # none\n", ""},
        {"cache_dir: /tmp/x", "NUMBA_CACHE_DIR=/tmp/x;"},
        {"Cache_Dir:   /tmp/a b  # there\r\nopt: 0\n", "NUMBA_CACHE_DIR=/tmp/a b;NUMBA_OPT=0;"},
        {"cache_dir: '/it''s'\n", "NUMBA_CACHE_DIR=/it's;"},
        {"cache_dir: \"/a # b: c\"  # d\n", "NUMBA_CACHE_DIR=/a # b: c;"},
        {"cache_dir: /a#b\n", "NUMBA_CACHE_DIR=/a#b;"},
        {"cpu_name: generic\ncpu_features: -avx\n",
         "NUMBA_CPU_NAME=generic;NUMBA_CPU_FEATURES=-avx;"},
        {"cache_dir:\nopt: ~\ndebug: Null # no\n", ""},
        {"debug: yes\nboundscheck: off\n", "NUMBA_DEBUG=1;NUMBA_BOUNDSCHECK=0;"},
        {"cpu_features: ''\n", "NUMBA_CPU_FEATURES=;"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char said[400] = "";

        assert_int_equal(config_file_parse(CASES[i][0], strlen(CASES[i][0]), add, said), 0);
        assert_string_equal(said, CASES[i][1]);
    }
}

static void other_yaml_is_told_by_its_line(void **state)
{
    static const struct {
        const char *text;
        int line;
    } CASES[] = {
        {"{cache_dir: /tmp}\n", 1},
        {"opt: 0\n cache_dir: /tmp\n", 2},
        {"opt: 0\n---\ncache_dir: /tmp\n", 2},
        {"cache_dir: &a /tmp\n", 1},
        {"cache_dir: |\n  /tmp\n", 1},
        {"cache_dir: [/tmp]\n", 1},
        {"cache_dir: a: b\n", 1},
        {"cache_dir: a:\n", 1},
        {"cache_dir: - a\n", 1},
        {"cache_dir: \"a\\tb\"\n", 1},
        {"cache_dir: \"a\n", 1},
        {"cache_dir: 'a' b\n", 1},
        {"cache_dir:/tmp\n", 1},
        {"- cache_dir\n", 1},
        {"0: 1\n", 1},
        {"opt:\t0\n", 1},
        {"opt: 0\t# no\n", 1},
        {"\xef\xbb\xbf"
         "opt: 0\n",
         1},
        {"%YAML 1.2\n", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char said[400] = "";

        assert_int_equal(config_file_parse(CASES[i].text, strlen(CASES[i].text), add, said),
                         CASES[i].line);
    }
    assert_int_equal(config_file_parse("opt: 0\0\n", 8, add, (char[400]){0}), 1);
}

static int refuse(void *ctx, const char *name, const char *value)
{
    (void)ctx;
    (void)name;
    (void)value;
    return -ENOMEM;
}

static void an_error_of_who_is_called_ends_it(void **state)
{
    (void)state;
    assert_int_equal(config_file_parse("opt: 0\n", 7, refuse, NULL), -ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_lines_are_settings),
        cmocka_unit_test(other_yaml_is_told_by_its_line),
        cmocka_unit_test(an_error_of_who_is_called_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
