/* Keys of overloads: their parts, as Numba and other targets write them, and which are alike. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "numba/key.h"

enum { LARGEST = 1 << 20 };

static void add_field(struct buf *line, const char *text)
{
    assert_int_equal(buf_printf(line, "%s%s", line->size ? "\t" : "", text ? text : "-"), 0);
}

/* The line that make.py writes of a key. */
static void describe(struct buf *line, const struct pickle_value *v)
{
    _cleanup_(key_clear) struct wp_overload key;

    assert_int_equal(key_read(&key, v), 0);
    add_field(line, key.signature);
    add_field(line, key.triple);
    add_field(line, key.cpu);
    add_field(line, key.features);
    add_field(line, key.target);
    add_field(line, key.version);
    add_field(line, key.code);
    add_field(line, key.cells);
    add_field(line, key.launch);
    add_field(line, key.other);
    add_field(line, key_is_for_cpu(v) ? "yes" : NULL);
    assert_int_equal(buf_add_str(line, "\n"), 0);
    assert_int_equal(buf_terminate(line), 0);
}

/* With real types and signatures, of the Numba of this machine. */
static void parts_are_found_by_what_they_are(void **state)
{
    (void)state;
    char dir[] = "/tmp/warmpack-keys-XXXXXX", command[4096], path[4096];
    _cleanup_buf_ struct buf data = {0};
    struct pickle *p;
    size_t used;

    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof command, "/usr/bin/python3 -B '%s/numba/make.py' keys %s", TEST_DATA,
             dir);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/keys.pickle", dir);
    assert_int_equal(file_read(path, LARGEST, &data, NULL), 0);
    assert_int_equal(pickle_read(&p, data.data, data.size, &used, NULL, NULL), 0);
    snprintf(path, sizeof path, "%s/keys.txt", dir);
    _cleanup_fclose_ FILE *expected = fopen(path, "r");
    assert_non_null(expected);

    const struct pickle_value *keys = pickle_root(p);
    assert_true(keys->count >= 13);
    for (size_t i = 0; i < keys->count; i++) {
        _cleanup_buf_ struct buf line = {0};
        char text[4096];

        assert_non_null(fgets(text, sizeof text, expected));
        describe(&line, keys->items[i]);
        assert_string_equal((char *)line.data, text);
        for (size_t k = 0; k < keys->count; k++)
            assert_int_equal(pickle_equal(keys->items[i], keys->items[k]), i == k);
    }
    pickle_free(p);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

/* A list of two keys that Python makes of EXPRESSION; it begins with what a key is made of. */
static int are_alike(const char *expression)
{
    char command[4096];
    unsigned char data[4096];
    struct pickle *p;
    size_t used;

    snprintf(
        command, sizeof command,
        "/usr/bin/python3 -c \"import pickle, sys; m = lambda *a: a; c = ('a' * 64, 'b' * 64)\n"
        "sys.stdout.buffer.write(pickle.dumps(%s))\"",
        expression);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(data, 1, sizeof data, f);
    assert_int_equal(pclose(f), 0);
    assert_int_equal(pickle_read(&p, data, n, &used, NULL, NULL), 0);
    const struct pickle_value *pair = pickle_root(p);
    int r = key_is_alike(pair->items[0], pair->items[1]);
    assert_int_equal(key_is_alike(pair->items[1], pair->items[0]), r);
    pickle_free(p);
    return r;
}

static void keys_are_alike_that_differ_in_the_cpu_alone(void **state)
{
    (void)state;
    assert_int_equal(are_alike("[('s', m('t', 'a', '+x'), c), ('s', m('t', 'b', ''), c)]"), 1);
    assert_int_equal(are_alike("[(m(1, 's'), m('t', 'a', ''), c, 'k'),"
                               " (m(1, 's'), m('t', 'a', ''), m('a' * 64, 'b' * 64), 'k')]"),
                     1);
    assert_int_equal(are_alike("[('s', m('t', 'a', ''), c), ('t', m('t', 'a', ''), c)]"), 0);
    assert_int_equal(are_alike("[('s', m('t', 'a', ''), c), ('s', m('u', 'a', ''), c)]"), 0);
    assert_int_equal(are_alike("[('s', m('t', 'a', ''), c), ('s', m('t', 'a', ''), c[::-1])]"), 0);
    assert_int_equal(are_alike("[('s', m('t', 'a', ''), c), ('s', m('t', 'a', ''), c, 1)]"), 0);
    assert_int_equal(are_alike("[('s', m('t', 'a', ''), c, 2), ('s', m('t', 'a', ''), c, 1)]"), 0);
    assert_int_equal(are_alike("[('s', m(1, 2), c), ('s', m(1, 2), c)]"), 0); /* no CPU's */
    assert_int_equal(are_alike("[(b's', m('t', 'a', ''), c), ('s', m('t', 'a', ''), c)]"), 0);
    assert_int_equal(are_alike("[(1, m('t', 'a', ''), c), (True, m('t', 'a', ''), c)]"), 0);
}

/* Lists that hold themselves, and one that does so at another turn. */
static void what_holds_itself_is_compared_to_its_end(void **state)
{
    (void)state;
    assert_int_equal(are_alike("(lambda a, b: a.append(a) or b.append(b) or"
                               " [(a, m('t', 'a', ''), c), (b, m('t', 'a', ''), c)])([], [])"),
                     1);
    assert_int_equal(are_alike("(lambda a, b: a.append(a) or b.extend([b, 1]) or"
                               " [(a, m('t', 'a', ''), c), (b, m('t', 'a', ''), c)])([], [])"),
                     0);
    assert_int_equal(are_alike("__import__('functools').reduce(lambda p, i:"
                               " [tuple((x[0],) * 2 for x in (q,)) + q[1:] and"
                               " ((q[0], q[0]),) + q[1:] for q in p], range(60),"
                               " [((), m('t', 'a', ''), c), ((), m('t', 'b', ''), c)])"),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found_by_what_they_are),
        cmocka_unit_test(keys_are_alike_that_differ_in_the_cpu_alone),
        cmocka_unit_test(what_holds_itself_is_compared_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
