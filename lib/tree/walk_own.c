/* The names of what warmpack itself puts into trees. */

#include "walk_own.h"

#include <stdbool.h>
#include <string.h>

/* The directory of manifests in the metadata directory DIR of an egg or a wheel. */
static bool is_own_place(const char *dir, const char *name)
{
    static const char wheel[] = ".dist-info";
    size_t n = strlen(dir), tail = sizeof wheel - 1;

    return strcmp(name, "warmpack") == 0 &&
           (strcmp(dir, "EGG-INFO") == 0 || (n > tail && strcmp(dir + n - tail, wheel) == 0));
}

mode_t walk_own_type(const char *within, const char *name)
{
    static const char own[] = ".warmpack";
    if (is_own_place(within, name))
        return S_IFDIR;
    if (strncmp(name, own, sizeof own - 1) != 0)
        return 0;
    name += sizeof own - 1;
    if (strcmp(name, ".lock") == 0)
        return S_IFREG;
    if (*name == '-' && strlen(name + 1) == 6 &&
        strspn(name + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == 6)
        return S_IFDIR;
    return *name == '\0' ? S_IFDIR : 0;
}
