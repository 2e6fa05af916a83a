/* Verifying a tree: whether the files that an index was compiled with have the content that a
 * manifest records. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/path.h"
#include "judge/as_packed.h"
#include "manifest/depends.h"
#include "manifest/links.h"
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

/* A line of a manifest that tells of an index. */
struct told {
    size_t manifest;
    const struct manifest_index *line;
};

/* The index that is judged, and who tells of it. */
struct known {
    const char *path; /* on disk */
    struct buf text;
    struct index index;
    struct told *told; /* owned */
    size_t count;
};

static void known_clear(struct known *k)
{
    free(k->told);
    index_clear(&k->index);
    buf_free(&k->text);
}

/* Adds the line of manifest number M for sources in its directory DIR, if it is of this index as it
 * is: given that name, and of other content, it is none. */
static int add_line(const struct looking *l, struct known *k, size_t m, size_t dir)
{
    const struct tree_manifest *t = &l->tree->trees.list[m];
    const struct manifest_index *line = NULL;
    int r = tree_find_index_line(t, dir, path_base(k->path), &line);

    if (r == 0 && line && line->valid)
        r = as_packed_index(&k->index, &k->text, &t->m, line);
    return r > 0 ? array_add(k->told, k->count, (struct told){.manifest = m, .line = line}) : r;
}

/* Finds who tells of the index, of sources in DIR. 0 or -ENOMEM. */
static int find_lines(const struct looking *l, struct known *k, const char *dir)
{
    const struct trees *trees = &l->tree->trees;
    int r = 0;

    for (size_t m = 0; m < trees->count && r == 0; m++)
        for (size_t i = 0; i < trees->list[m].dir_count && r == 0; i++)
            if (strcmp(trees->list[m].dirs[i].path, dir) == 0)
                r = add_line(l, k, m, i);
    return r;
}

/* Keeps those whose data it has, of several releases: the indexes of two may differ in their stamps
 * alone. 0 or negative errno. */
static int keep_those_with_its_data(const struct looking *l, struct known *k)
{
    size_t kept = 0;

    for (size_t i = 0; i < k->count; i++) {
        const struct told t = k->told[i];
        int r = as_packed_data(AT_FDCWD, k->path, &k->index, &l->tree->trees.list[t.manifest].m,
                               t.line);

        if (r < 0)
            return r;
        if (r > 0)
            k->told[kept++] = t;
    }
    k->count = kept;
    return 0;
}

static int read_known(struct known *k, struct wp_error *err)
{
    int r = file_read(k->path, INDEX_LARGEST, &k->text, NULL);

    /* Times must not judge what content could not. */
    if (r < 0 && !error_is_absence(r) && !file_is_unfit(r))
        return error_set(err, -r, k->path, "cannot be read");
    if (r == 0)
        r = index_read(&k->index, k->text.data, k->text.size, NULL);
    return r == -ENOMEM ? error_nomem(err) : r == 0;
}

int outdated_by_content(struct looking *l, const struct wp_index_status *s, const char **changed,
                        struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(s->source), *path = outdated_index_path(l, s);
    _cleanup_(known_clear) struct known known = {.path = path};
    int r = dir && path ? read_known(&known, err) : error_nomem(err);

    if (r <= 0)
        return r;
    r = find_lines(l, &known, dir);
    if (r == 0 && known.count > 1)
        r = keep_those_with_its_data(l, &known);
    if (r < 0)
        return error_set(err, -r, path, "cannot be compared with what was packed");
    for (size_t i = 0; i < known.count; i++) {
        r = ask_manifest(l, known.told[i].manifest, known.told[i].line, changed, err);
        if (r < 0 || !*changed)
            return r < 0 ? r : 1;
    }
    return known.count > 0;
}
