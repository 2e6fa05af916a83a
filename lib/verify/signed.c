/* Verifies that a tree and the caches that Numba would load for it are what was signed. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "restore/relocate.h"
#include "trees/signed.h"

static int check_index(const struct verify_tree *tree, const struct trees_signed *s,
                       const struct wp_index_status *found, struct wp_error *err)
{
    _cleanup_free_ char *path = path_append(tree->dir, found->index);
    _cleanup_free_ char *dir = NULL;
    _cleanup_close_ int fd = -1;

    if (found->index[0] == '/') {
        free(path);
        path = strdup(found->index);
    }
    dir = path ? path_dir(path) : NULL;
    if (!dir)
        return error_nomem(err);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, errno, dir, "cannot open directory");
    return trees_signed_index(s, found->source, fd, path_base(path), found->index, err);
}

/* Has relocating made the file, for this place? */
static int is_relocated(void *ctx, const struct tree_manifest *t, const struct entry *e,
                        const char *path)
{
    const struct verify_tree *tree = ctx;
    struct relocation r = {.context = tree->context,
                           .fd = tree->trees.fd,
                           .t = t,
                           .now = tree->bases[0],
                           .always = true,
                           .packed_only = true};

    return relocation_knows(&r, e, path);
}

int verify_signed(struct verify_tree *tree, struct wp_error *err)
{
    _cleanup_(trees_signed_clear) struct trees_signed s = {0};
    int r;

    if (!tree->trust.count)
        return 0;
    r = trees_signed_begin(&s, &tree->trees, err);
    if (r == 0)
        r = trees_signed_files(&s, is_relocated, tree, err);
    for (size_t i = 0; i < tree->out->count && r == 0; i++) {
        r = context_check(tree->context, err);
        if (r == 0)
            r = check_index(tree, &s, &tree->out->indexes[i], err);
    }
    return r;
}
