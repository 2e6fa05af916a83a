/* Tells where the trees of manifests stood when they were packed. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "trees.h"

/* "/srv/build/app/": where the tree with this manifest stood. Allocated. */
static char *packed_root(const struct manifest *m)
{
    const char *path = m->entry_count ? m->entries[0].path : "";
    _cleanup_free_ char *top = strndup(path, strcspn(path, "/"));
    _cleanup_free_ char *root = top ? path_join(m->roots[0], top) : NULL;
    char *out = NULL;

    if (!root || asprintf(&out, "%s/", root) < 0)
        return NULL;
    return out;
}

/* Is the tree T at ROOT now? 1, 0 or -ENOMEM. */
static int is_there(const struct tree_manifest *t, const char *root, char *const *bases)
{
    for (; *bases; bases++) {
        _cleanup_free_ char *now = path_join(*bases, t->base);

        if (!now)
            return -ENOMEM;
        if (strncmp(root, now, strlen(now)) == 0 && strcmp(root + strlen(now), "/") == 0)
            return 1;
    }
    return 0;
}

int trees_find_packed_roots(struct trees *trees, char *const *bases)
{
    for (size_t i = 0; i < trees->count; i++) {
        struct tree_manifest *t = &trees->list[i];
        _cleanup_free_ char *root = packed_root(&t->m);
        int there = root ? is_there(t, root, bases) : -ENOMEM;

        if (there < 0)
            return there;
        if (!there)
            t->packed_root = take_ptr(root);
    }
    return 0;
}

const char *trees_packed_root(const struct trees *trees, const char *path)
{
    const char *best = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < trees->count; i++) {
        const char *base = trees->list[i].base;

        if (path_is_under(path, base) && strlen(base) >= longest) {
            longest = strlen(base);
            best = trees->list[i].packed_root;
        }
    }
    return best;
}
