/* Matches patterns of --exclude as GNU tar does: a pattern matches where it matches any run of
 * whole components; its wildcards match slashes, too. */

#include <fnmatch.h>
#include <string.h>

#include "walk.h"

static bool literal_match(const char *path, const char *pattern, size_t n)
{
    return strncmp(path, pattern, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static bool pattern_match(const char *path, const char *pattern)
{
    size_t n = strcspn(pattern, "*?[\\");
    bool literal = pattern[n] == '\0';

    /* A leading star takes in whatever lies before a later component. */
    if (pattern[0] == '*')
        return fnmatch(pattern, path, FNM_LEADING_DIR) == 0;
    for (const char *p = path;; p++) {
        if (literal ? literal_match(p, pattern, n)
                    : strncmp(p, pattern, n) == 0 && fnmatch(pattern, p, FNM_LEADING_DIR) == 0)
            return true;
        p = strchr(p, '/');
        if (!p)
            return false;
    }
}

bool walk_excluded(const char *path, const char *const *patterns)
{
    for (; patterns && *patterns; patterns++)
        if (pattern_match(path, *patterns))
            return true;
    return false;
}
