#pragma once
/* The import statements of a Python source, found without running or parsing it: wherever they
 * stand, in functions, conditions and classes too. Never fewer than Python's own ast finds. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* One module of "import a.b, c", or one "from ..a import b, c". */
struct import {
    uint32_t level;      /* dots before the module; 0: not relative */
    uint32_t at;         /* offset of the statement's first word in the source */
    uint32_t module;     /* offset of its name in the text: "a.b"; "" in "from . import b" */
    uint32_t names;      /* offset of the first name behind "import" of a "from" */
    uint32_t name_count; /* each with a NUL behind it; 0: not a "from", or a star */
    bool from;           /* "from module import ..." */
    bool star;           /* "from module import *" */
};

/* Zero-initialise; free with imports_clear. */
struct imports {
    struct import *items; /* in the order of the source; owned */
    size_t count;
    struct buf text; /* of modules and names; owned */
    /* What makes the source import, or run code, in a way that cannot be followed: a word of it
     * such as "importlib", or why it could not be read. NULL: nothing does. Static. */
    const char *dynamic;
    uint32_t dynamic_at; /* offset of the first such word; 0 where the source could not be read */
};

/* Scans a source. What is not Python gives some imports or none, never an error. -ENOMEM, -EFBIG
 * (2 GiB and more). OUT is filled anew; clear it in any case. */
int imports_scan(struct imports *out, const void *source, size_t size, struct wp_error *err);
void imports_clear(struct imports *i);
/* Adds "import MODULE", which stands nowhere in the source. 0 or -ENOMEM. */
int imports_add(struct imports *i, const char *module);

/* Valid until the imports are cleared. */
const char *imports_module(const struct imports *i, const struct import *s);
/* The first name; the next one stands behind its NUL. */
const char *imports_names(const struct imports *i, const struct import *s);
static inline const char *imports_next_name(const char *name)
{
    while (*name)
        name++;
    return name + 1;
}
