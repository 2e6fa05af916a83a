/* Judges whether the modules and classes that a cache names are where Python looks for them. */

#include "judge/named.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "judge/judge.h"

/* Of one index; what is beyond is not judged. */
enum { MOST_GLOBALS = 1 << 14, LONGEST_NAME = 1024 };

/* ---- What an index names ------------------------------------------------------------------ */

/* Classes of these are not the tree's, whatever lies in it: Python's own, which are found first,
 * and those that come with Numba. */
static bool is_foreign(const char *module)
{
    static const char *const tops[] = {
        "abc",      "array",     "builtins",    "collections", "copyreg",    "ctypes",
        "datetime", "decimal",   "dataclasses", "enum",        "fractions",  "functools",
        "inspect",  "itertools", "llvmlite",    "math",        "numba",      "numbers",
        "numpy",    "operator",  "pathlib",     "random",      "re",         "threading",
        "types",    "typing",    "weakref",     "__main__",    "__mp_main__"};
    size_t n = strcspn(module, ".");

    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++)
        if (strlen(tops[i]) == n && memcmp(tops[i], module, n) == 0)
            return true;
    return n == 0;
}

static int add_global(struct named *n, const struct code_global *from)
{
    struct named_global g = {0};

    if (is_foreign(from->module) || n->global_count >= MOST_GLOBALS ||
        strlen(from->module) > LONGEST_NAME || strlen(from->name) > LONGEST_NAME)
        return 0;
    g.module = texts_add(&n->texts, from->module, strlen(from->module));
    g.name = texts_add(&n->texts, from->name, strcspn(from->name, "."));
    return !g.module || !g.name || array_add(n->globals, n->global_count, g) < 0 ? -ENOMEM : 0;
}

/* Does the name by which the source was compiled lead nowhere where it is imported? 1, 0, -ENOMEM.
 */
static int is_misnamed(const struct came_from *c, struct named *n, const struct code_names *names)
{
    const char *path = c->paths[n->source];
    ptrdiff_t root = depends_root_of(path, names->module);
    size_t init;

    if (strcmp(names->module, "__main__") == 0)
        return names->is_object_mode && strcmp(path_base(path), "__main__.py") != 0
                   ? named_is_package(c, path, depends_parent(path, strlen(path)), &init)
                   : 0;
    if (root < 0)
        return 0;
    if (!n->has_root) {
        n->has_root = true;
        n->root = (size_t)root;
    }
    return named_is_package(c, path, (size_t)root, &init);
}

int named_add(const struct came_from *c, struct named *n, const struct code_names *names)
{
    int r = 0;

    if (!path_has_suffix(c->paths[n->source], ".py"))
        return 0;
    if (names->module && !n->module &&
        !(n->module = texts_add(&n->texts, names->module, strlen(names->module))))
        return -ENOMEM;
    if (names->is_nameless && !n->wrong)
        n->wrong = "";
    if (names->module && !n->wrong)
        r = is_misnamed(c, n, names);
    if (r == 1 && !(n->wrong = texts_add(&n->texts, names->module, strlen(names->module))))
        r = -ENOMEM;
    for (size_t i = 0; i < names->global_count && r >= 0; i++)
        r = add_global(n, &names->globals[i]);
    return r < 0 ? r : 0;
}

void named_clear(struct named *n)
{
    free(n->globals);
    imports_clear(&n->imports);
    texts_free(&n->texts);
    *n = (struct named){0};
}

/* ---- The module --------------------------------------------------------------------------- */

int named_add_wrong(struct came_from *c, struct named_wrong w)
{
    return array_add(c->wrong, c->wrong_count, w);
}

static int judge_module(struct came_from *c, const struct named *n, struct wp_error *err)
{
    struct named_wrong w = {n->cache, WP_MISNAMED, n->source, NULL, NULL, false};
    int r = n->wrong && *n->wrong ? named_finds_otherwise(c, c->paths[n->source], err) : !n->wrong;

    if (r != 0)
        return r < 0 ? r : 0;
    w.name = texts_add(&c->texts, n->wrong, strlen(n->wrong));
    return w.name && named_add_wrong(c, w) == 0 ? 0 : error_nomem(err);
}

int named_judge(struct came_from *c, struct named *n, struct wp_error *err)
{
    int r = judge_module(c, n, err);

    for (size_t i = 0; i < n->global_count && r == 0; i++)
        r = named_note_class(c, n, &n->globals[i], err);
    return r;
}

/* ---- All of them -------------------------------------------------------------------------- */

static int compare_wrong(const void *a, const void *b)
{
    const struct named_wrong *x = a, *y = b;
    int d;

    if (x->cache != y->cache)
        return x->cache > y->cache ? 1 : -1;
    d = (int)x->status - (int)y->status;
    if (d == 0)
        d = (x->file > y->file) - (x->file < y->file);
    return d ? d : strcmp(x->name, y->name);
}

int named_find(struct came_from *c, struct wp_error *err)
{
    size_t kept = 0;
    int r = named_judge_classes(c, err);

    if (r == 0)
        r = named_ask_elsewhere(c, err);
    array_sort(c->wrong, c->wrong_count, compare_wrong);
    for (size_t i = 0; i < c->wrong_count; i++)
        if (kept == 0 || c->wrong[kept - 1].cache != c->wrong[i].cache)
            c->wrong[kept++] = c->wrong[i];
    c->wrong_count = kept;
    return r;
}

const struct named_wrong *named_wrong_of(const struct came_from *c, size_t cache)
{
    size_t at = array_first(i, c->wrong_count, c->wrong[i].cache < cache);

    return at < c->wrong_count && c->wrong[at].cache == cache ? &c->wrong[at] : NULL;
}

/* The name by which Python imports PATH. Allocated. */
static char *import_name(const struct came_from *c, const char *path)
{
    size_t end = strlen(path) - strlen(".py"), top = depends_parent(path, end), init;
    char *name;
    int r;

    if (strcmp(path + top, "/__init__.py") == 0)
        end = top;
    while ((r = named_is_package(c, path, top, &init)) == 1)
        top = depends_parent(path, top);
    if (r < 0)
        return NULL;
    top += top > 0;
    name = strndup(path + top, end - top);
    for (char *p = name; p && *p; p++)
        if (*p == '/')
            *p = '.';
    return name;
}

int named_set(struct wp_index_status *s, const struct came_from *c, const struct named_wrong *w)
{
    const char *path = c->paths[w->file];
    _cleanup_free_ char *name = NULL;

    if (w->module)
        return judge_set(s, WP_TYPE_MISSING,
                         "it needs %s of %s, which %s does not have; Numba raises an error",
                         w->name, w->module, w->is_elsewhere ? c->python : "the tree");
    if (w->status == WP_TYPE_MISSING)
        return judge_set(s, WP_TYPE_MISSING,
                         "it needs %s of %s, where no such name is any more; Numba raises an error",
                         w->name, path);
    if (!*w->name)
        return judge_set(s, WP_MISNAMED,
                         "compiled in a namespace without a __name__; loading it raises an error");
    name = import_name(c, path);
    return name ? judge_set(s, WP_MISNAMED, "compiled as %s; importing it as %s raises an error",
                            w->name, name)
                : -ENOMEM;
}
