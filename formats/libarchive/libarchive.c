#include "libarchive.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef WARMPACK_STATIC

const struct libarchive *libarchive_load(void)
{
    static struct libarchive linked;

#define LINK(name) linked.name = archive_##name
    LIBARCHIVE_FUNCTIONS(LINK);
    return &linked;
}

#else

#include <dlfcn.h>
#include <pthread.h>

_Static_assert(ARCHIVE_VERSION_NUMBER / 1000000 == 3, "libarchive.so.13 is libarchive 3");

static struct libarchive functions;
static bool is_loaded;

/* What dlsym gives is no function to C. */
#define LOAD(name)                                                                                 \
    *(void **)&functions.name = dlsym(library, "archive_" #name);                                  \
    found &= functions.name != NULL

static void load(void)
{
    void *library = dlopen("libarchive.so.13", RTLD_NOW | RTLD_LOCAL);
    bool found = library != NULL;

    if (library) {
        LIBARCHIVE_FUNCTIONS(LOAD);
    }
    is_loaded = found;
}

const struct libarchive *libarchive_load(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return is_loaded ? &functions : NULL;
}

#endif
