/* Import statements of Python sources: every form of them, what only looks like one, and sources
 * that import in ways that cannot be followed. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "imports_fixture.h"
#include "numba/imports.h"
#include "numba/source_text.h"

/* A source, and what is found in it as "LINE:MODULE" or "LINE:..MODULE(NAME,NAME)", with spaces
 * between. */
struct example {
    const char *source;
    const char *found;
};

/* The copy has no byte behind it, so that a sanitizer sees reading beyond it. */
static void scan(struct imports *out, const char *source)
{
    size_t size = strlen(source);
    _cleanup_free_ char *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, source, size);
    assert_int_equal(imports_scan(out, copy, size, NULL), 0);
}

static void describe(struct buf *out, const char *source, const struct imports *found)
{
    for (size_t i = 0; i < found->count; i++) {
        const struct import *s = found->items + i;
        const char *name = imports_names(found, s);

        buf_printf(out, "%s%u:", i ? " " : "", imports_line(source, s->at));
        for (unsigned k = 0; k < s->level; k++)
            buf_add_str(out, ".");
        buf_add_str(out, imports_module(found, s));
        if (!s->from)
            continue;
        buf_add_str(out, s->star ? "(*" : "(");
        for (size_t k = 0; k < s->name_count; k++, name = imports_next_name(name))
            buf_printf(out, "%s%s", k ? "," : "", name);
        buf_add_str(out, ")");
    }
    assert_int_equal(buf_terminate(out), 0);
}

static void check(const struct example *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        _cleanup_buf_ struct buf text = {0};
        struct imports found;

        scan(&found, e[i].source);
        describe(&text, e[i].source, &found);
        imports_clear(&found);
        if (strcmp((char *)text.data, e[i].found) != 0)
            fail_msg("in <%s> was found <%s>, not <%s>", e[i].source, text.data, e[i].found);
    }
}
#define CHECK(examples) check((examples), sizeof(examples) / sizeof *(examples))

static void every_form_of_statement_is_read(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"", ""},
        {"import a", "1:a"},
        {"import a.b.c as d, e , f.g as h # i\n", "1:a.b.c 1:e 1:f.g"},
        {"import a . b\t.c\n", "1:a.b.c"},
        {"from a import b", "1:a(b)"},
        {"from a.b import c as d, e\n", "1:a.b(c,e)"},
        {"from . import a", "1:.(a)"},
        {"from.import a", "1:.(a)"},
        {"from .. . a.b import c", "1:...a.b(c)"},
        {"from ...a import*", "1:...a(*)"},
        {"from a import (b, # from x import y\n  c as d,\n\n e,)\nimport f", "1:a(b,c,e) 5:f"},
        {"from a import \\\n b, \\\n c\nimport d", "1:a(b,c) 4:d"},
        {"from \\\r\n a \\\r\n import \\\r\n b\r\nimport c", "1:a(b) 5:c"},
        {"import \\\n a \\\n . \\\n b \\\n as c", "1:a.b"},
        {"\xef\xbb\xbfimport a", "1:a"},
    };

    CHECK(examples);
}

static void statements_are_found_wherever_they_stand(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"def f():\n    if x:\n        import a\n    class B:\n        from c import d\n",
         "3:a 5:c(d)"},
        {"try: import a\nexcept E: from b import c; import d\nelse:import e", "1:a 2:b(c) 2:d 3:e"},
        {"x = 1; import a;import b", "1:a 1:b"},
        {"@d\ndef f(): import a\nlambda: 0\nmatch x:\n case 1: import b", "2:a 5:b"},
        {"a\rimport b\rimport c\r\nimport d\n\rimport e", "2:b 3:c 4:d 6:e"},
        {"if x: \\\n import a", "2:a"},
        {"# a \\\nimport b", "2:b"},
        {"# from a \\\nimport b", "2:b"},
        {"# from a \\\r\nimport b", "2:b"},
        {"yield from x\nraise a from b;import c", "2:c"},
        {"lazy import a\nlazy from b import c", "1:a 2:b(c)"},
        {"\f import a\nif x:\n\timport b\n", "1:a 3:b"},
        {"x = '''\n\n''' ; import a", "3:a"},
    };

    CHECK(examples);
}

static void strings_and_comments_hold_no_statements(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"# import a\n'import b'\n\"import c\"\nimport d", "4:d"},
        {"'''\nimport a\n'''\n\"\"\"\nimport b '''\n\"\"\"\nimport c", "7:c"},
        {"'\\'';import a;'\\\\';import b;'\\\nimport c'", "1:a 1:b"},
        {"'\\\r\nimport a';import b", "2:b"},
        {"r'\\';import a';import b", "1:b"},
        {"Rb'''\\''';import a''';import b", "1:b"},
        {"x = 1 if y else'import a';import b", "1:b"},
        {"''';'''\"'\"'\"';import a", "1:a"},
        {"''\nimport a\n\"\"\nimport b", "2:a 4:b"},
        {"f'{x}';import a;f'{{import b}}'", "1:a"},
        {"f'{x['a']}';import b", "1:b"},
        {"f'{f\"{f'''{'import a'}'''}\"}';import b", "1:b"},
        {"f'{x:{y}>{\"}\"}}';import a", "1:a"},
        {"f'{x!r:\"}';import a;'\"'", "1:a"},
        {"f'''{\nx # '''\n}''';import a", "3:a"},
        {"f'\\N{RIGHT CURLY BRACKET}{x}';import a", "1:a"},
        {"f'\\N{APOSTROPHE}\\'{x}';import a", "1:a"},
        {"rf'\\{x}\\'{y}';import a", "1:a"},
        {"f'{x[{1:2}[1]:3]}';import a", "1:a"},
        {"t'{x}';import a;Tr'\\{y:z}';import b", "1:a 1:b"},
        {"important = imported.import_\nreimport = 1", ""},
        {"x.imports\nsimport = important", ""},
    };

    CHECK(examples);
}

static void names_that_are_no_ascii_are_kept(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"import caf\xc3\xa9", "1:caf\xc3\xa9"},
        {"\xc3\xa9 = 1;from \xc3\xa9.x import y", "1:\xc3\xa9.x(y)"},
        {"\xc3\xa9import = 1\nimport\xc3\xa9 = 2\nimport a", "3:a"},
    };

    CHECK(examples);
}

/* What is broken, or in an encoding that hides strings, may hold any "import" that stands there. */
static void where_strings_cannot_be_told_all_is_taken(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"# coding: utf-7\n'import a'\n", "2:a"},
        {"\n# -*- coding: shift_jis -*-\n'from a import b", "3:a(b)"},
        {"x = '''\nimport a\n", "2:a"},
        {"x = 'import a\nimport b\n", "1:a 2:b"},
        {"f'{x\nimport a", "2:a"},
        {"# coding: latin-1\n'import a'\nimport b\n'\xe9'", "3:b"},
        {"# vim: set fileencoding=utf-8 :\n'import a'", ""},
        {"\n\n# coding: utf-7\n'import a'\n", ""},
    };

    CHECK(examples);
}

static void strings_in_strings_without_end_stop_somewhere(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf b = {0};
    struct imports found;

    for (int i = 0; i < 100000; i++)
        buf_add_str(&b, i % 2 ? "f'{" : "f\"{x:{");
    buf_add_str(&b, "\nimport a\n");
    assert_int_equal(buf_terminate(&b), 0);
    scan(&found, (char *)b.data);
    assert_int_equal(found.count, 1);
    assert_non_null(found.dynamic);
    imports_clear(&found);
}

/* Each must be found at every distance from the blocks in which the text is looked at. */
static void statements_are_found_at_every_offset(void **state)
{
    (void)state;
    for (size_t n = 0; n < 200; n++) {
        _cleanup_buf_ struct buf b = {0};
        struct imports found;

        for (size_t i = 0; i < n; i++)
            buf_add_str(&b, i % 7 == 3 ? ";" : " ");
        buf_add_str(&b, "from a import b;'import c'#import d\nimport e;exec(x)");
        assert_int_equal(buf_terminate(&b), 0);
        scan(&found, (char *)b.data);
        assert_int_equal(found.count, 2);
        assert_int_equal(imports_line(b.data, found.items[1].at), 2);
        assert_string_equal(imports_module(&found, found.items + 1), "e");
        assert_string_equal(found.dynamic, "exec");
        imports_clear(&found);
    }
}

static void what_cannot_be_followed_is_dynamic(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "\n import importlib",
        "\nimport importlib.util as u",
        "\nfrom importlib import import_module",
        "\nfrom importlib.abc import x",
        "\nfrom x import importlib",
        "\nimport importlib.metadata;importlib.import_module('a')",
        "\nimport imp",
        "\nimport runpy, a",
        "\nfrom pkgutil import extend_path",
        "\nimport zipimport",
        "\nimport lazy_loader as lazy",
        "\nx = __import__('a')",
        "\nx = builtins.__import__",
        "\nexec('a')",
        "\nif 1:exec ('a')",
        "\nmap(eval, x)",
        "\nbuiltins.eval('a')",
        "\nfrom builtins import exec",
        "\nx = {'a': eval}",
        "\neval == x",
        "\nsys.path.insert(0, 'a')",
        "\nsys . path += ['a']",
        "\n_sys.path[:0] = a",
        "\nsys.meta_path.append(a)",
        "\nfrom sys import path",
        "\nimport sys as s",
        "\nsys.modules[__name__] = a",
        "\nsys.modules.update(a)",
        "\nsys.modules.get(a)",
        "\n__path__ = []",
        "\n__loader__.load_module('a')",
        "\n__package__ = 'a'",
        "\nimport pydoc",
        "\n__path__.append('a')",
        "\npkg.__path__.insert(0, 'a')",
        "\ndef __getattr__(name): pass",
        "\nif x:\n def __getattr__(name: str, ): pass",
        "\nasync def __getattr__(*name): pass",
        "\n__getattr__, __dir__, __all__ = attach(a)",
        "\nimport_string('a.b')",
        "\nutil.import_string('a.b')",
        "\nfrom x import import_string as i",
        "\nf'{eval(x)}'",
        "\nf'{x:{exec(y)}}'",
        "\n\xef\xbc\xa5\xef\xbd\x96\xef\xbd\x81\xef\xbd\x8c()",
        "\n__\xef\xbd\x89mport__('a')",
        "\nimport \xef\xbd\x81",
    };

    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        struct imports found;

        uint32_t line;

        scan(&found, sources[i]);
        line = imports_line(sources[i], found.dynamic_at);
        if (!found.dynamic || line < 2 || line > 3)
            fail_msg("<%s> is dynamic by %s in line %u", sources[i],
                     found.dynamic ? found.dynamic : "nothing", line);
        imports_clear(&found);
    }
}

static void what_only_looks_so_is_not_dynamic(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "# importlib, exec(x), eval(x), sys.path, __import__('a')",
        "'importlib, exec(x), eval(x), sys.path, __path__, __import__(a)'",
        "f'exec(x) {{eval(y)}} {z}'",
        "import importlib.metadata\nx = importlib.metadata.version('a')",
        "from importlib import metadata\nfrom importlib.metadata import version",
        "import a.importlib, b.imp",
        "from .imp import x\nfrom eval import x\nfrom a.import_module import b",
        "from __future__ import absolute_import",
        "frame.eval('a');model.exec ()",
        "def eval(self): pass\nclass exec: pass",
        "f(eval=True, exec = 1)",
        "executor;evaluate;retrieval;exec_module_",
        "sys.argv;sys.modules;'a' in sys.modules;sys.modules.keys()",
        "__package__ == a;f(__package__)",
        "import sys, sys as _sys",
        "class A:\n    def __getattr__(self, name): pass",
        "class A:\n    def __getattr__(self,\n  # 1\n name): pass",
        "object.__getattr__(x);object.__getattribute__(x)",
        "def import_all(): pass",
        "from x import importance\npermutation_importance(x)",
        "\xce\xb1 = \xce\xb2_import",
        "os.path.join(a)",
        "sys_path;systems.path",
    };

    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        struct imports found;

        scan(&found, sources[i]);
        if (found.dynamic)
            fail_msg("<%s> is dynamic by %s", sources[i], found.dynamic);
        imports_clear(&found);
    }
}

/* A word that must be looked at to its end again and again takes the square of the time. */
static void what_has_no_end_near_is_dynamic(void **state)
{
    static const char *const parts[][3] = {{"exec.", "x import y\n", ""},
                                           {"importlib.", "x import y\n", ""},
                                           {"import_module.", "x import y\n", ""},
                                           {"def __getattr__(", "x", "),x"}};

    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        _cleanup_buf_ struct buf source = {0};
        struct imports found;

        for (int k = 0; k < 1000; k++)
            assert_int_equal(buf_add_str(&source, parts[i][0]), 0);
        assert_int_equal(buf_add_str(&source, parts[i][1]), 0);
        for (int k = 0; k < 1000; k++)
            assert_int_equal(buf_add_str(&source, parts[i][2]), 0);
        assert_int_equal(buf_terminate(&source), 0);
        scan(&found, (char *)source.data);
        assert_non_null(found.dynamic);
        imports_clear(&found);
    }
}

static void entry_points_of_what_is_installed_are_dynamic(void **state)
{
    (void)state;
    struct imports found;

    scan(&found, "from importlib.metadata import entry_points as e");
    assert_string_equal(found.dynamic, "entry points");
    imports_clear(&found);
    scan(&found, "from importlib import metadata\nmetadata.distribution('a').entry_points");
    assert_string_equal(found.dynamic, "entry points");
    imports_clear(&found);
}

/* What source_text_next stops at, as its header says, in code of N blanks, two bytes and a blank.
 */
static bool is_of_interest(unsigned char a, unsigned char b)
{
    static const char *const pairs[] = {"mp", "xe", "ev", "ys", "__"};

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if ((unsigned char)pairs[i][0] == a && (unsigned char)pairs[i][1] == b)
            return true;
    return a >= 0x80;
}

static bool begins_text(unsigned char c)
{
    return c == '"' || c == '\'' || c == '#';
}

static void each_pair_of_interest_and_no_other_is_stopped_at(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x10000; i++) {
        const unsigned char a = (unsigned char)(i >> 8), b = (unsigned char)i;
        const size_t at = i % 190; /* in each block, at its end, and in the last, which is short */
        unsigned char text[192];
        struct source_text s;
        size_t expected = is_of_interest(a, b) ? at : b >= 0x80 ? at + 1 : sizeof text;

        if (begins_text(a) || begins_text(b))
            continue;
        memset(text, ' ', sizeof text);
        text[at] = a;
        text[at + 1] = b;
        source_text_start(&s, text, sizeof text);
        if (source_text_next(&s, 0) != expected)
            fail_msg("%02x %02x at %zu", a, b, at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pair_of_interest_and_no_other_is_stopped_at),
        cmocka_unit_test(every_form_of_statement_is_read),
        cmocka_unit_test(statements_are_found_wherever_they_stand),
        cmocka_unit_test(strings_and_comments_hold_no_statements),
        cmocka_unit_test(names_that_are_no_ascii_are_kept),
        cmocka_unit_test(where_strings_cannot_be_told_all_is_taken),
        cmocka_unit_test(strings_in_strings_without_end_stop_somewhere),
        cmocka_unit_test(statements_are_found_at_every_offset),
        cmocka_unit_test(what_cannot_be_followed_is_dynamic),
        cmocka_unit_test(what_only_looks_so_is_not_dynamic),
        cmocka_unit_test(what_has_no_end_near_is_dynamic),
        cmocka_unit_test(entry_points_of_what_is_installed_are_dynamic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
