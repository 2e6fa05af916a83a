/* Tells which of Numba's settings, NUMBA_ variables, change the code that it makes. */

#include "settings.h"

#include <stddef.h>
#include <string.h>

/* One that ends with "_" is the beginning of names. Source: numba/core/config.py. What is not
 * listed, as a setting of a later Numba, is taken for one that changes code. */
static const char *const harmless[] = {
    "ALWAYS_WARN_UNINIT_VAR",
    "CACHE_DIR",
    "CACHE_LOCATOR_CLASSES",
    "CAPTURED_ERRORS",
    "CHROME_TRACE",
    "COLOR_SCHEME",
    "CUDA_LOG_API_ARGS",
    "CUDA_LOG_LEVEL",
    "CUDA_LOW_OCCUPANCY_WARNINGS",
    "CUDA_WARN_ON_IMPLICIT_COPY",
    "DEBUG_ARRAY_OPT_STATS",
    "DEBUG_CACHE",
    "DEBUG_FRONTEND",
    "DEBUG_INLINE_CLOSURE",
    "DEBUG_PRINT_",
    "DEBUG_TYPEINFER",
    "DEVELOPER_MODE",
    "DISABLE_ERROR_MESSAGE_HIGHLIGHTING",
    "DISABLE_PERFORMANCE_WARNINGS",
    "DUMP_",
    "FULL_TRACEBACKS",
    "FUNCTION_CACHE_SIZE",
    "GDB_BINARY",
    "HIGHLIGHT_DUMPS",
    "LLVM_PASS_TIMINGS",
    "NUM_THREADS",
    "PARALLEL_DIAGNOSTICS",
    "SHOW_HELP",
    "THREADING_LAYER",
    "THREADING_LAYER_PRIORITY",
    "TRACE",
    "WARNINGS",
};

/* Settings to what they are without. */
static const char *const defaults[] = {
    "DEBUG=0",
    "DEBUGINFO=0",
    "DEBUG_ARRAY_OPT=0",
    "DEBUG_ARRAY_OPT_RUNTIME=0",
    "DEBUG_JIT=0",
    "DEBUG_NRT=0",
    "DISABLE_INTEL_SVML=0",
    "DISABLE_JIT=0",
    "ENABLE_CUDASIM=0",
    "ENABLE_PROFILING=0",
    "EXTEND_VARIABLE_LIFETIMES=0",
    "LLVM_REFPRUNE_FLAGS=all",
    "LLVM_REFPRUNE_PASS=1",
    "LOOP_VECTORIZE=1",
    "OPT=3",
    "PARFOR_MAX_TUPLE_SIZE=100",
};

static bool is_harmless(const char *variable)
{
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        size_t n = strlen(harmless[i]);

        if (strncmp(variable, harmless[i], n) == 0 &&
            (harmless[i][n - 1] == '_' || variable[n] == '=' || !variable[n]))
            return true;
    }
    return false;
}

bool settings_change_code(const char *variable)
{
    static const char prefix[] = "NUMBA_";

    if (strncmp(variable, prefix, strlen(prefix)) != 0)
        return false;
    variable += strlen(prefix);
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (strcmp(variable, defaults[i]) == 0)
            return false;
    return !is_harmless(variable);
}
