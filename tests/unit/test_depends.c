/* From which files the code of a cache can come: one small tree for each rule. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "numba/depends.h"

/* A tree is a text: a line a file, sorted, "PATH" or "PATH: SOURCE" with "|" for line ends, or
 * "PATH -> TARGET", a symbolic link. */
struct tree {
    char *paths[64];
    const char *targets[64];
    char *sources[64];
    struct depends_tree tree;
    struct buf text;   /* of the source that was scanned last; borrowed */
    const char *added; /* a module that each source is said to import too */
    unsigned scans[64];
    unsigned texts[64]; /* how often each text was asked for */
    int refusal;        /* what asking for one returns */
};

static int scan(void *arg, size_t file, struct imports *out, struct wp_error *err)
{
    struct tree *t = arg;
    int r = imports_scan(out, t->sources[file], strlen(t->sources[file]), err);

    t->scans[file]++;
    t->text =
        (struct buf){.data = (unsigned char *)t->sources[file], .size = strlen(t->sources[file])};
    if (r == 0 && t->added && file == 0)
        r = imports_add(out, t->added);
    return r;
}

static int text_of(void *arg, size_t file, const struct buf **out, struct wp_error *err)
{
    struct tree *t = arg;

    (void)err;
    t->texts[file]++;
    *out = &t->text;
    return t->refusal;
}

static void make_tree(struct tree *t, const char *text)
{
    size_t n = 0;

    *t = (struct tree){0};
    while (*text) {
        size_t line = strcspn(text, "\n");
        char *path = strndup(text, line), *colon, *arrow;

        assert_non_null(path);
        colon = strstr(path, ": ");
        arrow = strstr(path, " -> ");
        t->targets[n] = arrow ? arrow + 4 : NULL;
        if (arrow)
            *arrow = '\0';
        t->paths[n] = path;
        t->sources[n] = colon ? colon + 2 : path + line;
        if (colon)
            *colon = '\0';
        for (char *c = t->sources[n]; *c; c++)
            *c = *c == '|' ? '\n' : *c;
        if (n > 0 && strcmp(t->paths[n - 1], path) >= 0)
            fail_msg("%s is not sorted", path);
        n++;
        text += line + (text[line] == '\n');
    }
    t->tree = (struct depends_tree){.paths = (const char *const *)t->paths,
                                    .count = n,
                                    .targets = t->targets,
                                    .imports = scan,
                                    .text = text_of,
                                    .arg = t};
}

static void clear_tree(struct tree *t)
{
    for (size_t i = 0; i < t->tree.count; i++)
        free(t->paths[i]);
}

static size_t file_of(const struct tree *t, const char *path)
{
    for (size_t i = 0; i < t->tree.count; i++)
        if (strcmp(t->paths[i], path) == 0)
            return i;
    fail_msg("no file %s", path);
    return 0;
}

/* "path path / outside outside" */
static void describe(struct buf *out, const struct tree *t, const struct depends *d, size_t set)
{
    _cleanup_free_ size_t *files = NULL;
    const struct depends_set *s = &d->sets[set];
    size_t count;

    assert_int_equal(depends_files(d, set, &files, &count), 0);
    assert_int_equal(d->count, 1); /* nobody else refers to what it leads to */
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s", i ? " " : "", t->paths[files[i]]);
    for (size_t i = 0; i < s->outside_count; i++)
        buf_printf(out, "%s%s", i ? " " : " / ", s->outside[i]);
    assert_int_equal(buf_terminate(out), 0);
}

static void check_tree(struct tree *t, const char *source, const char *expected)
{
    _cleanup_buf_ struct buf found = {0};
    size_t file = file_of(t, source);
    struct depends *d;

    assert_int_equal(depends_resolve(&d, &t->tree, &file, 1, NULL), 0);
    describe(&found, t, d, d->of_source[0]);
    assert_int_equal(d->count, 1); /* nobody else refers to what it leads to */
    depends_free(d);
    if (strcmp((char *)found.data, expected) != 0)
        fail_msg("%s depends on <%s>, not <%s>", source, found.data, expected);
}

static void check(const char *text, const char *source, const char *expected)
{
    struct tree t;

    make_tree(&t, text);
    check_tree(&t, source, expected);
    clear_tree(&t);
}

static void imports_are_followed_to_the_end(void **state)
{
    (void)state;
    check(
        "a.py: import b|import numpy.linalg, os\nb.py: def f():| try: from c import x\nc.py\nd.py",
        "a.py", "a.py b.py c.py / numpy os");
    check("a.py: from __future__ import x\nb.py: import a", "a.py", "a.py");
    check("a.py: import b\nb.py: import a|import zlib", "a.py", "a.py b.py / zlib");
}

static void packages_on_the_way_count(void **state)
{
    (void)state;
    const char *tree = "p/__init__.py: import top\n"
                       "p/a.py: from .q import r\n"
                       "p/b.py: import p.q.s.t\n"
                       "p/c.py: from ..z import y\n"
                       "p/q/__init__.py\n"
                       "p/q/r.py: from .. import u\n"
                       "p/q/s/__init__.py\n"
                       "p/q/s/t.py\n"
                       "p/u/__init__.py\n"
                       "p/u/v.py\n"
                       "top.py";

    check(tree, "p/a.py", "p/__init__.py p/a.py p/q/__init__.py p/q/r.py p/u/__init__.py top.py");
    check(tree, "p/b.py",
          "p/__init__.py p/b.py p/q/__init__.py p/q/s/__init__.py p/q/s/t.py top.py");
    check(tree, "p/c.py", "p/__init__.py p/c.py top.py");
    check(tree, "top.py", "top.py");
    check("p/__init__.py\np/c.py: from ... import y", "p/c.py", "p/__init__.py p/c.py / ..");
}

static void names_may_be_modules_or_what_modules_hold(void **state)
{
    (void)state;
    const char *tree = "p/__init__.py\np/a.py\np/b/__init__.py\np/b/c.py\n"
                       "w.py: from p import *\nx.py: from p import a, b, f\n"
                       "y.py: from p.a import f\nz.py: from p.b import c as d, e";

    check(tree, "x.py", "p/__init__.py p/a.py p/b/__init__.py x.py");
    check(tree, "y.py", "p/__init__.py p/a.py y.py");
    check(tree, "z.py", "p/__init__.py p/b/__init__.py p/b/c.py z.py");
    check(tree, "w.py", "p/__init__.py p/a.py p/b/__init__.py w.py");
    check("a.py: from b import *\nb.py: from c import x\nc.py", "a.py", "a.py b.py c.py");
    check("a.py: from . import *\nb.py", "a.py", "a.py b.py");
}

static void compiled_modules_count_and_stubs_do_not(void **state)
{
    (void)state;
    const char *tree = "p/__init__.py\n"
                       "p/__pycache__/x.cpython-311.pyc\n"
                       "p/a.cpython-311-x86_64-linux-gnu.so\n"
                       "p/a.cpython-312-x86_64-linux-gnu.so\n"
                       "p/a.pyi\n"
                       "p/b.abi3.so\n"
                       "p/c.pyd\n"
                       "p/d.pyc\n"
                       "p/e.so.1\n"
                       "p/x.py\n"
                       "x.py: from p import a, b, c, d, e, x";

    check(tree, "x.py",
          "p/__init__.py p/a.cpython-311-x86_64-linux-gnu.so p/a.cpython-312-x86_64-linux-gnu.so "
          "p/b.abi3.so p/c.pyd p/d.pyc p/x.py x.py");
}

static void packages_without_init_are_found(void **state)
{
    (void)state;
    check("src/n/p/__init__.py\nsrc/n/p/a.py: import n.p.b, n.q.c\nsrc/n/p/b.py\nsrc/n/q/c.py",
          "src/n/p/a.py", "src/n/p/__init__.py src/n/p/a.py src/n/p/b.py src/n/q/c.py");
    check("a.py: import n\nn/b.py", "a.py", "a.py / n");
}

static void every_directory_that_has_a_module_counts(void **state)
{
    (void)state;
    check("app/low.py\napp/main.py: import low, other\nlib/low/__init__.py\nlib/low/x.py\n"
          "lib/other.py",
          "app/main.py", "app/low.py app/main.py lib/low/__init__.py lib/other.py");
}

static void a_package_imports_from_its_own_copy(void **state)
{
    (void)state;
    check("v1/p/__init__.py\nv1/p/a.py: import p.b\nv1/p/b.py\nv2/p/__init__.py\nv2/p/b.py",
          "v1/p/a.py", "v1/p/__init__.py v1/p/a.py v1/p/b.py");
}

static void copies_that_setuptools_made_are_not_imported_by_what_lies_elsewhere(void **state)
{
    const char *text = "build/lib/p.py\nbuild/lib/q.py: import p\nsrc/m.py: import p, r\nsrc/p.py\n"
                       "x/build/lib.linux-x86_64-cpython-311/p.py\nx/build/lib/r.py";
    struct tree t;

    (void)state;
    check(text, "src/m.py", "src/m.py src/p.py x/build/lib/r.py");
    check("a/rebuild/lib/p.py\nbuild/libs/p.py\nsrc/m.py: import p\nsrc/p.py", "src/m.py",
          "a/rebuild/lib/p.py build/libs/p.py src/m.py src/p.py");
    /* In one of them its own may be meant, and in one that caches were compiled from. */
    check(text, "build/lib/q.py", "build/lib/p.py build/lib/q.py src/p.py");
    make_tree(&t, text);
    t.tree.roots = (const char *const[]){"build/lib"};
    t.tree.root_count = 1;
    check_tree(&t, "src/m.py", "build/lib/p.py src/m.py src/p.py x/build/lib/r.py");
    clear_tree(&t);
}

static void a_regular_package_is_no_place_to_import_from(void **state)
{
    (void)state;
    struct tree t;
    const char *text = "p/__init__.py\np/a.py: import b\np/b.py";

    check(text, "p/a.py", "p/__init__.py p/a.py / b");
    make_tree(&t, text);
    t.tree.roots = (const char *const[]){"p"};
    t.tree.root_count = 1;
    check_tree(&t, "p/a.py", "p/__init__.py p/a.py p/b.py");
    clear_tree(&t);
}

static void a_tree_that_is_a_package_knows_its_name(void **state)
{
    (void)state;
    struct tree t;

    make_tree(&t, "__init__.py: import x.y\na.py: import x.y.b|from x.y import c\nb.py\nc.py: from "
                  ".. import z");
    t.tree.package = "x.y";
    check_tree(&t, "a.py", "__init__.py a.py b.py c.py / x");
    clear_tree(&t);
}

static void what_cannot_be_followed_takes_its_package(void **state)
{
    (void)state;
    const char *tree = "app/main.py: import importlib\n"
                       "app/plugins/x.py\n"
                       "app/q/lib/site-packages/y.py\n"
                       "p/__init__.py\n"
                       "p/a.py: exec(x)\n"
                       "p/b.so\n"
                       "p/q/__init__.py\n"
                       "p/q/r.py: import z\n"
                       "p/t.txt\n"
                       "site/a-1.dist-info/METADATA\n"
                       "site/a.py: eval(x)\n"
                       "site/b.py\n"
                       "z.py";

    check(tree, "p/a.py", "p/__init__.py p/a.py p/b.so p/q/__init__.py p/q/r.py z.py");
    check(tree, "app/main.py", "app/main.py app/plugins/x.py / importlib");
    check(tree, "site/a.py", "site/a.py");
    check("a.py: exec(x)\nb/c.py\nb/site-packages/d.py", "a.py", "a.py b/c.py");
}

static void what_cannot_be_followed_takes_what_its_strings_name(void **state)
{
    (void)state;
    const char *tree = "away/frag.py\n"
                       "p/__init__.py\n"
                       "p/a.py: import importlib|x = importlib.import_module('q.r')\n"
                       "p/sub/b.py: exec('from top import f')|v\n"
                       "q/__init__.py\n"
                       "q/r.py\n"
                       "q/s/t.py: import u\n"
                       "site-packages/six.py\n"
                       "top.py\n"
                       "u.py\n"
                       "v.py\n"
                       "w/__init__.py\n"
                       "w/x.py: import q|'top'\n";

    check(tree, "p/a.py",
          "p/__init__.py p/a.py p/sub/b.py q/__init__.py q/r.py q/s/t.py top.py u.py / importlib");
    check(tree, "w/x.py", "q/__init__.py w/__init__.py w/x.py");
    check("away/frag.py\n"
          "site-packages/q.py: import importlib|'top'\n"
          "site-packages/six.py\n"
          "top.py\n"
          "v/__init__.py: exec(open('away/frag.py').read())|'six'",
          "v/__init__.py", "away/frag.py v/__init__.py");
}

static void a_package_that_may_extend_its_path_takes_those_of_its_name(void **state)
{
    (void)state;
    const char *tree = "a/p/__init__.py: import pkgutil|__path__ = pkgutil.extend_path(x, y)\n"
                       "a/p/high.py: from p.low import f\n"
                       "b/p/__init__.py: import pkgutil|__path__ = pkgutil.extend_path(x, y)\n"
                       "b/p/low.py\n"
                       "c/q/__init__.py: import importlib\n"
                       "c/q/high.py\n";

    check(tree, "a/p/high.py", "a/p/__init__.py a/p/high.py b/p/__init__.py b/p/low.py / pkgutil");
    check(tree, "c/q/high.py", "c/q/__init__.py c/q/high.py / importlib");
}

static void modules_that_are_used_as_attributes_of_a_package_count(void **state)
{
    (void)state;
    const char *tree = "a.py: import p|x = p.low.X\n"
                       "b.py: import p as q|x = (q|  .space.deep).X\n"
                       "c.py: from p import space|y = space. \\|deep . X\n"
                       "d.py: import p.low|x = p.space.deep.X\n"
                       "e.py: from p.low import X|X.space.deep\n"
                       "p/__init__.py\n"
                       "p/f.py: from . import space|space.deep()\n"
                       "p/low.py\n"
                       "p/space/deep.py\n"
                       "site-packages/np/__init__.py\n"
                       "site-packages/np/linalg.py\n"
                       "z.py: import np|np.linalg\n";

    check(tree, "a.py", "a.py p/__init__.py p/low.py");
    check(tree, "b.py", "b.py p/__init__.py p/space/deep.py");
    check(tree, "c.py", "c.py p/__init__.py p/space/deep.py");
    check(tree, "d.py", "d.py p/__init__.py p/low.py p/space/deep.py");
    check(tree, "e.py", "e.py p/__init__.py p/low.py");
    check(tree, "p/f.py", "p/__init__.py p/f.py p/space/deep.py");
    check(tree, "z.py", "site-packages/np/__init__.py z.py");
}

static void scripts_that_no_module_can_be_count_themselves(void **state)
{
    (void)state;
    const char *tree =
        "bin/.py: exec(x)\nbin/run.v2.py: exec(x)\nlow.py\np/a.py\np/b.c.py: import low|exec(x)";

    check(tree, "bin/run.v2.py", "bin/run.v2.py");
    check(tree, "bin/.py", "bin/.py");
    check(tree, "p/b.c.py", "low.py p/a.py p/b.c.py");
    check("a.b.py: exec(x)", "a.b.py", "a.b.py");
}

static void modules_that_code_names_are_added(void **state)
{
    (void)state;
    struct tree t;

    make_tree(&t, "a.py\np/__init__.py\np/low.py: import z\nz.py");
    t.added = "p.low.step";
    check_tree(&t, "a.py", "a.py p/__init__.py p/low.py z.py");
    clear_tree(&t);
}

/* Sets are told once, each by what it has itself and what it uses. */
static void what_several_lead_to_is_a_set_of_its_own(void **state)
{
    (void)state;
    struct tree t;
    size_t sources[3];
    struct depends *d;

    make_tree(&t, "a.py: import c\nb.py: import c\nc.py: import d, e\nd.py: import c\ne.py\nf.py: "
                  "import a, b");
    sources[0] = file_of(&t, "a.py");
    sources[1] = file_of(&t, "b.py");
    sources[2] = file_of(&t, "d.py");
    assert_int_equal(depends_resolve(&d, &t.tree, sources, 3, NULL), 0);
    assert_int_equal(d->count, 3);
    assert_int_equal(d->of_source[2], 0); /* c, d and e, which c alone leads to */
    assert_int_equal(d->sets[0].file_count, 3);
    assert_int_equal(d->sets[0].use_count, 0);
    for (size_t i = 0; i < 2; i++) {
        const struct depends_set *s = d->sets + d->of_source[i];

        assert_int_equal(s->file_count, 1);
        assert_int_equal(s->files[0], sources[i]);
        assert_int_equal(s->use_count, 1);
        assert_int_equal(s->uses[0], 0);
    }
    for (size_t i = 0; i < t.tree.count; i++)
        assert_int_equal(t.scans[i], strcmp(t.paths[i], "f.py") != 0); /* nobody asked for f */
    depends_free(d);
    clear_tree(&t);
}

static int scan_of_many(void *arg, size_t file, struct imports *out, struct wp_error *err)
{
    char source[256];
    int n =
        snprintf(source, sizeof source, "from . import *\nfrom . import m%05zu\nexec(m%05zu)\n%s",
                 (file + 1) % 20000, file, file % 2 ? "from .m00000 import *" : "");

    (void)arg;
    return imports_scan(out, source, (size_t)n, err);
}

/* Squares of these numbers would take hours and all memory. */
static void many_that_all_import_each_other_are_one_set(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    _cleanup_free_ char *text = malloc(COUNT * 16);
    _cleanup_free_ const char **paths = malloc(COUNT * sizeof *paths);
    _cleanup_free_ size_t *sources = malloc(COUNT * sizeof *sources);
    struct depends_tree tree = {.paths = paths, .count = COUNT, .imports = scan_of_many};
    struct depends *d;

    assert_true(text && paths && sources);
    for (size_t i = 0; i < COUNT; i++) {
        paths[i] = text + 16 * i;
        sources[i] = i;
        snprintf(text + 16 * i, 16, i ? "p/m%05zu.py" : "p/__init__.py", i);
    }
    assert_int_equal(depends_resolve(&d, &tree, sources, COUNT, NULL), 0);
    assert_int_equal(d->count, 1);
    assert_int_equal(d->sets[0].file_count, COUNT);
    depends_free(d);
}

static int refuse(void *arg, size_t file, struct imports *out, struct wp_error *err)
{
    (void)arg;
    (void)file;
    (void)out;
    return error_set(err, EACCES, "a.py", NULL);
}

static void a_source_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct tree t;
    struct depends *d = NULL;
    size_t file = 0;

    make_tree(&t, "a.py");
    t.tree.imports = refuse;
    assert_int_equal(depends_resolve(&d, &t.tree, &file, 1, NULL), -EACCES);
    assert_null(d);
    clear_tree(&t);
}

static void texts_are_asked_for_where_imports_do_not_tell_alone(void **state)
{
    (void)state;
    struct tree t;
    struct depends *d = NULL;
    size_t file = 0;

    make_tree(&t, "a.py: import b, p, os|from p import low|low.x\n"
                  "b.py: import importlib|importlib.import_module('p')\n"
                  "p/__init__.py: x = y.low\n"
                  "p/low.py: import np|np.x\n"
                  "site-packages/np.py\n");
    assert_int_equal(depends_resolve(&d, &t.tree, &file, 1, NULL), 0);
    depends_free(d);
    for (size_t i = 0; i < t.tree.count; i++) {
        assert_int_equal(t.scans[i], 1);
        assert_int_equal(t.texts[i], i < 2);
    }
    clear_tree(&t);
}

static void links_to_directories_are_followed_and_count(void **state)
{
    (void)state;
    const char *tree = "apart/__init__.py\n"
                       "apart/low.py: from ..near import x\n"
                       "apart/other.py\n"
                       "linked -> apart\n"
                       "p/__init__.py\n"
                       "p/a.py: from .sub.low import x\n"
                       "p/b.py: from .sub import *\n"
                       "p/c.py: from . import sub, d\n"
                       "p/d.py: import linked.other\n"
                       "p/e.py: from p.twice.sub.other import x\n"
                       "p/f.py: from .out import x\n"
                       "p/g.py: import p|p.sub.other.x\n"
                       "p/h.py: from .round.round.d import x\n"
                       "p/near.py\n"
                       "p/out -> ../../p\n"
                       "p/round -> .\n"
                       "p/sub -> ../q/now\n"
                       "p/twice -> ../p\n"
                       "q/now -> ../apart\n";

    check(tree, "p/a.py",
          "apart/__init__.py apart/low.py p/__init__.py p/a.py p/near.py p/sub q/now");
    check(tree, "p/b.py",
          "apart/__init__.py apart/low.py apart/other.py p/__init__.py p/b.py p/near.py p/sub "
          "q/now");
    check(tree, "p/c.py",
          "apart/__init__.py apart/other.py linked p/__init__.py p/c.py p/d.py p/sub q/now");
    check(tree, "p/d.py", "apart/__init__.py apart/other.py linked p/__init__.py p/d.py");
    check(tree, "p/e.py",
          "apart/__init__.py apart/other.py p/__init__.py p/e.py p/sub p/twice q/now");
    check(tree, "p/f.py", "p/__init__.py p/f.py");
    check(tree, "p/g.py", "apart/__init__.py apart/other.py p/__init__.py p/g.py p/sub q/now");
    check(tree, "p/h.py",
          "apart/__init__.py apart/other.py linked p/__init__.py p/d.py p/h.py p/round");
    check("a.py: import importlib\ndeep/low.py\np/x -> ../deep\n", "a.py",
          "a.py deep/low.py p/x / importlib");
    check("a -> b\nb -> a\nc.py: from .a import x\nd -> /a\n", "c.py", "c.py");
}

/* A manifest that had such a set could not be read. */
static void what_holds_no_module_is_no_set(void **state)
{
    (void)state;
    struct tree t;
    struct depends *d = NULL;
    const size_t sources[] = {0, 1};

    make_tree(&t, "a.py: from ns import *\nb.py: from ns import *\nns/sub/c.py\n");
    assert_int_equal(depends_resolve(&d, &t.tree, sources, 2, NULL), 0);
    for (size_t i = 0; i < d->count; i++)
        assert_true(d->sets[i].file_count || d->sets[i].use_count);
    depends_free(d);
    clear_tree(&t);
    check("a.py: from ns import *\nb.py: from ns import *\nns/sub/c.py\n", "b.py", "b.py / ns");
}

static void links_on_the_way_of_links_count(void **state)
{
    (void)state;
    const char *tree = "a.py: import p.sub.low\n"
                       "b.py: import p.farm.in.low\n"
                       "c.py: from p.up.in import over\n"
                       "near.py\n"
                       "now -> r/1\n"
                       "p/farm -> ../s/links\n"
                       "p/near.py\n"
                       "p/sub -> ../now/lib\n"
                       "p/up -> ../s/deep/er\n"
                       "r/1/lib -> ../lib-1\n"
                       "r/lib-1/low.py\n"
                       "s/deep/er/in -> ../../../t\n"
                       "s/links/in -> ../../t\n"
                       "t/low.py\n"
                       "t/over.py: from ...near import x\n";

    check(tree, "a.py", "a.py now p/sub r/1/lib r/lib-1/low.py");
    /* A directory in which links alone lie, behind one that stands before them by name. */
    check(tree, "b.py", "b.py p/farm s/links/in t/low.py");
    /* Up through a link behind a link, p.up.in.over sees p.near. */
    check(tree, "c.py", "c.py p/near.py p/up s/deep/er/in t/over.py / ..");
}

static void a_text_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct tree t;
    struct depends *d = NULL;
    size_t file = 0;

    make_tree(&t, "a.py: import p|p.low\n"
                  "p/low.py\n");
    t.refusal = -EAGAIN;
    assert_int_equal(depends_resolve(&d, &t.tree, &file, 1, NULL), -EAGAIN);
    assert_null(d);
    clear_tree(&t);
}

static void a_module_name_tells_where_it_was_imported_from(void **state)
{
    (void)state;
    assert_int_equal(depends_root_of("lib/pkg/low.py", "pkg.low"), 3);
    assert_int_equal(depends_root_of("lib/pkg/low.py", "low"), 7);
    assert_int_equal(depends_root_of("lib/pkg/low.py", "lib.pkg.low"), 0);
    assert_int_equal(depends_root_of("low.py", "low"), 0);
    assert_int_equal(depends_root_of("lib/pkg/__init__.py", "pkg"), 3);
    assert_int_equal(depends_root_of("pkg/__init__.py", "pkg"), 0);
    assert_int_equal(depends_root_of("lib/pkg/low.py", "kg.low"), -1);
    assert_int_equal(depends_root_of("lib/pkg/low.py", "__main__"), -1);
    assert_int_equal(depends_root_of("low.py", "pkg.low"), -1);
    assert_int_equal(depends_root_of("__init__.py", "pkg"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imports_are_followed_to_the_end),
        cmocka_unit_test(packages_on_the_way_count),
        cmocka_unit_test(names_may_be_modules_or_what_modules_hold),
        cmocka_unit_test(compiled_modules_count_and_stubs_do_not),
        cmocka_unit_test(packages_without_init_are_found),
        cmocka_unit_test(every_directory_that_has_a_module_counts),
        cmocka_unit_test(a_package_imports_from_its_own_copy),
        cmocka_unit_test(copies_that_setuptools_made_are_not_imported_by_what_lies_elsewhere),
        cmocka_unit_test(a_regular_package_is_no_place_to_import_from),
        cmocka_unit_test(a_tree_that_is_a_package_knows_its_name),
        cmocka_unit_test(what_cannot_be_followed_takes_its_package),
        cmocka_unit_test(what_cannot_be_followed_takes_what_its_strings_name),
        cmocka_unit_test(a_package_that_may_extend_its_path_takes_those_of_its_name),
        cmocka_unit_test(modules_that_are_used_as_attributes_of_a_package_count),
        cmocka_unit_test(scripts_that_no_module_can_be_count_themselves),
        cmocka_unit_test(modules_that_code_names_are_added),
        cmocka_unit_test(what_several_lead_to_is_a_set_of_its_own),
        cmocka_unit_test(many_that_all_import_each_other_are_one_set),
        cmocka_unit_test(a_source_that_cannot_be_read_is_an_error),
        cmocka_unit_test(texts_are_asked_for_where_imports_do_not_tell_alone),
        cmocka_unit_test(links_to_directories_are_followed_and_count),
        cmocka_unit_test(what_holds_no_module_is_no_set),
        cmocka_unit_test(links_on_the_way_of_links_count),
        cmocka_unit_test(a_text_that_cannot_be_read_is_an_error),
        cmocka_unit_test(a_module_name_tells_where_it_was_imported_from),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
