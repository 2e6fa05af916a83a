#pragma once
/* Compiled files of Python (.pyc, PEP 552) beside the sources that they were made of. */

#include <stddef.h>

/* The header of a compiled file, in bytes, and where in it the source's time in seconds lies, if
 * it has no digest of the source instead. */
enum { COMPILED_HEADER = 16, COMPILED_MTIME = 8 };
enum { COMPILED_LARGEST = 1 << 28 }; /* bytes of one that is looked at */

/* The source of "DIR/k.pyc" or of "DIR/__pycache__/k.cpython-311.pyc". Allocated; NULL: PATH is
 * neither (errno is 0), or no memory. */
char *compiled_source(const char *path);
