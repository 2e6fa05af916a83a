#pragma once
/* Numba's settings in the environment. */

#include <stdbool.h>

/* Does "NAME=VALUE" change the code that Numba makes, though no key tells? Not where VALUE is what
 * Numba takes without. */
bool settings_change_code(const char *variable);
