#pragma once
/* Numba's settings in a file: .numba_config.yaml. */

#include <stddef.h>

/* Reads TEXT, SIZE bytes, as lines of "name: value", and calls EACH with every name as that of a
 * variable, NUMBA_NAME, and its value. 0, EACH's negative errno, or the number of the first line
 * that is other YAML; then EACH was called for lines before it. */
int config_file_parse(const char *text, size_t size,
                      int (*each)(void *ctx, const char *name, const char *value), void *ctx);
