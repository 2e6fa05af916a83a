#pragma once
/* The module warmpack.locator, which lets Numba take caches from where they lie. */

#include <stdbool.h>

/* Is warmpack's the only class that LOCATORS, the value of NUMBA_CACHE_LOCATOR_CLASSES, names? Then
 * Numba's own places count as well. */
bool locator_is_alone(const char *locators);
