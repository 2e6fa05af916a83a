/* Repairing, one directory of caches: which files in it are the tree's own, and what the manifest
 * says of them, as a record for the layout. */

#include "places.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "manifest/zipped_sources.h"
#include "numba/caches.h"
#include "numba/places.h"
#include "numba/zipped.h"
#include "tree/beneath.h"

static bool is_known(const struct layout *l, enum layout_root root, const char *dir)
{
    for (size_t i = 0; i < l->record_count; i++)
        if (l->records[i].root == root && strcmp(l->records[i].dir, dir) == 0 &&
            root != LAYOUT_FOREIGN)
            return true;
    return false;
}

static bool is_here(const struct restore *r, const struct restore_tree *t, const char *source)
{
    bool gone;
    _cleanup_free_ char *path = restore_path(t, source, &gone);

    return path && zipped_sources_exist(r->fd, path);
}

/* Did the archive leave the source out, as one of caches alone does? */
static bool is_absent(const struct restore_tree *t, const char *source)
{
    _cleanup_free_ char *path = zipped_sources_entry(&t->m, source);
    const struct entry *e = path ? manifest_find(&t->m, path) : NULL;

    return e && e->absent;
}

/* What the manifest and the source say of the index that R->files ends with. */
static void judge_file(const struct restore *run, const struct restore_tree *t,
                       struct layout_record *r)
{
    struct layout_file *f = &r->files[r->file_count - 1];
    const struct manifest_index *line = f->is_index ? restore_index_line(t, r->tag, f->name) : NULL;
    const struct restored *source = line && line->source ? restore_file_of(t, line->source) : NULL;

    bool here = source && is_here(run, t, line->source);

    /* An index whose source is gone is lost, but not where that was never to be here: in a tree
     * that came another way, whose modules may be fewer, or out of it. */
    f->was_valid = line && line->valid && source && !source->superseded &&
                   (here ? source->status == RESTORED_SAME || source->status == RESTORED_CHANGED
                         : source->path && !run->grafting && !is_absent(t, line->source));
    f->valid = line && line->valid && here && source->status == RESTORED_SAME;
}

/* From elsewhere only indexes are taken that were valid and whose sources are the same here; from
 * where only a state.jsonl sends us, in directory FD, those that fit the tree. */
static int keep_wanted(struct restore *run, const struct restore_tree *t,
                       const struct restore_place *p, int fd, struct layout_record *r)
{
    _cleanup_free_ bool *wanted = calloc(r->file_count + 1, sizeof *wanted);
    size_t kept = 0;

    if (!wanted)
        return -ENOMEM;
    layout_sort_files(r);
    for (size_t i = 0; i < r->file_count; i++) {
        const struct layout_file *f = &r->files[i];
        size_t count;
        const struct layout_file *files = layout_stem(r, f, &count);

        if (!f->is_index || (p->root == LAYOUT_FOREIGN && !f->valid) ||
            (p->doubted && !restore_fits(run, t, fd, f->name, r->tag)))
            continue;
        for (size_t k = 0; k < count; k++)
            wanted[files - r->files + (ptrdiff_t)k] = true;
    }
    for (size_t i = 0; i < r->file_count; i++) {
        if (wanted[i])
            r->files[kept++] = r->files[i];
        else
            free(r->files[i].name);
    }
    r->file_count = kept;
    return 0;
}

bool restore_is_source(void *ctx, const char *path)
{
    const struct restore *r = ctx;

    return zipped_sources_exist(r->fd, path);
}

/* Does cache file NAME in a directory of DIR's caches belong to a source that T speaks for? In a
 * directory that is shared, what nobody knows is somebody else's. 1, 0 or -ENOMEM. */
static int is_own(struct restore *r, const struct restore_tree *t, const char *name, size_t dir)
{
    _cleanup_free_ char *source = NULL, *zip = NULL;
    const struct restore_tree *owner;
    bool found;

    if (!t->info && r->tree_count + r->damaged_count < 2)
        return 1;
    source = caches_source_of(name, t->dirs[dir].path, restore_is_source, r, &found);
    if (!source)
        return -ENOMEM;
    zip = zipped_file(source);
    owner = restore_owner(r, zip ? zip : source);
    return owner ? owner == t : !t->info;
}

static void remove_empty(int fd, const char *path)
{
    const char *name;
    _cleanup_close_ int parent = beneath_parent(fd, path, &name);

    if (parent >= 0)
        unlinkat(parent, name, AT_REMOVEDIR); /* where it is empty */
}

int restore_place_add(struct restore *run, struct restore_tree *t, const struct restore_place *p,
                      const char *name, size_t dir)
{
    struct layout_record r = {
        .kind = p->kind, .root = p->root, .fd = p->fd, .tag = dir, .zipped = t->dirs[dir].zipped};
    _cleanup_free_ char *path = path_join(p->below, name);
    _cleanup_close_ int fd = -1;
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    int res = 0;

    if (!path)
        return -ENOMEM;
    if (is_known(&t->layout, p->root, path))
        return 0;
    fd = beneath_open(p->fd, path, O_RDONLY | O_DIRECTORY, 0);
    d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        return 0;
    take_fd(&fd);
    while (res >= 0 && (item = readdir(d))) {
        res = caches_is_index(item->d_name) || caches_is_data(item->d_name)
                  ? is_own(run, t, item->d_name, dir)
                  : 0;
        if (res > 0)
            res = layout_add_file(&r, item->d_name, false);
        if (res > 0)
            judge_file(run, t, &r);
    }
    if (res >= 0 && (p->root == LAYOUT_FOREIGN || p->doubted))
        res = keep_wanted(run, t, p, dirfd(d), &r);
    /* A run that was killed has moved everything and not come to this. */
    if (res >= 0 && !r.file_count && p->old && !run->o->dry_run)
        remove_empty(p->fd, path);
    if (res < 0 || !r.file_count) {
        layout_record_clear(&r);
        return res < 0 ? res : 0;
    }
    r.dir = take_ptr(path);
    r.source = strdup(t->dirs[dir].path);
    r.inside = strdup(p->root == LAYOUT_FOREIGN ? "" : p->below);
    if (!r.inside) {
        layout_record_clear(&r);
        return -ENOMEM;
    }
    return layout_add_record(&t->layout, &r);
}

int restore_place_add_hashed(struct restore *r, struct restore_tree *t,
                             const struct restore_place *p, char **bases, const char *relative,
                             size_t dir)
{
    for (char **base = bases; base && *base; base++) {
        _cleanup_free_ char *path = *relative ? path_join(*base, relative) : strdup(*base);
        _cleanup_free_ char *name = path ? places_hash_name(path) : NULL;

        if (!path || (!name && errno != EILSEQ) ||
            (name && restore_place_add(r, t, p, name, dir) < 0))
            return -ENOMEM;
    }
    return 0;
}
