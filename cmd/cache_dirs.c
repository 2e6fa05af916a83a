/* Finds the roots of hashed caches that a verb is to look into. */

#include "cache_dirs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "message.h"
#include "text.h"

/* DIR is a directory: added, once. A default that does not exist is no error. */
static int add(struct string_list *dirs, const char *dir, bool is_default)
{
    struct stat st, other;
    int failed = stat(dir, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;

    if (failed && is_default)
        return 0;
    if (failed)
        return message_error("%s: cannot use as --cache-dir: %s", dir, strerror(failed));
    for (size_t i = 0; i < dirs->count; i++) {
        if (stat(dirs->v[i], &other) == 0 && other.st_dev == st.st_dev && other.st_ino == st.st_ino)
            return 0;
    }
    return string_list_add(dirs, dir) ? message_no_memory() : 0;
}

int cache_dirs_add(struct string_list *dirs, const struct args *a)
{
    _cleanup_free_ char *user_wide = NULL;
    const char *set = getenv("NUMBA_CACHE_DIR");
    struct wp_error err = {0};
    int rc = 0;

    if (a->no_cache_dir)
        return 0;
    for (size_t i = 0; i < a->cache_dirs.count && !rc; i++)
        rc = add(dirs, a->cache_dirs.v[i], false);
    if (a->cache_dirs.count)
        return rc;

    if (set && *set)
        rc = add(dirs, set, true);
    user_wide = rc ? NULL : wp_user_wide_cache_dir(NULL, &err);
    if (user_wide)
        rc = add(dirs, user_wide, true);
    return rc;
}
