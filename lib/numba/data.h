#pragma once
/* A data file (.nbc): one pickle that holds object code.
 * Source: Numba 0.52 to 0.67, core/codegen.py, CodeLibrary.serialize_using_object_code. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* What is found in the object code. */
struct data_facts {
    bool whole;    /* every object is an ELF file that lacks nothing */
    bool has_text; /* the text looked for is in it */
    char svml[64]; /* the name of an undefined symbol of Intel's SVML library (truncated), or "" */
};

/* Reads the data file and looks into its object code; TEXT may be NULL. -EINVAL where Numba could
 * not unpickle it. Nothing is found of a file that no Numba wrote. */
int data_read(const unsigned char *data, size_t size, const char *text, struct data_facts *out,
              struct wp_error *err);
