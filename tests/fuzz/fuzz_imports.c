/* Feeds the scanner of import statements: libFuzzer calls it. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "numba/imports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imports found;

    if (imports_scan(&found, data, size, NULL) == 0)
        for (size_t i = 0; i < found.count; i++) {
            const struct import *s = found.items + i;
            const char *name = imports_names(&found, s);

            if (strlen(imports_module(&found, s)) > 2 * size || s->at >= size)
                abort();
            for (size_t k = 0; k < s->name_count; k++, name = imports_next_name(name))
                if (!*name || strlen(name) > size)
                    abort();
        }
    imports_clear(&found);
    return 0;
}
