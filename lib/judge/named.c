/* Judges whether the modules and classes that a cache names are where Python looks for them. */

#include "judge/named.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "judge/judge.h"

#define INIT "/__init__.py"

/* Of one index; what is beyond is not judged. */
enum { MOST_GLOBALS = 1 << 14, LONGEST_NAME = 1024 };

struct named_global {
    const char *module, *name;
};

/* A class that an index needs of a file of the tree. */
struct named_class {
    size_t file;
    const char *name; /* "Outer" of "Outer.Point" */
    size_t cache;
};

/* ---- The tree ----------------------------------------------------------------------------- */

/* The number of the file PATH, or where it would stand. */
static size_t place_of(const struct came_from *c, const char *path)
{
    return array_first(i, c->count, strcmp(c->paths[i], path) < 0);
}

static bool is_file(const struct came_from *c, const char *path, size_t *number)
{
    *number = place_of(c, path);
    return *number < c->count && strcmp(c->paths[*number], path) == 0;
}

static bool is_letter(unsigned char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' || ch >= 0x80;
}

static bool is_in_word(unsigned char ch)
{
    return is_letter(ch) || (ch >= '0' && ch <= '9');
}

/* The directory of the first N bytes of PATH, without its slash. */
static size_t parent(const char *path, size_t n)
{
    while (n > 0 && path[n - 1] != '/')
        n--;
    return n > 0 ? n - 1 : 0;
}

/* Is the directory of the first N bytes of PATH a regular package? No package is called
 * "site-packages". 1: *INIT is the number of its __init__; 0; -ENOMEM. */
static int is_package(const struct came_from *c, const char *path, size_t n, size_t *init)
{
    _cleanup_buf_ struct buf name = {0};
    size_t from = n;

    while (from > 0 && is_in_word((unsigned char)path[from - 1]))
        from--;
    if (n == 0 || (from > 0 && path[from - 1] != '/') || !is_letter((unsigned char)path[from]))
        return 0;
    if (buf_add(&name, path, n) < 0 || buf_add(&name, INIT, sizeof INIT) < 0)
        return -ENOMEM;
    return is_file(c, (const char *)name.data, init);
}

static bool is_source(const char *path)
{
    size_t n = strlen(path);

    return n > 3 && strcmp(path + n - 3, ".py") == 0;
}

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
    if (!g.module || !g.name || array_grow(n->globals, n->global_count) < 0)
        return -ENOMEM;
    n->globals[n->global_count++] = g;
    return 0;
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
                   ? is_package(c, path, parent(path, strlen(path)), &init)
                   : 0;
    if (root < 0)
        return 0;
    if (!n->has_root) {
        n->has_root = true;
        n->root = (size_t)root;
    }
    return is_package(c, path, (size_t)root, &init);
}

int named_add(const struct came_from *c, struct named *n, const struct code_names *names)
{
    int r = 0;

    if (!is_source(c->paths[n->source]))
        return 0;
    if (names->module && !n->module &&
        !(n->module = texts_add(&n->texts, names->module, strlen(names->module))))
        return -ENOMEM;
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

static int add_wrong(struct came_from *c, struct named_wrong w)
{
    if (array_grow(c->wrong, c->wrong_count) < 0)
        return -ENOMEM;
    c->wrong[c->wrong_count++] = w;
    return 0;
}

/* Does a source change how modules are found, or cannot it be told? 1, 0, or negative errno. */
static int is_dynamic(struct came_from *c, size_t file, struct wp_error *err)
{
    struct imports imports = {0};
    bool dynamic;
    int r;

    buf_clear(&c->text);
    r = c->read(c->ctx, file, &c->text, err);
    if (r == 0)
        r = imports_scan(&imports, c->text.data, c->text.size, err);
    dynamic = imports.dynamic;
    imports_clear(&imports);
    return r < 0 ? r : dynamic;
}

/* Likewise of the packages around PATH. */
static int finds_otherwise(struct came_from *c, const char *path, struct wp_error *err)
{
    int r = 0;

    for (size_t n = parent(path, strlen(path)), init; n > 0 && r == 0; n = parent(path, n)) {
        r = is_package(c, path, n, &init);
        if (r < 0)
            return error_nomem(err);
        if (r == 1)
            r = is_dynamic(c, init, err);
    }
    return r;
}

static int judge_module(struct came_from *c, const struct named *n, struct wp_error *err)
{
    struct named_wrong w = {n->cache, WP_MISNAMED, n->source, NULL, NULL, false};
    int r = n->wrong ? finds_otherwise(c, c->paths[n->source], err) : 1;

    if (r != 0)
        return r < 0 ? r : 0;
    w.name = texts_add(&c->texts, n->wrong, strlen(n->wrong));
    return w.name && add_wrong(c, w) == 0 ? 0 : error_nomem(err);
}

/* ---- Classes ------------------------------------------------------------------------------ */

/* Is there another file of the module that begins with the N bytes of STEM, "pkg/shapes.": a
 * compiled one, which Python takes first? */
static bool is_compiled_too(const struct came_from *c, const char *stem, size_t n, size_t file)
{
    _cleanup_free_ char *from = strndup(stem, n);

    if (!from)
        return true;
    for (size_t i = place_of(c, from); i < c->count && strncmp(c->paths[i], from, n) == 0; i++)
        if (i != file && strcmp(c->paths[i] + n, "pyi") != 0)
            return true;
    return false;
}

/* The one source that MODULE is beneath the directory of the first ROOT bytes of PATH. 1: *FILE; 0:
 * there is none, or more than one file; -ENOMEM. */
static int find_module(const struct came_from *c, const char *path, size_t root, const char *module,
                       size_t *file)
{
    _cleanup_buf_ struct buf name = {0};
    size_t n, package;

    if (strchr(module, '/') ||
        (root && (buf_add(&name, path, root) < 0 || buf_add(&name, "/", 1) < 0)))
        return strchr(module, '/') ? 0 : -ENOMEM;
    n = name.size;
    if (buf_add(&name, module, strlen(module)) < 0)
        return -ENOMEM;
    for (; n < name.size; n++)
        if (name.data[n] == '.')
            name.data[n] = '/';
    if (buf_add(&name, INIT, sizeof INIT) < 0)
        return -ENOMEM;
    package = is_file(c, (const char *)name.data, file);
    memcpy(name.data + n, ".py", 4);
    if (package)
        return !is_compiled_too(c, (const char *)name.data, n + 1, SIZE_MAX);
    return is_file(c, (const char *)name.data, file) &&
           !is_compiled_too(c, (const char *)name.data, n + 1, *file);
}

/* Can a file of the first N bytes of DIR, with a slash behind them, make modules itself? A compiled
 * one may. Told once for each directory. 1, 0 or negative errno. */
static int makes_modules(struct came_from *c, const char *dir, size_t n, struct wp_error *err)
{
    const size_t first = array_first(i, c->count, strncmp(c->paths[i], dir, n) < 0);
    int r = 0;

    for (size_t i = 0; i < c->maker_count; i++)
        if (c->makers[i].first == first && c->makers[i].length == n)
            return c->makers[i].makes;
    for (size_t i = first; r == 0 && i < c->count && strncmp(c->paths[i], dir, n) == 0; i++)
        r = is_source(c->paths[i])
                ? is_dynamic(c, i, err)
                : path_has_suffix(c->paths[i], ".so") || path_has_suffix(c->paths[i], ".pyd");
    if (r < 0)
        return r;
    if (array_grow(c->makers, c->maker_count) < 0)
        return error_nomem(err);
    c->makers[c->maker_count++] = (struct named_maker){first, n, r == 1};
    return r;
}

/* Is MODULE gone from a regular package beneath the directory of the first ROOT bytes of PATH,
 * where nothing beneath the topmost package makes modules itself? 1, 0 or negative errno. */
static int is_module_gone(struct came_from *c, const char *path, size_t root, const char *module,
                          struct wp_error *err)
{
    _cleanup_buf_ struct buf name = {0};
    const size_t top = root + (root > 0);
    size_t n, init;
    int r;

    if (strchr(module, '/'))
        return 0;
    if ((root && (buf_add(&name, path, root) < 0 || buf_add(&name, "/", 1) < 0)) ||
        buf_add(&name, module, strlen(module)) < 0 || buf_add(&name, "", 1) < 0)
        return error_nomem(err);
    for (char *p = (char *)name.data + top; *p; p++)
        if (*p == '.')
            *p = '/';
    if (named_is_there(c, &name))
        return 0;
    name.data[name.size - 1] = '\0';
    n = parent((char *)name.data, name.size - 1);
    r = n > root ? is_package(c, (char *)name.data, n, &init) : 0;
    if (r != 1)
        return r < 0 ? error_nomem(err) : 0;
    r = finds_otherwise(c, (char *)name.data, err);
    if (r == 0)
        r = makes_modules(c, (char *)name.data, top + strcspn(module, ".") + 1, err);
    return r < 0 ? r : r == 0;
}

/* Does the source mean MODULE itself: is it of its own package, or of one that it imports? If not,
 * the program has given it a class, and may have found another package of this name first. 1, 0 or
 * negative errno. */
static int is_meant(struct came_from *c, struct named *n, const char *module, struct wp_error *err)
{
    const size_t top = strcspn(module, ".");
    int r = 0;

    if (n->module && strncmp(n->module, module, top) == 0 &&
        (!n->module[top] || n->module[top] == '.'))
        return 1;
    if (!n->has_imports) {
        n->has_imports = true;
        buf_clear(&c->text);
        r = c->read(c->ctx, n->source, &c->text, err);
        if (r == 0)
            r = imports_scan(&n->imports, c->text.data, c->text.size, err);
    }
    for (size_t i = 0; i < n->imports.count && r == 0; i++) {
        const char *name = imports_module(&n->imports, &n->imports.items[i]);

        r = n->imports.items[i].level == 0 && strncmp(name, module, top) == 0 &&
            (!name[top] || name[top] == '.');
    }
    return r;
}

static int note_class(struct came_from *c, struct named *n, const struct named_global *g,
                      struct wp_error *err)
{
    struct named_class class = {.cache = n->cache};
    struct named_wrong gone = {n->cache, WP_TYPE_MISSING, n->source, NULL, NULL, false};
    const char *path = c->paths[n->source];
    int r = n->has_root || c->python ? is_meant(c, n, g->module, err) : 0;

    if (r <= 0)
        return r;
    r = n->has_root ? find_module(c, path, n->root, g->module, &class.file) : 0;
    if (r < 0)
        return error_nomem(err);
    if (r == 0 && n->has_root) {
        r = is_module_gone(c, path, n->root, g->module, err);
        if (r < 0)
            return r;
        if (r == 1) {
            gone.name = texts_add(&c->texts, g->name, strlen(g->name));
            gone.module = texts_add(&c->texts, g->module, strlen(g->module));
            return gone.name && gone.module && add_wrong(c, gone) == 0 ? 0 : error_nomem(err);
        }
    }
    if (r == 0)
        return c->python && named_note_elsewhere(c, n, g->module, g->name) < 0 ? error_nomem(err)
                                                                               : 0;
    class.name = texts_add(&c->texts, g->name, strlen(g->name));
    if (!class.name || array_grow(c->classes, c->class_count) < 0)
        return error_nomem(err);
    c->classes[c->class_count++] = class;
    return 0;
}

int named_judge(struct came_from *c, struct named *n, struct wp_error *err)
{
    int r = judge_module(c, n, err);

    for (size_t i = 0; i < n->global_count && r == 0; i++)
        r = note_class(c, n, &n->globals[i], err);
    return r;
}

/* Is WORD one of the N bytes of TEXT? */
static bool has_word(const unsigned char *text, size_t n, const char *word)
{
    size_t size = strlen(word);

    for (const unsigned char *at = text, *end = text + n;
         (at = memmem(at, (size_t)(end - at), word, size)); at++)
        if ((at == text || !is_in_word(at[-1])) && (at + size == end || !is_in_word(at[size])))
            return true;
    return false;
}

/* A name that is written in no other way than it is. */
static bool is_plain(const char *name)
{
    for (const char *p = name; *p; p++)
        if (!is_in_word((unsigned char)*p) || (unsigned char)*p >= 0x80)
            return false;
    return *name;
}

/* Can a module of the source that was read have a name that stands nowhere in it? */
static int makes_names(const struct buf *text, struct wp_error *err)
{
    static const char *const makers[] = {"globals", "locals", "vars",        "setattr",
                                         "exec",    "eval",   "__getattr__", "__dict__"};
    struct imports imports = {0};
    int r = imports_scan(&imports, text->data, text->size, err);
    bool found = imports.dynamic;

    for (size_t i = 0; i < imports.count && !found; i++)
        found = imports.items[i].star;
    for (size_t i = 0; i < sizeof makers / sizeof *makers && !found; i++)
        found = has_word(text->data, text->size, makers[i]);
    imports_clear(&imports);
    return r < 0 ? r : found;
}

/* The COUNT classes at OF are of one file. */
static int judge_classes(struct came_from *c, const struct named_class *of, size_t count,
                         struct wp_error *err)
{
    int makes = -1, r;

    buf_clear(&c->text);
    r = c->read(c->ctx, of->file, &c->text, err);
    for (size_t i = 0; i < count && c->text.size && r == 0; i++) {
        if (!is_plain(of[i].name) || has_word(c->text.data, c->text.size, of[i].name))
            continue;
        if (makes < 0)
            r = makes = makes_names(&c->text, err);
        if (r < 0 || makes)
            return r < 0 ? r : 0;
        if (add_wrong(c, (struct named_wrong){of[i].cache, WP_TYPE_MISSING, of[i].file, of[i].name,
                                              NULL, false}) < 0)
            r = error_nomem(err);
    }
    return r;
}

/* ---- All of them -------------------------------------------------------------------------- */

static int compare_classes(const void *a, const void *b)
{
    const struct named_class *x = a, *y = b;

    if (x->file != y->file)
        return x->file > y->file ? 1 : -1;
    return strcmp(x->name, y->name);
}

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
    int r = 0;

    if (c->class_count)
        qsort(c->classes, c->class_count, sizeof *c->classes, compare_classes);
    for (size_t i = 0, n; i < c->class_count && r == 0; i += n) {
        for (n = 1; i + n < c->class_count && c->classes[i + n].file == c->classes[i].file;)
            n++;
        r = judge_classes(c, &c->classes[i], n, err);
    }
    if (r == 0)
        r = named_ask_elsewhere(c, err);
    if (c->wrong_count)
        qsort(c->wrong, c->wrong_count, sizeof *c->wrong, compare_wrong);
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
    size_t end = strlen(path) - strlen(".py"), top = parent(path, end), init;
    char *name;
    int r;

    if (strcmp(path + top, INIT) == 0)
        end = top;
    while ((r = is_package(c, path, top, &init)) == 1)
        top = parent(path, top);
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
    name = import_name(c, path);
    return name ? judge_set(s, WP_MISNAMED, "compiled as %s; importing it as %s raises an error",
                            w->name, name)
                : -ENOMEM;
}
