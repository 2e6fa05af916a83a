/* Tells what a manifest says of caches: the directories of sources, the cache roots inside the
 * tree, and the lines of the indexes of a directory. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "manifest/zipped_sources.h"
#include "trees.h"

/* ---- Source directories ------------------------------------------------------------------ */

/* Takes ARCHIVED over. */
static int add_dir(struct tree_manifest *t, char *archived)
{
    struct source_dir d = {.archived = archived,
                           .zipped = archived && zipped_sources_dir(&t->m, archived)};
    bool gone;

    if (!archived)
        return -ENOMEM;
    /* Sorted by name, the files of a directory mostly follow one another. */
    if (t->dir_count && strcmp(t->dirs[t->dir_count - 1].archived, archived) == 0) {
        free(archived);
        return 0;
    }
    d.path = tree_dir_path(t, archived, &gone);
    if (!d.path || (*d.path && !path_is_safe(d.path)) || array_grow(t->dirs, t->dir_count) < 0) {
        bool failed = !gone && !d.path;

        free(archived);
        free(d.path);
        return failed ? -ENOMEM : 0;
    }
    t->dirs[t->dir_count++] = d;
    return 0;
}

int tree_find_dirs(struct tree_manifest *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->m.entry_count; i++)
        if (path_has_suffix(t->m.entries[i].path, ".py") &&
            add_dir(t, path_dir(t->m.entries[i].path)) < 0)
            return -ENOMEM;
    for (size_t i = 0; i < t->m.cache_count; i++)
        if (add_dir(t, strdup(t->m.caches[i].source)) < 0)
            return -ENOMEM;
    array_sort(t->dirs, t->dir_count, path_compare);
    for (size_t i = 0; i < t->dir_count; i++) {
        if (kept && path_compare(&t->dirs[kept - 1], &t->dirs[i]) == 0) {
            free(t->dirs[i].archived);
            free(t->dirs[i].path);
        } else {
            t->dirs[kept++] = t->dirs[i];
        }
    }
    t->dir_count = kept;
    return 0;
}

/* ---- Lines of the manifest --------------------------------------------------------------- */

static int line_at(const struct tree_manifest *t, const char *dir, const char *name,
                   const struct manifest_index **out)
{
    _cleanup_free_ char *path = path_join(dir, name);

    *out = path ? manifest_find_index(&t->m, path) : NULL;
    return path ? 0 : -ENOMEM;
}

int tree_find_index_line(const struct tree_manifest *t, size_t dir, const char *name,
                         const struct manifest_index **out)
{
    const char *source = t->dirs[dir].archived;
    _cleanup_free_ char *in_tree = path_join(source, "__pycache__");
    int r = in_tree ? line_at(t, in_tree, name, out) : -ENOMEM;

    for (size_t i = 0; i < t->m.cache_count && r == 0 && !(*out && (*out)->valid); i++) {
        const struct manifest_index *line;

        if (strcmp(t->m.caches[i].source, source) != 0)
            continue;
        r = line_at(t, t->m.caches[i].cache, name, &line);
        if (line && (!*out || line->valid))
            *out = line;
    }
    return r;
}

const struct manifest_index *tree_index_line(const struct tree_manifest *t, size_t dir,
                                             const char *name)
{
    const struct manifest_index *line;

    return tree_find_index_line(t, dir, name, &line) == 0 ? line : NULL;
}

/* ---- Cache roots inside the tree --------------------------------------------------------- */

int tree_find_insides(struct tree_manifest *t)
{
    for (size_t i = 0; i < t->m.cache_count && t->foreign < 0; i++) {
        bool gone = false, known = false;
        _cleanup_free_ char *path = t->m.caches[i].kind == MANIFEST_CACHE_INSIDE
                                        ? tree_dir_path(t, t->m.caches[i].cache, &gone)
                                        : strdup("");
        _cleanup_free_ char *root = path && *path ? path_dir(path) : NULL;

        if (!path && !gone)
            return -ENOMEM;
        if (!root || !path_is_safe(path))
            continue;
        for (size_t k = 0; k < t->insides.count && !known; k++)
            known = strcmp(t->insides.v[k], root) == 0;
        if (known)
            continue;
        if (path_list_add(&t->insides, take_ptr(root)) < 0)
            return -ENOMEM;
    }
    return 0;
}
