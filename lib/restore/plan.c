/* Repairing, first step: finds which files there should be, where they lie in the tree, and which
 * of them the code of caches can come from; and counts what the later steps have found of them. */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "manifest/links.h"
#include "numba/caches.h"
#include "tree/beneath.h"

/* A hard link has the facts of its target already, and so has a symbolic link that was replaced by
 * a copy. */
static const struct entry *look_up(void *ctx, const char *path, bool *is_end)
{
    const struct repair *repair = ctx;
    const struct manifest *m = &repair->t->m;
    const struct entry *e = manifest_find(m, path);

    *is_end = e && (e->type == ENTRY_HARDLINK || repair->files[e - m->entries].facts);
    return e;
}

int restore_find_file(const struct repair *repair, const char *archived, struct restored **out)
{
    const struct entry *e;
    int r = links_follow(look_up, (void *)repair, archived, &e);

    *out = r == 0 ? &repair->files[e - repair->t->m.entries] : NULL;
    return r == -ENOMEM ? r : 0;
}

struct restored *restore_file_of(const struct repair *repair, const char *archived)
{
    struct restored *f;

    if (restore_find_file(repair, archived, &f) < 0)
        atomic_store(&((struct repair *)repair)->no_memory, true);
    return f;
}

struct restored *restore_valid_source(const struct repair *repair,
                                      const struct manifest_index *line)
{
    return line->valid && line->source ? restore_file_of(repair, line->source) : NULL;
}

int restore_memory(const struct repair *repair, struct wp_error *err)
{
    return atomic_load(&repair->no_memory) ? error_nomem(err) : 0;
}

/* The recorded facts of the file that should lie at PATH, the place of entry E; NULL: no file
 * should. If a tool has followed a symbolic link, a copy of its target lies there. */
static const struct entry *facts_of(const struct restore *restore, const struct repair *repair,
                                    const struct entry *e, const char *path)
{
    const struct entry *facts = e;
    struct stat st;

    if (e->type == ENTRY_HARDLINK)
        facts = manifest_find(&repair->t->m, e->target);
    if (e->type == ENTRY_SYMLINK && beneath_stat(restore->fd, path, &st) == 0 &&
        S_ISREG(st.st_mode)) {
        const struct restored *target = restore_file_of(repair, e->path);

        facts = target ? &repair->t->m.entries[target - repair->files] : NULL;
    }
    return facts && facts->type == ENTRY_FILE && facts->has_sha256 ? facts : NULL;
}

/* Finds which entries are files, and their paths in the tree. */
static int plan_files(const struct restore *restore, struct repair *repair, struct wp_error *err)
{
    repair->files = calloc(repair->t->m.entry_count + 1, sizeof *repair->files);
    if (!repair->files)
        return error_nomem(err);
    for (size_t i = 0; i < repair->t->m.entry_count; i++) {
        const struct entry *e = &repair->t->m.entries[i];
        struct restored *f = &repair->files[i];
        bool gone;

        if (e->type == ENTRY_DIR)
            continue;
        f->path = tree_path(repair->t, e->path, &gone);
        if (!f->path && !gone)
            return error_nomem(err);
        if (f->path && path_is_safe(f->path))
            f->facts = facts_of(restore, repair, e, f->path);
        if (f->facts && e->type == ENTRY_HARDLINK)
            f->has_links = repair->files[f->facts - repair->t->m.entries].has_links = true;
    }
    return 0;
}

/* Marks the files that the code of indexes can come from; for an index without that record, all
 * sources. */
static void mark_depends(struct repair *repair)
{
    const struct manifest *m = &repair->t->m;
    bool all = false;

    for (size_t i = 0; i < m->set_count; i++)
        for (size_t k = 0; k < m->sets[i].file_count; k++) {
            struct restored *f = restore_file_of(repair, m->sets[i].files[k]);

            if (f)
                f->is_source = true;
        }
    for (size_t i = 0; i < m->index_count; i++)
        all |= m->indexes[i].valid && !m->indexes[i].has_depends;
    for (size_t i = 0; i < m->entry_count && all; i++)
        repair->files[i].is_source |= caches_is_source(m->entries[i].path);
}

/* Marks the sources of all indexes, and the other sources in their directories: Numba may have made
 * indexes for those here. */
static void mark_sources(struct repair *repair)
{
    mark_depends(repair);
    for (size_t i = 0; i < repair->t->m.index_count; i++) {
        struct restored *f = repair->t->m.indexes[i].source
                                 ? restore_file_of(repair, repair->t->m.indexes[i].source)
                                 : NULL;

        if (f)
            f->is_source = f->waits = true;
    }
}

/* Does one of the valid indexes have this source? */
static int count_sources(struct restore *restore, struct repair *repair)
{
    _cleanup_free_ bool *seen = calloc(repair->t->m.entry_count + 1, 1);

    if (!seen)
        return -ENOMEM;
    for (size_t i = 0; i < repair->t->m.index_count; i++) {
        const struct restored *f = restore_valid_source(repair, &repair->t->m.indexes[i]);

        if (!f || f->superseded || seen[f - repair->files])
            continue;
        seen[f - repair->files] = true;
        restore->result->sources++;
        restore->result->matched += f->status >= RESTORED_BEHIND;
        if (f->status == RESTORED_CHANGED)
            report(restore->context, WP_WARNING, f->path,
                   "is not what was packed: its caches are left as they are");
    }
    return 0;
}

/* Is PATH of the archive below a directory of warmpack's own, or a cache? Such files move. */
static bool is_ours(const struct tree_manifest *t, const char *path)
{
    return caches_is_part(path) || (t->m.home && path_is_under(path, t->m.home));
}

int restore_plan(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    int r = plan_files(restore, repair, err);

    if (r == 0)
        mark_sources(repair);
    return r < 0 ? r : restore_memory(repair, err);
}

int restore_count_files(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    if (count_sources(restore, repair) < 0)
        return error_nomem(err);
    for (size_t i = 0; i < repair->t->m.entry_count; i++) {
        const struct restored *f = &repair->files[i];

        if (is_ours(repair->t, repair->t->m.entries[i].path))
            continue;
        restore->result->files += f->status >= RESTORED_BEHIND;
        restore->result->missing += f->status == RESTORED_MISSING;
        restore->result->changed += f->status == RESTORED_CHANGED;
    }
    return restore_memory(repair, err);
}
