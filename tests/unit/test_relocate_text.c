/* What becomes of texts with an environment's old path in them, and of texts that only look so. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "restore/relocate_text.h"

static const struct relocate_paths plain = {"/old/env", "/new/place"};
static const struct relocate_paths longer = {"/old/env", "/old/env/inner"};
static const struct relocate_paths shorter = {"/old/env/inner", "/old/env"};
static const struct relocate_paths spaced = {"/old/env", "/new place/it"};
static const struct relocate_paths unspaced = {"/old env", "/new"};
static const struct relocate_paths unwritable = {"/old/env", "/new/a\"b"};

typedef int change(const struct relocate_paths *p, const char *text, size_t n, struct buf *out);

/* In memory that ends with the text, so that a sanitizer sees what reads on. */
static int apply(change *what, const struct relocate_paths *p, const char *text, size_t n,
                 struct buf *out)
{
    char *exact = malloc(n ? n : 1);
    int r;

    assert_non_null(exact);
    memcpy(exact, text, n);
    r = what(p, exact, n, out);
    free(exact);
    return r;
}

static void expect(change *what, const struct relocate_paths *p, const char *text, int count,
                   const char *want)
{
    struct buf out = {0};

    assert_int_equal(apply(what, p, text, strlen(text), &out), count);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal((char *)out.data, want);
    buf_free(&out);
}

static void whole_paths_are_replaced_and_parts_of_others_are_not(void **state)
{
    (void)state;
    expect(relocate_all, &plain, "", 0, "");
    expect(relocate_all, &plain, "/old/env", 1, "/new/place");
    expect(relocate_all, &plain, "home = /old/env/bin\nx=/old/env\n", 2,
           "home = /new/place/bin\nx=/new/place\n");
    expect(relocate_all, &plain, "/old/env2 /old/env-x /old/env.d /old/env\xc3\xa4", 0,
           "/old/env2 /old/env-x /old/env.d /old/env\xc3\xa4");
    expect(relocate_all, &plain, "/srv/old/env a/old/env //old/env", 0,
           "/srv/old/env a/old/env //old/env");
    expect(relocate_all, &plain, "/old/en", 0, "/old/en");
}

static void what_has_been_replaced_is_not_replaced_again(void **state)
{
    (void)state;
    expect(relocate_all, &longer, "/old/env/bin", 1, "/old/env/inner/bin");
    expect(relocate_all, &longer, "/old/env/inner/bin", 0, "/old/env/inner/bin");
    expect(relocate_all, &shorter, "/old/env/inner/bin", 1, "/old/env/bin");
    expect(relocate_all, &shorter, "/old/env/bin /old/env/inn", 0, "/old/env/bin /old/env/inn");
    expect(relocate_script, &shorter, "#!/old/env/inner/bin/python\n", 1,
           "#!/old/env/bin/python\n");
    expect(relocate_script, &shorter, "#!/bin/sh\n'''exec' /old/env/inner/bin/python \"$0\"\n", 1,
           "#!/bin/sh\n'''exec' /old/env/bin/python \"$0\"\n");
    expect(relocate_shell, &shorter, "VIRTUAL_ENV=/old/env/inner\n", 1, "VIRTUAL_ENV=/old/env\n");
    expect(relocate_script, &longer, "#!/old/env/inner/bin/python\n", 0,
           "#!/old/env/inner/bin/python\n");
}

static void words_of_a_shell_get_quotes_and_lose_them(void **state)
{
    (void)state;
    expect(relocate_shell, &plain, "VIRTUAL_ENV=/old/env\n", 1, "VIRTUAL_ENV=/new/place\n");
    expect(relocate_shell, &spaced, "VIRTUAL_ENV=/old/env\nexport", 1,
           "VIRTUAL_ENV='/new place/it'\nexport");
    expect(relocate_shell, &spaced, "cd /old/env/bin; x", 1, "cd '/new place/it/bin'; x");
    expect(relocate_shell, &spaced, "x=$(y /old/env/lib)", 1, "x=$(y '/new place/it/lib')");
    expect(relocate_shell, &spaced, "PATH=/old/env/bin:$PATH|y", 1,
           "PATH='/new place/it/bin:'$PATH|y");
    expect(relocate_shell, &unspaced, "VIRTUAL_ENV='/old env'\n", 1, "VIRTUAL_ENV=/new\n");
    expect(relocate_shell, &unspaced, "VIRTUAL_ENV='/old env", 1, "VIRTUAL_ENV=/new");
}

static void scripts_change_where_their_interpreter_is_named_alone(void **state)
{
    (void)state;
    expect(relocate_script, &plain, "#!/old/env/bin/python -s\nx = '/old/env'\n", 1,
           "#!/new/place/bin/python -s\nx = '/old/env'\n");
    expect(relocate_script, &plain, "#! /old/env/bin/python", 1, "#! /new/place/bin/python");
    expect(relocate_script, &plain, "#!", 0, "#!");
    expect(relocate_script, &plain, "#", 0, "#");
    expect(relocate_script, &plain, "x = '/old/env'\n", 0, "x = '/old/env'\n");
    expect(relocate_script, &plain, "#!/usr/bin/env python\n# /old/env\n", 0,
           "#!/usr/bin/env python\n# /old/env\n");
    expect(relocate_script, &plain,
           "#!/bin/sh\n'''exec' /old/env/bin/python \"$0\" \"$@\"\n' '''\n", 1,
           "#!/bin/sh\n'''exec' /new/place/bin/python \"$0\" \"$@\"\n' '''\n");
    expect(relocate_script, &plain, "#!/bin/sh\n'''exec' ", 0, "#!/bin/sh\n'''exec' ");
}

static void a_path_with_spaces_is_written_for_a_shell_and_back(void **state)
{
    static const char first[] = "#!/old/env/bin/python -s\nbody\n";
    static const char second[] =
        "#!/bin/sh\n'''exec' \"/new place/it/bin/python\" -s \"$0\" \"$@\"\n' '''\nbody\n";
    struct buf out = {0};

    (void)state;
    expect(relocate_script, &spaced, first, 1, second);
    assert_int_equal(relocate_shorten(second, strlen(second), &out), 1);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal((char *)out.data, "#!/new place/it/bin/python -s\nbody\n");
    buf_free(&out);
}

static void a_path_that_is_too_long_for_the_kernel_is_written_for_a_shell(void **state)
{
    static const char script[] = "#!/old/env/bin/python\n";
    char to[200] = "/";
    const struct relocate_paths p = {"/old/env", to};
    struct buf out = {0};

    (void)state;
    memset(to + 1, 'x', sizeof to - 2);
    to[sizeof to - 1] = '\0';
    assert_int_equal(apply(relocate_script, &p, script, strlen(script), &out), 1);
    assert_memory_equal(out.data, "#!/bin/sh\n", 10);
    buf_free(&out);
}

static void a_path_that_no_quotes_hold_is_refused(void **state)
{
    static const char shell[] = "x=/old/env\n", script[] = "#!/bin/sh\n'''exec' /old/env/bin/py\n";
    struct buf out = {0};

    (void)state;
    assert_int_equal(apply(relocate_shell, &unwritable, shell, strlen(shell), &out), -EINVAL);
    assert_int_equal(apply(relocate_script, &unwritable, script, strlen(script), &out), -EINVAL);
    buf_free(&out);
}

/* Each beginning of each text, as a file that was cut has it: no byte behind it is read. */
static void texts_that_are_cut_are_read_to_their_end(void **state)
{
    static const char *const texts[] = {
        "#!/old/env/bin/python -s\nx = '/old/env'\n",
        "#!/bin/sh\n'''exec' \"/old/env/bin/python\" \"$0\" \"$@\"\n' '''\n",
        "VIRTUAL_ENV='/old env/x'; cd /old/env\n"};
    static change *const changes[] = {relocate_all, relocate_shell, relocate_script};
    static const struct relocate_paths *const paths[] = {&plain, &longer, &shorter, &spaced,
                                                         &unspaced};
    struct buf out = {0};

    (void)state;
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
        for (size_t n = 0; n <= strlen(texts[t]); n++)
            for (size_t k = 0; k < 15; k++) {
                buf_clear(&out);
                assert_true(apply(changes[k % 3], paths[k / 3], texts[t], n, &out) >= 0);
            }
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_paths_are_replaced_and_parts_of_others_are_not),
        cmocka_unit_test(what_has_been_replaced_is_not_replaced_again),
        cmocka_unit_test(words_of_a_shell_get_quotes_and_lose_them),
        cmocka_unit_test(scripts_change_where_their_interpreter_is_named_alone),
        cmocka_unit_test(a_path_with_spaces_is_written_for_a_shell_and_back),
        cmocka_unit_test(a_path_that_is_too_long_for_the_kernel_is_written_for_a_shell),
        cmocka_unit_test(a_path_that_no_quotes_hold_is_refused),
        cmocka_unit_test(texts_that_are_cut_are_read_to_their_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
