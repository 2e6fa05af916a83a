/* Tells which members of an archive a user has named, and which names matched none. */

#include "patterns.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/path.h"

int patterns_begin(struct patterns *p, const char *const *given)
{
    *p = (struct patterns){.given = given};
    while (given && given[p->count])
        p->count++;
    p->clean = calloc(p->count + 1, sizeof *p->clean);
    p->used = calloc(p->count + 1, sizeof *p->used);
    if (!p->clean || !p->used)
        return -ENOMEM;
    for (size_t i = 0; given && i < p->count; i++) {
        p->clean[i] = path_clean(given[i]);
        if (!p->clean[i])
            return -ENOMEM;
    }
    return 0;
}

bool patterns_match(const struct patterns *p, const char *path)
{
    bool yes = !p->given;

    for (size_t i = 0; i < p->count; i++)
        if (fnmatch(p->clean[i], path, FNM_LEADING_DIR) == 0 || path_is_under(path, p->clean[i]))
            yes = p->used[i] = true;
    return yes;
}

void patterns_tell_unused(const struct patterns *p, const struct wp_context *context)
{
    for (size_t i = 0; i < p->count; i++)
        if (!p->used[i])
            report(context, WP_FAILED, p->given[i], "not found in the archive");
}

void patterns_end(struct patterns *p)
{
    for (size_t i = 0; i < p->count && p->clean; i++)
        free(p->clean[i]);
    free(p->clean);
    free(p->used);
    *p = (struct patterns){.count = 0};
}
