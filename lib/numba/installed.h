#pragma once
/* What a Python has installed besides a tree: distributions and their versions, and classes. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "warmpack.h"

struct installed {
    char *name;
    char *version;
    bool uses_numba; /* it says that it needs Numba */
};

/* Asks PYTHON which distributions have the COUNT top-level MODULES; of those without any, such as
 * Python's own, there is none. BY_NAME: MODULES are names of distributions. Sorted by name, each
 * once. *OUT is the caller's to free with installed_free. Errors: those of wp_python_ask. */
int installed_ask(const struct wp_context *context, const char *python, char *const *modules,
                  size_t count, bool by_name, struct installed **out, size_t *found,
                  struct wp_error *err);
void installed_free(struct installed *list, size_t count);

/* A class or function that a cache names. */
struct installed_global {
    const char *module, *name; /* "pkg.shapes", "Outer.Point"; borrowed */
    bool is_missing;           /* its top-level module is there, and this is not */
};

/* Asks PYTHON for the COUNT globals in LIST, and says which are missing. It imports their modules,
 * as Numba does when it reads such a cache. */
int installed_find(const struct wp_context *context, const char *python,
                   struct installed_global *list, size_t count, struct wp_error *err);
