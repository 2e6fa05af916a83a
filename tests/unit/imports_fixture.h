#pragma once
/* Where in a source an import stands, for tests to tell. */

#include <stddef.h>
#include <stdint.h>

/* The line, from 1, of the byte at AT of a source. */
static inline uint32_t imports_line(const void *source, size_t at)
{
    const unsigned char *data = source;
    uint32_t line = 1;

    for (size_t i = 0; i < at; i++)
        line += data[i] == '\n' || (data[i] == '\r' && data[i + 1] != '\n');
    return line;
}
