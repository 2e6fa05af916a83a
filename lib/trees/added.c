/* Tells files that came into a tree after it was packed: a module that shadows another, or one that
 * was looked for in vain. */

#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "trees.h"

/* Is there a file of a manifest beneath directory DIR of the tree? */
static bool is_packed_dir(const char *const *packed, size_t count, const char *dir)
{
    size_t n = strlen(dir);
    size_t at = array_first(i, count, strcmp(packed[i], dir) < 0);

    if (!n)
        return false;
    for (; at < count && strncmp(packed[at], dir, n) == 0; at++)
        if (packed[at][n] == '/')
            return true;
    return false;
}

/* The length of what a file's path and those of others that give the same module begin with: that
 * of "a/low" for a/low.py, a/low.so and a/low/__init__.py. */
static size_t stem_size(const char *path)
{
    const char *base = path_base(path);
    const size_t n = (size_t)(base - path);

    return n && strncmp(base, "__init__.", strlen("__init__.")) == 0 ? n - 1
                                                                     : n + strcspn(base, ".");
}

/* Was a file packed that gives the same module as PATH? */
static bool is_in_place_of_packed(const char *const *packed, size_t count, const char *path)
{
    const size_t n = stem_size(path);
    size_t at = array_first(i, count, strncmp(packed[i], path, n) < 0);

    for (; at < count && strncmp(packed[at], path, n) == 0; at++) {
        const char *rest = packed[at] + n;

        if (*rest == '/' || strcmp(rest, ".py") == 0 || path_has_suffix(rest, ".so"))
            return true;
    }
    return false;
}

bool trees_is_added(const char *const *packed, size_t count, const char *path)
{
    _cleanup_free_ char *dir = path_dir(path), *above = dir ? path_dir(dir) : NULL;

    return above && !array_find(&path, packed, count, path_compare) &&
           (is_packed_dir(packed, count, dir) || is_packed_dir(packed, count, above) ||
            is_in_place_of_packed(packed, count, path));
}
