/* Verifying a tree, last step: judges the indexes that were packed and are not judged yet. Numba
 * does not find them either: their directory is still named for an earlier path of the tree, or
 * nobody has taken it out of warmpack's own. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "numba/places.h"
#include "numba/zipped.h"

/* ---- Which have been judged ----------------------------------------------------------------- */

/* The name of an index and its source. Borrowed. */
struct judged {
    const char *source, *name;
};

static int compare_judged(const void *a, const void *b)
{
    const struct judged *x = a, *y = b;
    int c = strcmp(x->source, y->source);

    return c ? c : strcmp(x->name, y->name);
}

/* Lists those of R, sorted. Allocated. */
static struct judged *list_judged(const struct wp_verify_report *r, size_t *count)
{
    struct judged *list = calloc(r->count + 1, sizeof *list);

    *count = 0;
    for (size_t i = 0; list && i < r->count; i++)
        if (r->indexes[i].source)
            list[(*count)++] = (struct judged){.source = r->indexes[i].source,
                                               .name = path_base(r->indexes[i].index)};
    array_sort(list, *count, compare_judged);
    return list;
}

/* ---- Where they lie ---------------------------------------------------------------------- */

/* DIR/NAME, if it is there and for us to see. 1, 0 or negative errno. */
static int look_at(const char *dir, const char *name, char **out)
{
    int r;

    *out = dir ? path_join(dir, name) : NULL;
    if (!*out)
        return -ENOMEM;
    if (access(*out, F_OK) == 0)
        return 1;
    r = error_is_absence(-errno) || errno == EACCES ? 0 : -errno;
    free(take_ptr(*out));
    return r;
}

/* Looks in the cache root of earlier times, in the directory named for what SOURCES, relative to
 * the base of MANIFEST, was then. 1 with *INDEX and *WHY; 0; -ENOMEM. */
static int look_under_old_names(const struct verify_tree *tree,
                                const struct tree_manifest *manifest, const char *sources,
                                const char *name, char **index, char **why)
{
    for (char **base = manifest->old_bases; manifest->old_root && base && *base; base++) {
        _cleanup_free_ char *was = path_append(*base, sources);
        _cleanup_free_ char *hashed = was ? places_hash_name(was) : NULL;
        _cleanup_free_ char *dir = hashed ? path_join(manifest->old_root, hashed) : NULL;
        int r;

        if (!was || (hashed && !dir))
            return -ENOMEM;
        if (!hashed) /* no name that Numba could make */
            continue;
        r = look_at(dir, name, index);
        if (r < 0)
            return r;
        if (r && caches_find(tree->known, hashed))
            r = asprintf(why, "Numba looks there with NUMBA_CACHE_DIR=%s alone",
                         manifest->old_root);
        else if (r)
            r = asprintf(why, "its directory is named for sources in %s", was);
        if (r)
            return r < 0 ? -ENOMEM : 1;
    }
    return 0;
}

/* Looks in the directory that it has in the archive. */
static int look_where_packed(const struct verify_tree *tree, const struct tree_manifest *manifest,
                             const struct manifest_index *line, char **index, char **why)
{
    bool gone;
    _cleanup_free_ char *path = manifest->home ? tree_path(manifest, line->index, &gone) : NULL;
    int r;

    if (!path)
        return manifest->home && !gone ? -ENOMEM : 0;
    r = look_at(tree->dir, path, index);
    if (r == 1 && !(*why = strdup("nobody has put it where Numba looks")))
        return -ENOMEM;
    return r;
}

/* LINE's index of SOURCE, which is not judged yet. 1: it is judged; 0: it is gone. */
static int find_absent(struct verify_tree *tree, const struct tree_manifest *manifest,
                       const struct manifest_index *line, const char *source, struct wp_error *err)
{
    _cleanup_free_ char *sources = path_dir(source);
    _cleanup_free_ char *index = NULL, *why = NULL;
    int r;

    if (!sources)
        return error_nomem(err);
    r = look_under_old_names(
        tree, manifest,
        path_is_under(sources, manifest->base) ? path_from(sources, manifest->base) : sources,
        path_base(line->index), &index, &why);
    if (r == 0)
        r = look_where_packed(tree, manifest, line, &index, &why);
    if (r <= 0)
        return r < 0 ? error_set(err, -r, source, "cannot look for its cache") : 0;
    r = verify_judge_one(tree, index,
                         path_is_under(index, tree->dir) ? path_from(index, tree->dir) : index,
                         sources, why, err);
    return r < 0 ? r : 1;
}

/* ---- All of them ------------------------------------------------------------------------- */

static int judge_absent(struct verify_tree *tree, const struct tree_manifest *manifest,
                        struct wp_error *err)
{
    size_t judged_count, gone = 0;
    _cleanup_free_ struct judged *judged = list_judged(tree->out, &judged_count);
    /* What is judged below does not move these texts. */
    int r = judged ? 0 : error_nomem(err);

    for (size_t i = 0; i < manifest->m.index_count && r == 0; i++) {
        const struct manifest_index *line = &manifest->m.indexes[i];
        bool outside;
        _cleanup_free_ char *source =
            line->valid && line->source ? tree_path(manifest, line->source, &outside) : NULL;
        struct judged key = {.source = source, .name = path_base(line->index)};
        const struct walk_item *item = source ? walk_find(&tree->walk, source) : NULL;
        _cleanup_free_ char *zip = source && !item ? zipped_file(source) : NULL;

        if (zip)
            item = walk_find(&tree->walk, zip);
        if (!item || item->entry.type == ENTRY_DIR ||
            array_find(&key, judged, judged_count, compare_judged))
            continue;
        r = find_absent(tree, manifest, line, source, err);
        gone += r == 0;
        r = r > 0 ? 0 : r;
    }
    if (r == 0 && gone &&
        note_add(tree->out, WP_NOTE_ABSENT, NULL,
                 "%zu of the indexes that were packed %s gone: Numba compiles their code anew",
                 gone, gone == 1 ? "is" : "are") < 0)
        r = error_nomem(err);
    return r;
}

int verify_absent(struct verify_tree *tree, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < tree->trees.count && r == 0; i++)
        r = judge_absent(tree, &tree->trees.list[i], err);
    return r;
}
