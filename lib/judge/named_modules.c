/* Finds the modules of a tree by name, as Python would, and tells what else may make some. */

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "judge/named.h"

#define INIT "/__init__.py"

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

bool named_is_in_word(unsigned char ch)
{
    return is_letter(ch) || (ch >= '0' && ch <= '9');
}

int named_is_package(const struct came_from *c, const char *path, size_t n, size_t *init)
{
    _cleanup_buf_ struct buf name = {0};
    size_t from = n;

    while (from > 0 && named_is_in_word((unsigned char)path[from - 1]))
        from--;
    if (n == 0 || (from > 0 && path[from - 1] != '/') || !is_letter((unsigned char)path[from]))
        return 0;
    if (buf_add(&name, path, n) < 0 || buf_add(&name, INIT, sizeof INIT) < 0)
        return -ENOMEM;
    return is_file(c, (const char *)name.data, init);
}

int named_scan(struct came_from *c, size_t file, struct imports *out, struct wp_error *err)
{
    int r;

    buf_clear(&c->text);
    r = c->read(c->ctx, file, &c->text, err);
    return r < 0 ? r : imports_scan(out, c->text.data, c->text.size, err);
}

/* Does a source change how modules are found, or can it not be told? 1, 0, or negative errno. */
static int is_dynamic(struct came_from *c, size_t file, struct wp_error *err)
{
    struct imports imports = {0};
    int r = named_scan(c, file, &imports, err);
    const bool dynamic = imports.dynamic;
    imports_clear(&imports);
    return r < 0 ? r : dynamic;
}

int named_finds_otherwise(struct came_from *c, const char *path, struct wp_error *err)
{
    int r = 0;

    for (size_t n = depends_parent(path, strlen(path)), init; n > 0 && r == 0;
         n = depends_parent(path, n)) {
        r = named_is_package(c, path, n, &init);
        if (r < 0)
            return error_nomem(err);
        if (r == 1)
            r = is_dynamic(c, init, err);
    }
    return r;
}

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

/* "ROOT/pkg/low" for "pkg.low", where the first N bytes of PATH are ROOT. 0 or -ENOMEM. */
static int module_path(struct buf *out, const char *path, size_t n, const char *module)
{
    if ((n && (buf_add(out, path, n) < 0 || buf_add(out, "/", 1) < 0)) ||
        buf_add(out, module, strlen(module)) < 0)
        return -ENOMEM;
    for (size_t i = n; i < out->size; i++)
        if (out->data[i] == '.')
            out->data[i] = '/';
    return 0;
}

int named_find_module(const struct came_from *c, const char *path, size_t root, const char *module,
                      size_t *file)
{
    _cleanup_buf_ struct buf name = {0};
    size_t n, package;

    if (strchr(module, '/'))
        return 0;
    if (module_path(&name, path, root, module) < 0)
        return -ENOMEM;
    n = name.size;
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
        r = path_has_suffix(c->paths[i], ".py")
                ? is_dynamic(c, i, err)
                : path_has_suffix(c->paths[i], ".so") || path_has_suffix(c->paths[i], ".pyd");
    if (r < 0)
        return r;
    if (array_add(c->makers, c->maker_count, (struct named_maker){first, n, r == 1}) < 0)
        return error_nomem(err);
    return r;
}

int named_is_module_gone(struct came_from *c, const char *path, size_t root, const char *module,
                         struct wp_error *err)
{
    _cleanup_buf_ struct buf name = {0};
    const size_t top = root + (root > 0);
    size_t n, init;
    int r;

    if (strchr(module, '/'))
        return 0;
    if (module_path(&name, path, root, module) < 0 || buf_add(&name, "", 1) < 0)
        return error_nomem(err);
    if (named_is_there(c, &name))
        return 0;
    name.data[name.size - 1] = '\0';
    n = depends_parent((char *)name.data, name.size - 1);
    r = n > root ? named_is_package(c, (char *)name.data, n, &init) : 0;
    if (r != 1)
        return r < 0 ? error_nomem(err) : 0;
    r = named_finds_otherwise(c, (char *)name.data, err);
    if (r == 0)
        r = makes_modules(c, (char *)name.data, top + strcspn(module, ".") + 1, err);
    return r < 0 ? r : r == 0;
}
