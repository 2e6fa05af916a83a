/* Follows symbolic and hard links from one entry of an archive to another. */

#include "links.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "manifest.h"
#include "numba/zipped.h"

enum { MOST_LINKS = 40 }; /* as Linux follows */

static bool is_link(const struct entry *e)
{
    return e && (e->type == ENTRY_SYMLINK || e->type == ENTRY_HARDLINK) && e->target;
}

/* The path that link E leads to, absolute where that lies outside. Allocated; NULL: no memory. */
static char *target_of(const struct entry *e)
{
    _cleanup_free_ char *dir = e->type == ENTRY_SYMLINK ? path_dir(e->path) : strdup("");
    _cleanup_free_ char *joined = dir ? path_join(dir, e->target) : NULL;

    return joined ? path_normalise(joined) : NULL;
}

/* The entry of PATH, or of the zip that it lies in. */
static int find_first(links_lookup *lookup, void *ctx, const char *path, bool *is_end,
                      const struct entry **out)
{
    _cleanup_free_ char *zip = NULL;

    *out = lookup(ctx, path, is_end);
    if (*out)
        return 0;
    zip = zipped_file(path);
    if (!zip)
        return -errno;
    *out = lookup(ctx, zip, is_end);
    return *out && (*out)->type != ENTRY_DIR ? 0 : -ENOENT;
}

/* *OUT, allocated, becomes PATH with the first directory above it that is a symbolic link replaced
 * by what that leads to; NULL: there is none. 0 or -ENOMEM. */
static int leave_directory(links_lookup *lookup, void *ctx, const char *path, char **out)
{
    _cleanup_free_ char *above = strdup(path);

    *out = NULL;
    if (!above)
        return -ENOMEM;
    for (char *slash = strchr(above, '/'); slash; slash = strchr(slash + 1, '/')) {
        bool is_end = false;
        const struct entry *e;

        *slash = '\0';
        e = lookup(ctx, above, &is_end);
        if (e && !is_end && e->type == ENTRY_SYMLINK && e->target) {
            _cleanup_free_ char *dir = target_of(e);
            _cleanup_free_ char *joined = dir ? path_join(dir, slash + 1) : NULL;

            *out = joined ? path_normalise(joined) : NULL;
            return *out ? 0 : -ENOMEM;
        }
        *slash = '/';
    }
    return 0;
}

/* The entry of *PATH, which is owned, through links among the directories above it, each of which
 * counts in *LINKS. */
static int find_next(links_lookup *lookup, void *ctx, char **path, int *links, bool *is_end,
                     const struct entry **out)
{
    while (!(*out = lookup(ctx, *path, is_end))) {
        char *next;
        int r = leave_directory(lookup, ctx, *path, &next);

        if (r < 0 || !next)
            return r < 0 ? r : -EXDEV;
        free(*path);
        *path = next;
        if (++*links >= MOST_LINKS)
            return -ELOOP;
    }
    return 0;
}

int links_follow(links_lookup *lookup, void *ctx, const char *path, const struct entry **out)
{
    const struct entry *e = NULL;
    bool is_end = false;
    int r = find_first(lookup, ctx, path, &is_end, &e);

    *out = NULL;
    for (int links = 0; r == 0 && !is_end && is_link(e); links++) {
        _cleanup_free_ char *next = target_of(e);

        if (!next || links >= MOST_LINKS)
            return next ? -ELOOP : -ENOMEM;
        r = find_next(lookup, ctx, &next, &links, &is_end, &e);
    }
    if (r == 0)
        *out = e;
    return r;
}

static const struct entry *look_up(void *ctx, const char *path, bool *is_end)
{
    (void)is_end;
    return manifest_find(ctx, path);
}

int links_follow_in(const struct manifest *m, const char *path, const struct entry **out)
{
    return links_follow(look_up, (void *)m, path, out);
}
