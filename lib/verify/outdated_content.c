/* Verifying a tree: whether the files that an index was compiled with have the content that a
 * manifest records. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/path.h"
#include "manifest/depends.h"
#include "manifest/links.h"
#include "numba/index.h"
#include "outdated.h"
#include "tree/behind.h"

struct comparing {
    const struct verify_tree *tree;
    const struct tree_manifest *m;
    struct wp_error *err;
};

/* Has PATH of the archive the content here that was packed? Of a link that leads out of the archive
 * nobody has recorded any. 1, 0 or negative errno: an error is no change. */
static int is_same(void *ctx, const char *path)
{
    const struct comparing *c = ctx;
    const char *target = manifest_dirlink(&c->m->m, path);
    const struct entry *e;
    int r = links_follow_in(&c->m->m, path, &e);
    bool gone;
    _cleanup_free_ char *here = tree_path(c->m, path, &gone);
    _cleanup_free_ char *full = NULL;
    _cleanup_close_ int fd = -1;

    if (target && here) {
        full = path_join(c->tree->dir, here);
        r = full ? behind_is_link_to(AT_FDCWD, full, target) : -ENOMEM;
        return r < 0 && r != -ENOMEM ? error_set(c->err, -r, full, "cannot be read") : r;
    }
    if (r == -EXDEV || r == -ENOMEM)
        return r == -EXDEV ? 1 : r;
    if (!here)
        return gone ? 0 : -ENOMEM;
    if (!e || !e->has_sha256)
        return 0;
    full = path_join(c->tree->dir, here);
    if (!full)
        return -ENOMEM;
    fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    r = fd < 0 ? -errno : sha256_file_is(fd, e->sha256);
    if (r >= 0 || r == -ENOMEM)
        return r;
    return error_is_absence(r) || r == -ELOOP || file_is_unfit(r)
               ? 0
               : error_set(c->err, -r, full, "cannot be read");
}

/* Is it, but for its stamp, byte for byte the index that was packed? 1, 0 or -ENOMEM. */
static int is_as_packed(const struct buf *text, const struct manifest *m,
                        const struct manifest_index *line)
{
    const struct entry *packed = manifest_find(m, line->index);
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_buf_ struct buf back = {0};
    int r;

    if (!packed || !packed->has_sha256 || !line->has_stamp)
        return 0;
    r = index_read(&index, text->data, text->size, NULL);
    if (r == 0)
        r = index_restamp(&index, text->data, text->size, &line->stamp, &back, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    return sha256_is(back.data, back.size, packed->sha256);
}

/* Asks manifest number K what it says of its index LINE. 0 or negative errno. */
static int ask_manifest(struct looking *l, size_t k, const struct manifest_index *line,
                        const char **changed, struct wp_error *err)
{
    struct tree_manifest *m = &l->tree->trees.list[k];
    struct comparing c = {.tree = l->tree, .m = m, .err = err};
    int r = 0;

    if (!l->changed[k])
        r = manifest_changed(&m->m, is_same, &c, &l->changed[k], err);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r == 0)
        *changed = l->changed[k][line - m->m.indexes];
    return r;
}

int outdated_by_content(struct looking *l, const struct wp_index_status *s, const char **changed,
                        struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(s->source), *path = outdated_index_path(l, s);
    _cleanup_buf_ struct buf text = {0};
    int r = dir && path ? file_read(path, INDEX_LARGEST, &text, NULL) : -ENOMEM;

    /* Times must not judge what content could not. */
    if (!dir || !path)
        return error_nomem(err);
    if (r < 0 && !error_is_absence(r) && !file_is_unfit(r))
        return error_set(err, -r, path, "cannot be read");
    r = 0;
    for (size_t k = 0; k < l->tree->trees.count && r == 0; k++) {
        struct tree_manifest *m = &l->tree->trees.list[k];

        for (size_t i = 0; i < m->dir_count; i++) {
            const struct manifest_index *line = NULL;

            if (strcmp(m->dirs[i].path, dir) == 0 &&
                tree_find_index_line(m, i, path_base(s->index), &line) < 0)
                return error_nomem(err);
            r = line && line->valid ? is_as_packed(&text, &m->m, line) : 0;
            if (r < 0)
                return error_nomem(err);
            if (r == 0)
                continue;
            r = ask_manifest(l, k, line, changed, err);
            return r < 0 ? r : 1;
        }
    }
    return r;
}
