/* Whether the names in caches lead anywhere: what is told, and what is not since it may load. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "judge/judge.h"
#include "judge/named.h"

#define FILES(...)                                                                                 \
    (const struct file[])                                                                          \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

struct file {
    const char *path, *text; /* sorted by path */
};

static int read_file(void *ctx, size_t file, struct buf *out, struct wp_error *err)
{
    const struct file *files = ctx;

    (void)err;
    return buf_add_str(out, files[file].text);
}

/* What is told of a cache of SOURCE, which was compiled as MODULE (NULL: it does not say) and needs
 * the class NAME of IN (NULL: none). Allocated; NULL: nothing. */
static char *judge(const struct file *files, const char *source, const char *module, bool object,
                   const char *in, const char *name)
{
    struct code_global global = {in, name};
    struct code_names names = {.module = module,
                               .is_object_mode = object,
                               .globals = &global,
                               .global_count = name != NULL};
    const char *paths[16];
    struct came_from c = {.paths = paths, .read = read_file, .ctx = (void *)files};
    struct named n = {.cache = 7};
    struct wp_index_status s = {0};
    const struct named_wrong *wrong;

    for (; files[c.count].path; c.count++) {
        paths[c.count] = files[c.count].path;
        if (strcmp(paths[c.count], source) == 0)
            n.source = c.count;
    }
    assert_string_equal(paths[n.source], source);
    assert_int_equal(named_add(&c, &n, &names), 0);
    assert_int_equal(named_judge(&c, &n, NULL), 0);
    named_clear(&n);
    assert_int_equal(named_find(&c, NULL), 0);
    assert_null(named_wrong_of(&c, 6));
    assert_null(named_wrong_of(&c, 8));
    wrong = named_wrong_of(&c, 7);
    if (wrong) {
        assert_int_equal(named_set(&s, &c, wrong), 0);
        assert_int_equal(s.status, wrong->status);
    }
    came_from_clear(&c);
    return s.reason;
}

static void assert_told(char *told, const char *expected)
{
    if (expected)
        assert_string_equal(told, expected);
    else
        assert_null(told);
    free(told);
}

static void a_module_in_a_package_is_imported_by_the_packages_name(void **state)
{
    const struct file *files = FILES({"lib/a/__init__.py", ""}, {"lib/a/b/__init__.py", ""},
                                     {"lib/a/b/m.py", ""}, {"lib/m.py", ""}, {"m.py", ""});

    (void)state;
    assert_told(judge(files, "lib/a/b/m.py", "m", false, NULL, NULL),
                "compiled as m; importing it as a.b.m raises an error");
    assert_told(judge(files, "lib/a/b/m.py", "b.m", false, NULL, NULL),
                "compiled as b.m; importing it as a.b.m raises an error");
    assert_told(judge(files, "lib/a/b/__init__.py", "b", false, NULL, NULL),
                "compiled as b; importing it as a.b raises an error");
    assert_told(judge(files, "lib/a/b/m.py", "a.b.m", false, NULL, NULL), NULL);
    assert_told(judge(files, "lib/a/b/m.py", "lib.a.b.m", false, NULL, NULL), NULL);
    assert_told(judge(files, "lib/a/b/m.py", "over.lib.a.b.m", false, NULL, NULL), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, NULL, NULL), NULL);
    assert_told(judge(files, "m.py", "m", false, NULL, NULL), NULL);
    assert_told(judge(files, "lib/a/b/m.py", NULL, false, NULL, NULL), NULL);
}

static void a_package_may_change_where_modules_are_found(void **state)
{
    const struct file *files =
        FILES({"a/__init__.py", "import sys\nsys.path.append(__path__[0])\n"},
              {"a/b/__init__.py", ""}, {"a/b/m.py", ""}, {"a/x-y/__init__.py", ""},
              {"a/x-y/m.py", ""}, {"site-packages/__init__.py", ""}, {"site-packages/m.py", ""});

    (void)state;
    assert_told(judge(files, "a/b/m.py", "m", false, NULL, NULL), NULL);
    assert_told(judge(files, "a/x-y/m.py", "m", false, NULL, NULL), NULL);
    assert_told(judge(files, "site-packages/m.py", "m", false, NULL, NULL), NULL);
}

static void main_is_no_name_of_a_package_whose_code_looks_for_globals(void **state)
{
    const struct file *files =
        FILES({"a/__init__.py", ""}, {"a/__main__.py", ""}, {"a/m.py", ""}, {"m.py", ""});

    (void)state;
    assert_told(judge(files, "a/m.py", "__main__", true, NULL, NULL),
                "compiled as __main__; importing it as a.m raises an error");
    assert_told(judge(files, "a/m.py", "__main__", false, NULL, NULL), NULL);
    assert_told(judge(files, "a/__main__.py", "__main__", true, NULL, NULL), NULL);
    assert_told(judge(files, "m.py", "__main__", true, NULL, NULL), NULL);
}

static void a_class_whose_name_stands_nowhere_is_gone(void **state)
{
    const struct file *files = FILES(
        {"lib/a/__init__.py", "x = 1"}, {"lib/a/compiled.py", "x = 1"}, {"lib/a/compiled.so", ""},
        {"lib/a/empty.py", ""}, {"lib/a/made.py", "globals().update(x=1)"},
        {"lib/a/shapes.py", "class Older: pass\n"}, {"lib/a/shapes.pyi", "class Old: ..."},
        {"lib/a/star.py", "from .shapes import *"}, {"lib/m.py", "import a\nimport gone, types"},
        {"lib/types.py", "x = 1"});

    (void)state;
    assert_told(judge(files, "lib/m.py", "m", false, "a.shapes", "Old.Inner"),
                "it needs Old of lib/a/shapes.py, where no such name is any more; Numba raises an "
                "error");
    assert_told(judge(files, "lib/m.py", "m", false, "a", "Old"),
                "it needs Old of lib/a/__init__.py, where no such name is any more; Numba raises "
                "an error");
    assert_told(judge(files, "lib/m.py", "m", false, "a.shapes", "Older"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "a.shapes", "\xc3\xa9"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "a.star", "Old"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "a.made", "Old"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "a.compiled", "Old"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "a.empty", "Old"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "a.shapes.gone", "Old"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "gone", "Old"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "a.made.gone", "Old"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "types", "Old"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "../m", "Old"), NULL);
    assert_told(judge(files, "lib/m.py", "m", false, "", ""), NULL);
}

static void a_module_is_gone_only_from_a_package_that_makes_none_itself(void **state)
{
    const struct file *files =
        FILES({"a/__init__.py", ""}, {"a/sub/__init__.py", ""}, {"a/sub/data/x.txt", ""},
              {"b/__init__.py", "import sys\nsys.modules['b.gone'] = sys\n"}, {"c/x.py", ""},
              {"d/__init__.py", ""}, {"d/maker.py", "import sys\nsys.modules['d.gone'] = sys\n"},
              {"d/sub/__init__.py", ""}, {"e/__init__.py", ""}, {"e/maker.so", ""},
              {"m.py", "import a.sub, b, c, d, e"},
              {"n.py", "import a_b, c.a, d as a\n"
                       "from .a import x\n"});

    (void)state;
    assert_told(judge(files, "m.py", "m", false, "a.sub.gone", "Old"),
                "it needs Old of a.sub.gone, which the tree does not have; Numba raises an error");
    assert_told(judge(files, "m.py", "m", false, "a.sub.data", "Old"), NULL);
    assert_told(judge(files, "m.py", "m", false, "b.gone", "Old"), NULL);
    assert_told(judge(files, "m.py", "m", false, "c.gone", "Old"), NULL);
    assert_told(judge(files, "m.py", "m", false, "d.gone", "Old"), NULL);
    assert_told(judge(files, "m.py", "m", false, "d.sub.gone", "Old"), NULL);
    assert_told(judge(files, "m.py", "m", false, "e.gone", "Old"), NULL);
    assert_told(judge(files, "a/sub/__init__.py", "a.sub", false, "a.gone", "Old"),
                "it needs Old of a.gone, which the tree does not have; Numba raises an error");
    /* Somebody else's a may come first. */
    assert_told(judge(files, "n.py", "n", false, "a.sub.gone", "Old"), NULL);
    assert_told(judge(files, "n.py", "n", false, "a", "Old"), NULL);
}

static void where_no_name_says_from_where_it_was_imported_no_class_is_looked_for(void **state)
{
    const struct file *files = FILES({"m.py", "import shapes"}, {"shapes.py", "x = 1"});

    (void)state;
    assert_told(judge(files, "m.py", NULL, false, "shapes", "Old"), NULL);
    assert_told(judge(files, "m.py", "__main__", false, "shapes", "Old"), NULL);
    assert_told(judge(files, "m.py", "other.name", false, "shapes", "Old"), NULL);
    assert_told(judge(files, "m.py", "m", false, "shapes", "Old"),
                "it needs Old of shapes.py, where no such name is any more; Numba raises an error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_module_in_a_package_is_imported_by_the_packages_name),
        cmocka_unit_test(a_package_may_change_where_modules_are_found),
        cmocka_unit_test(main_is_no_name_of_a_package_whose_code_looks_for_globals),
        cmocka_unit_test(a_class_whose_name_stands_nowhere_is_gone),
        cmocka_unit_test(a_module_is_gone_only_from_a_package_that_makes_none_itself),
        cmocka_unit_test(where_no_name_says_from_where_it_was_imported_no_class_is_looked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
