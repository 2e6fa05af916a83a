/* Loads libarchive when an archive needs it. */

#include "libarchive.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

static struct libarchive functions;
static bool is_loaded;

#ifdef WARMPACK_STATIC

static void load(void)
{
#define LINK(name) functions.name = archive_##name
    LIBARCHIVE_FUNCTIONS(LINK);
    is_loaded = true;
}

#else

#include <dlfcn.h>

_Static_assert(ARCHIVE_VERSION_NUMBER / 1000000 == 3, "libarchive.so.13 is libarchive 3");

/* What dlsym gives is no function to C. */
#define LOAD(name)                                                                                 \
    *(void **)&functions.name = dlsym(library, "archive_" #name);                                  \
    has_all &= functions.name != NULL

static void load(void)
{
    void *library = dlopen("libarchive.so.13", RTLD_NOW | RTLD_LOCAL);
    bool has_all = true;

    if (!library)
        return;
    LIBARCHIVE_FUNCTIONS(LOAD);
    is_loaded = has_all;
}

#endif

const struct libarchive *libarchive_load(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return is_loaded ? &functions : NULL;
}
