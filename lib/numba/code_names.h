#pragma once
/* The names in a cache: the module it was compiled as, the functions whose code was compiled into
 * it, and the classes and functions that Python imports to read it.
 *
 * Source: Numba 0.52 to 0.68, core/compiler.py (CompileResult._reduce), core/environment.py,
 * core/funcdesc.py and core/itanium_mangler.py. */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/texts.h"

struct index;

/* A function whose code a data file holds: the one that was cached, and every one that it called
 * and that was linked into it. */
struct code_function {
    const char *path; /* as its symbol has it: "pkg.low.mk._3clocals_3e.inner" */
    const char
        *module; /* the name of its module, "pkg.low"; NULL where only a symbol tells of it */
};

/* A class or function that is found by its name when the pickle is read. */
struct code_global {
    const char *module;
    const char *name; /* "Point", or "Outer.Point" */
};

/* Zero-initialise; free with code_names_clear. All texts belong to it. */
struct code_names {
    const char *module; /* of the function that was cached; NULL: the file does not say, as those of
                           gufunc wrappers do not */
    const char *qualname; /* of it; NULL likewise */
    bool is_object_mode;  /* it was compiled in object mode, where its globals are looked up as it
                             runs */
    bool is_nameless; /* a function of it has no module, since its globals had no __name__: to read
                         it Numba imports None, which raises an error */
    struct code_function *functions; /* sorted by path, each once; owned */
    size_t function_count;
    struct code_global *globals; /* sorted by module and name, each once; owned */
    size_t global_count;
    struct texts texts;
    size_t used; /* bytes of texts */
};

/* The names in a data file (.nbc). -EINVAL where Numba could not unpickle it, -EFBIG where it has
 * more names than any real one. A file that is none of Numba's gives none. */
int code_names_read_data(struct code_names *out, const unsigned char *data, size_t size,
                         struct wp_error *err);
/* The classes and functions in an index's keys. */
int code_names_read_index(struct code_names *out, const struct index *index, struct wp_error *err);
void code_names_clear(struct code_names *n);
