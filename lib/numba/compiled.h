#pragma once
/* Compiled files of Python (.pyc, PEP 552) beside the sources that they were made of. */

#include <stdint.h>
#include <time.h>

#include "base/buf.h"

/* What a compiled file begins with; all numbers are little-endian. */
struct compiled_header {
    uint32_t magic;
    uint32_t flags; /* not 0: it has a digest of the source in place of these: */
    uint32_t mtime; /* the source's time in seconds */
    uint32_t size;
};
enum { COMPILED_LARGEST = 1 << 28 }; /* bytes of one that is looked at */

/* The source of "DIR/k.pyc" or of "DIR/__pycache__/k.cpython-311.pyc". Allocated; NULL: PATH is
 * neither (errno is 0), or no memory. */
char *compiled_source(const char *path);

/* Puts MTIME into the header that TEXT begins with. */
void compiled_set_mtime(struct buf *text, struct timespec mtime);
