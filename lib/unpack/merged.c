/* Unpacking a part of an archive, or with files that stay (-k), onto a tree that is there already:
 * an index is taken only where its source, and all that its code came from, will have the content
 * that was packed. Numba compares the source alone, by time and size. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "job.h"
#include "manifest/depends.h"
#include "manifest/links.h"
#include "numba/caches.h"
#include "tree/behind.h"
#include "tree/beneath.h"

/* ---- What will be there ------------------------------------------------------------------ */

/* Will PATH be what the archive has of that name? */
static bool is_taken(const struct unpack *unpack, const char *path)
{
    const struct unpacked *item = unpack_find(unpack, path);
    struct stat st;

    return item && !item->skipped &&
           !(unpack->o->keep_old && beneath_stat(unpack->target, path, &st) == 0);
}

/* Will what ARCHIVED leads to have the content of entry E? */
static int will_be(const struct unpack *unpack, const char *archived, const struct entry *e)
{
    bool gone;
    _cleanup_free_ char *path = unpack_name(unpack, archived, &gone);
    int r;

    if (!path)
        return gone ? 0 : -ENOMEM;
    if (is_taken(unpack, path))
        return unpack_find(unpack, path)->e.type != ENTRY_SYMLINK || strcmp(archived, e->path) == 0
                   ? 1
                   : will_be(unpack, e->path, e);
    r = e->has_sha256 ? behind_has_content(unpack->target, path, e->sha256) : 0;
    return r < 0 && r != -ENOMEM ? 0 : r; /* what cannot be read is not known to be the same */
}

/* Will ARCHIVED be a symbolic link with that target? */
static int will_be_link(const struct unpack *unpack, const char *archived, const char *target)
{
    bool gone;
    _cleanup_free_ char *path = unpack_name(unpack, archived, &gone);
    int r;

    if (!path)
        return gone ? 0 : -ENOMEM;
    r = is_taken(unpack, path) ? 1 : behind_is_link_to(unpack->target, path, target);
    return r < 0 ? 0 : r;
}

/* Of a link that leads out of the archive no content was recorded; what Numba finds there is its
 * own business, as for other packages. */
static int is_same(void *ctx, const char *archived)
{
    const struct unpack *unpack = ctx;
    const char *target = manifest_dirlink(&unpack->manifest, archived);
    const struct entry *e;
    int r;

    if (target)
        return will_be_link(unpack, archived, target);
    r = links_follow_in(&unpack->manifest, archived, &e);
    if (r < 0)
        return r == -EXDEV ? 1 : r == -ENOMEM ? r : 0;
    return will_be(unpack, manifest_find(&unpack->manifest, archived) ? archived : e->path, e);
}

/* ---- What is left out -------------------------------------------------------------------- */

/* Will there be a source of index LINE? Without one nothing can load it, and it stays as with tar.
 * 1, 0 or -ENOMEM. */
static int has_source(const struct unpack *unpack, const struct manifest_index *line)
{
    const struct entry *e;
    int r = line->source ? links_follow_in(&unpack->manifest, line->source, &e) : -ENOENT;
    bool gone;
    _cleanup_free_ char *path = r == 0 ? unpack_name(unpack, e->path, &gone) : NULL;
    struct stat st;

    if (r == -ENOMEM || (r == 0 && !path && !gone))
        return -ENOMEM;
    return path && (is_taken(unpack, path) || behind_look(unpack->target, path, &st) != 0);
}

struct leaving {
    struct unpack *unpack;
    const char **why; /* by number of the manifest's indexes: what has changed, or NULL */
    bool *out;        /* those that are taken out */
};

static int judge_line(struct leaving *l, size_t i)
{
    const struct manifest_index *line = &l->unpack->manifest.indexes[i];
    int r = has_source(l->unpack, line);

    if (r == 0)
        l->why[i] = NULL;
    else if (r > 0 && !l->why[i] && (r = is_same(l->unpack, line->source)) == 0)
        l->why[i] = line->source;
    return r < 0 ? r : 0;
}

/* Takes out the indexes; *COUNT and *ALL of those that would have come and were valid. */
static int leave_indexes(struct leaving *l, const char **told, size_t *count, size_t *all,
                         struct wp_error *err)
{
    struct unpack *unpack = l->unpack;
    int r = 0;

    for (size_t i = 0; i < unpack->count && r == 0; i++) {
        struct unpacked *item = unpack->items[i];
        const struct manifest_index *line =
            item->skipped || !caches_is_index(item->e.path)
                ? NULL
                : manifest_find_index(&unpack->manifest, unpack_archived(item));
        size_t number = line ? (size_t)(line - unpack->manifest.indexes) : 0;

        if (!line || !line->valid)
            continue;
        ++*all;
        if (judge_line(l, number) < 0)
            return error_nomem(err);
        if (!l->why[number])
            continue;
        l->out[number] = true;
        told[(*count)++] = l->why[number];
        report(unpack->a->context, WP_DETAIL, item->e.path, "is left out: %s changed",
               l->why[number]);
        r = unpack_remove(unpack, item, err);
    }
    return r;
}

/* Data files go with their index. */
static int leave_data(const struct leaving *l, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < l->unpack->count && r == 0; i++) {
        struct unpacked *item = l->unpack->items[i];
        struct unpacked *index = NULL;
        const struct manifest_index *line;

        if (!item->skipped && !caches_is_index(item->e.path) &&
            unpack_index_of(l->unpack, item, &index) < 0)
            return error_nomem(err);
        line = index ? manifest_find_index(&l->unpack->manifest, unpack_archived(index)) : NULL;
        if (line && l->out[line - l->unpack->manifest.indexes])
            r = unpack_remove(l->unpack, item, err);
    }
    return r;
}

int unpack_leave_out(struct unpack *unpack, struct wp_error *err)
{
    size_t indexes = unpack->manifest.index_count, count = 0, all = 0;
    _cleanup_free_ const char **why = NULL, **told = NULL;
    _cleanup_free_ bool *out = NULL;
    struct leaving l = {.unpack = unpack};
    int r;

    if (!unpack->o->keep_old && !unpack_is_selection(unpack))
        return 0; /* all of it comes, and is what was packed */
    r = manifest_changed(&unpack->manifest, is_same, unpack, &why, err);
    if (r < 0)
        return r == -ENOMEM ? error_nomem(err) : r;
    told = calloc(indexes + 1, sizeof *told);
    out = calloc(indexes + 1, sizeof *out);
    if (!told || !out)
        return error_nomem(err);
    l.why = why;
    l.out = out;
    r = leave_indexes(&l, told, &count, &all, err);
    if (r == 0 && count)
        r = leave_data(&l, err);
    if (r == 0)
        manifest_tell_left_out(unpack->a->context, told, count, all);
    unpack->result->left_out += count;
    return r;
}
