/* Tells what a manifest calls things: where manifests lie, and how names of the archive become
 * paths of the tree. */

#include <string.h>

#include "base/path.h"
#include "trees.h"

/* The one directory in which everything of the manifest lies. Allocated; "" where there is none,
 * NULL on no memory. */
static char *single_top(const struct manifest *m)
{
    const char *first = m->entry_count ? m->entries[0].path : "";
    size_t n = strcspn(first, "/");

    for (size_t i = 0; i < m->entry_count; i++) {
        const char *path = m->entries[i].path;

        if (strncmp(path, first, n) != 0 || (path[n] && path[n] != '/') ||
            (!path[n] && m->entries[i].type != ENTRY_DIR))
            return strdup("");
    }
    return strndup(first, n);
}

char *trees_archive_prefix(const struct manifest *m)
{
    int n = m->home ? own_home_prefix(m->home) : -1;

    return n >= 0 ? strndup(m->home, (size_t)n) : single_top(m);
}

/* The name that installers give ARCHIVED: PATH for "NAME.data/purelib/PATH" of a wheel; NULL for
 * scripts, headers and data, which go out of the tree. Other names stay. */
static const char *installed_name(const struct tree_manifest *t, const char *archived)
{
    size_t n = strcspn(archived, "/");

    if (!t->info || n <= 5 || strncmp(archived + n - 5, ".data", 5) != 0)
        return archived;
    archived += n + (archived[n] == '/');
    if (strncmp(archived, "purelib/", 8) == 0 || strncmp(archived, "platlib/", 8) == 0)
        return archived + 8;
    return NULL;
}

static char *find_path(const struct tree_manifest *t, const char *archived,
                       const char *strip(const char *path, unsigned n), bool *gone)
{
    const char *name = installed_name(t, archived);
    const char *left = name ? strip(name, t->strip) : NULL;

    *gone = !left;
    return left ? path_append(t->base, left) : NULL;
}

char *tree_path(const struct tree_manifest *t, const char *archived, bool *gone)
{
    return find_path(t, archived, path_strip, gone);
}

char *tree_dir_path(const struct tree_manifest *t, const char *archived, bool *gone)
{
    return find_path(t, archived, path_strip_dir, gone);
}
