/* What the manifests of a tree remember: where it was packed, and which caches it came with. */

#include "remembered.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"

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
static int is_there(const struct restore_tree *t, const char *root, char *const *bases)
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

static int remember_roots(struct remembered *m, char *const *bases)
{
    m->packed_roots = calloc(m->found.tree_count + 1, sizeof *m->packed_roots);
    if (!m->packed_roots)
        return -ENOMEM;
    for (size_t i = 0; i < m->found.tree_count; i++) {
        const struct restore_tree *t = &m->found.trees[i];
        char *root = packed_root(&t->m);
        int there = root ? is_there(t, root, bases) : -ENOMEM;

        m->packed_roots[i] = root;
        if (there < 0)
            return there;
        if (there)
            free(take_ptr(m->packed_roots[i]));
    }
    return 0;
}

int remembered_read(struct remembered *out, const char *dir, const char *manifest,
                    char *const *bases, struct wp_error *err)
{
    int r;

    *out = (struct remembered){.options = {.dir = dir, .manifest = manifest}};
    out->found = (struct restore){.o = &out->options,
                                  .dir = dir,
                                  .dir_path = path_absolute(dir),
                                  .fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!out->found.dir_path)
        return error_nomem(err);
    if (out->found.fd < 0)
        return error_set(err, errno, dir, "cannot open directory");
    r = restore_find(&out->found, err);
    return r == 0 && remember_roots(out, bases) < 0 ? error_nomem(err) : r;
}

void remembered_clear(struct remembered *m)
{
    for (size_t i = 0; i < m->found.tree_count; i++) {
        if (m->packed_roots)
            free(m->packed_roots[i]);
        restore_tree_clear(&m->found.trees[i]);
    }
    free(m->packed_roots);
    free(m->found.trees);
    free(m->found.damaged);
    free(m->found.dir_path);
    if (m->options.dir)
        cleanup_close(&m->found.fd);
    *m = (struct remembered){0};
}

const char *remembered_root(const struct remembered *m, const char *path)
{
    const char *best = NULL;
    size_t longest = 0;

    for (size_t i = 0; m->packed_roots && i < m->found.tree_count; i++) {
        const char *base = m->found.trees[i].base;

        if (path_is_under(path, base) && strlen(base) >= longest) {
            longest = strlen(base);
            best = m->packed_roots[i];
        }
    }
    return best;
}
