/* Repairing, one directory of caches: tells which files in it are the tree's own, and what the
 * manifest says of them, as a record for the layout. */

#include "job.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "layout/restamp.h"
#include "manifest/zipped_sources.h"
#include "numba/caches.h"
#include "numba/places.h"
#include "numba/zipped.h"
#include "tree/beneath.h"

static bool is_known(const struct layout *l, enum layout_root root, const char *dir)
{
    for (size_t i = 0; i < l->record_count; i++)
        if (l->records[i].root == root && strcmp(l->records[i].dir, dir) == 0 &&
            root != LAYOUT_FOREIGN && !l->records[i].staged)
            return true;
    return false;
}

static bool is_here(const struct restore *restore, const struct repair *repair, const char *source)
{
    bool gone;
    _cleanup_free_ char *path = tree_path(repair->t, source, &gone);

    return path && zipped_sources_exist(restore->fd, path);
}

/* Did the archive leave the source out, as one of caches alone does? */
static bool is_absent(const struct tree_manifest *t, const char *source)
{
    _cleanup_free_ char *path = zipped_sources_entry(&t->m, source);
    const struct entry *e = path ? manifest_find(&t->m, path) : NULL;

    return e && e->absent;
}

/* What the manifest and the source say of the index that R->files ends with, in directory FD. 0 or
 * negative errno. */
static int judge_file(const struct restore *restore, const struct repair *repair, int fd,
                      struct layout_record *r)
{
    struct layout_file *f = &r->files[r->file_count - 1];
    const struct manifest_index *line =
        f->is_index ? tree_index_line(repair->t, r->tag, f->name) : NULL;
    const struct restored *source =
        line && line->source ? restore_file_of(repair, line->source) : NULL;

    bool here = source && is_here(restore, repair, line->source);

    /* An index whose source is gone is lost, but not where that was never to be here: in a tree
     * that came another way, whose modules may be fewer, or out of it. */
    f->was_valid =
        line && line->valid && source && !source->superseded &&
        (here ? source->status != RESTORED_NONE /* a link in its place is there, too */
              : source->path && !restore->grafting && !is_absent(repair->t, line->source));
    f->valid = line && line->valid && here && source->status == RESTORED_SAME;
    f->stays = source && source->status == RESTORED_HELD;
    if (f->valid && source->facts) {
        const struct restamp_source now = {
            .now = source->before, .before = source->before, .packed = source->facts};

        /* Another one of that name may lie in its place, of an earlier source. */
        int other = restamp_is_other(fd, f->name, &now, &repair->t->m, line);

        f->valid = other == 0;
        return other < 0 ? other : 0;
    }
    /* What only a look at all of the tree tells is not found out again. */
    int same = line && !line->valid ? restamp_is_packed(fd, f->name, &repair->t->m, line) : 0;

    f->packed = same > 0 ? line : NULL;
    return same < 0 ? same : 0;
}

static bool is_of_source(void *ctx, const char *archived, const struct wp_stamp *stamp)
{
    const struct restored *f = restore_file_of(ctx, archived);
    const struct entry *e = f && f->status >= RESTORED_SAME ? f->facts : NULL;

    return e && (stamp_matches(stamp, e->mtime, e->size, e->sha256) == 1 ||
                 stamp_matches(stamp, f->before, e->size, e->sha256) == 1);
}

static struct tree_trust make_trust(const struct restore *restore, const struct repair *repair)
{
    return (struct tree_trust){.trees = &restore->trees,
                               .t = repair->t,
                               .is_of_source = is_of_source,
                               .ctx = (void *)repair};
}

int restore_believe(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    struct tree_trust trust = make_trust(restore, repair);
    int r = tree_find_dirs(repair->t) < 0 ? error_nomem(err) : 0;

    if (r == 0)
        r = tree_trusts_old_root(&trust, restore->roots, restore->o->cache_dir, restore->context,
                                 err);
    repair->root_away = r == TREE_ROOT_AWAY;
    if (r == 0 || r == TREE_ROOT_AWAY)
        free(take_ptr(repair->t->old_root));
    return r < 0 ? r : 0;
}

/* From elsewhere only indexes are taken that were valid and whose sources are the same here; from
 * where only a state.jsonl sends us, in directory FD, those that fit the tree. */
static int keep_wanted(struct restore *restore, const struct repair *repair,
                       const struct restore_place *p, int fd, struct layout_record *r)
{
    const struct tree_trust trust = make_trust(restore, repair);
    _cleanup_free_ bool *wanted = calloc(r->file_count + 1, sizeof *wanted);
    size_t kept = 0;

    if (!wanted)
        return -ENOMEM;
    layout_sort_files(r);
    for (size_t i = 0; i < r->file_count; i++) {
        const struct layout_file *f = &r->files[i];
        size_t count;
        const struct layout_file *files = layout_stem(r, f, &count);

        int fits = !f->is_index || (p->root == LAYOUT_FOREIGN && !f->valid) ? 0 : 1;

        if (fits && p->doubted)
            fits = tree_fits(&trust, fd, f->name, r->tag);
        if (fits == -EACCES)
            continue; /* somebody else's: it stays where it is */
        if (fits < 0)
            return fits;
        if (!fits)
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
    const struct restore *restore = ctx;

    return zipped_sources_exist(restore->fd, path);
}

/* Does cache file NAME in a directory of DIR's caches belong to a source that T speaks for? In a
 * directory that is shared, what nobody knows is somebody else's. 1, 0 or -ENOMEM. */
static int is_own(struct restore *restore, const struct repair *repair, const char *name,
                  size_t dir)
{
    const struct tree_manifest *t = repair->t;
    _cleanup_free_ char *source = NULL, *zip = NULL;
    const struct restore_owner *owner;
    bool found;

    if (!t->info && restore->trees.count + restore->trees.damaged_count < 2)
        return 1;
    source = caches_source_of(name, t->dirs[dir].path, restore_is_source, restore, &found);
    if (!source)
        return -ENOMEM;
    zip = zipped_file(source);
    owner = restore_owner(restore, zip ? zip : source);
    return owner ? &restore->repairs[owner->tree] == repair : !t->info;
}

/* Adds the files in D that are the tree's own to RECORD. 0 or negative errno. */
static int list_files(struct restore *restore, struct repair *repair, DIR *d, size_t dir,
                      struct layout_record *record)
{
    struct dirent *item;
    int r = 0, more;

    while (r >= 0 && (more = file_next(d, &item)) != 0) {
        if (more < 0)
            return more;
        r = caches_is_part(item->d_name) ? is_own(restore, repair, item->d_name, dir) : 0;
        if (r > 0)
            r = layout_add_file(record, item->d_name, false);
        if (r > 0)
            r = judge_file(restore, repair, dirfd(d), record);
    }
    return r < 0 ? r : 0;
}

int restore_place_add(struct restore *restore, struct repair *repair, const struct restore_place *p,
                      const char *name, size_t dir, struct wp_error *err)
{
    struct layout_record record = {.kind = p->kind,
                                   .root = p->root,
                                   .fd = p->fd,
                                   .tag = dir,
                                   .zipped = repair->t->dirs[dir].zipped};
    _cleanup_free_ char *path = path_join(p->below, name);
    _cleanup_closedir_ DIR *d = NULL;
    int r;

    if (!path)
        return error_nomem(err);
    if (is_known(repair->layout, p->root, path))
        return 0;
    r = beneath_list(p->fd, path, &d);
    if (r == -EACCES && p->root != LAYOUT_TREE)
        return 0; /* somebody else's */
    if (r > 0)
        r = list_files(restore, repair, d, dir, &record);
    else if (r == 0)
        return 0;
    if (r >= 0 && (p->root == LAYOUT_FOREIGN || p->doubted))
        r = keep_wanted(restore, repair, p, dirfd(d), &record);
    /* A restore that was killed has moved everything and not come to this. */
    if (r >= 0 && !record.file_count && p->old && !restore->o->dry_run)
        (void)beneath_rmdir(p->fd, path);
    if (r < 0 || !record.file_count) {
        layout_record_clear(&record);
        return r < 0 ? error_set(err, -r, path, "cannot read the cache directory") : 0;
    }
    record.dir = take_ptr(path);
    record.source = strdup(repair->t->dirs[dir].path);
    record.inside = strdup(p->root == LAYOUT_FOREIGN ? "" : p->below);
    if (!record.inside) {
        layout_record_clear(&record);
        return error_nomem(err);
    }
    /* cppcheck-suppress memleak ; the layout keeps the record, or has cleared it */
    return layout_add_record(repair->layout, &record) < 0 ? error_nomem(err) : 0;
}

int restore_place_add_hashed(struct restore *restore, struct repair *repair,
                             const struct restore_place *p, char **bases, const char *relative,
                             size_t dir, struct wp_error *err)
{
    for (char **base = bases; base && *base; base++) {
        _cleanup_free_ char *path = path_append(*base, relative);
        _cleanup_free_ char *name = path ? places_hash_name(path) : NULL;

        int r;

        if (!path || (!name && errno != EILSEQ))
            return error_nomem(err);
        r = name ? restore_place_add(restore, repair, p, name, dir, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}
