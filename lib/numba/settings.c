/* Tells which NUMBA_ variables change code. */

#include "settings.h"

#include <stddef.h>
#include <string.h>

bool settings_change_code(const char *variable)
{
    static const char *const harmless[] = {"NUMBA_CACHE_DIR=",   "NUMBA_CACHE_LOCATOR_CLASSES=",
                                           "NUMBA_DEBUG_CACHE=", "NUMBA_NUM_THREADS=",
                                           "NUMBA_WARNINGS=",    "NUMBA_COLOR_SCHEME=",
                                           "NUMBA_TRACE="};

    if (strncmp(variable, "NUMBA_", 6) != 0)
        return false;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (strncmp(variable, harmless[i], strlen(harmless[i])) == 0)
            return false;
    return true;
}
