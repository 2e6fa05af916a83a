/* Packing the caches alone: their sources are read, so that the manifest can tell which content
 * they belong to, but they are not in the archive. Whoever has the same sources can use it. */

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "depends.h"
#include "job.h"
#include "judge/judge.h"
#include "manifest/links.h"
#include "numba/caches.h"

enum { DROPPED, KEPT, ABSENT };

struct fates {
    struct pack *p;
    unsigned char *of; /* by number in the walk */
};

static bool exists(void *ctx, const char *path)
{
    return pack_source(((const struct fates *)ctx)->p, path) != NULL;
}

static unsigned char *fate_of(const struct fates *f, const struct walk_item *item)
{
    return item ? &f->of[item - f->p->walk.items] : NULL;
}

static int keep_with_dir(const struct fates *f, const struct walk_item *item)
{
    const struct entry *e = &item->entry;
    const struct walk *w = &f->p->walk;
    _cleanup_free_ char *dir = path_dir(e->path);
    unsigned char *fate = dir ? fate_of(f, walk_find(w, dir)) : NULL;

    if (!dir)
        return -ENOMEM;
    if (fate)
        *fate = KEPT;
    *fate_of(f, item) = KEPT;
    fate = e->type == ENTRY_HARDLINK ? fate_of(f, walk_find(w, e->target)) : NULL;
    if (fate)
        *fate = KEPT;
    return 0;
}

/* Tells of the source PATH, and of all that its links lead through. */
static const struct entry *tell_of(void *ctx, const char *path, bool *is_end)
{
    const struct fates *f = ctx;
    const struct walk_item *item = walk_find(&f->p->walk, path);
    unsigned char *fate = fate_of(f, item);

    (void)is_end;
    if (fate && *fate == DROPPED)
        *fate = ABSENT;
    return item ? &item->entry : NULL;
}

static int decide(struct fates *f)
{
    const struct pack *p = f->p;

    for (size_t i = 0; i < p->walk.count; i++) {
        const struct entry *e = &p->walk.items[i].entry, *last;
        bool index = caches_is_index(e->path), found;
        _cleanup_free_ char *dir = NULL, *sources = NULL, *source = NULL;
        const char *misplaced;

        if ((e->type != ENTRY_FILE && e->type != ENTRY_HARDLINK) || !caches_is_part(e->path))
            continue;
        dir = path_dir(e->path);
        sources = dir ? manifest_source_dir(&p->manifest, dir, &misplaced) : NULL;
        if (!sources)
            return -ENOMEM;
        if (misplaced)
            continue;
        if (keep_with_dir(f, &p->walk.items[i]) < 0)
            return -ENOMEM;
        source = index ? caches_source_of(path_base(e->path), sources, exists, f, &found) : NULL;
        if (index && (!source || (found && links_follow(tell_of, f, source, &last) == -ENOMEM)))
            return -ENOMEM;
    }
    return 0;
}

/* All files that the code of kept indexes can come from: who puts them into a tree compares. */
static int decide_depends(struct fates *f, struct pack_depends *found, struct wp_error *err)
{
    int r = pack_depends_find(found, f->p, err);

    for (size_t i = 0; r == 0 && found->sets && i < found->sets->count; i++)
        for (size_t k = 0; k < found->sets->sets[i].file_count && r == 0; k++) {
            size_t item = found->items[found->sets->sets[i].files[k]];
            const struct entry *last;

            if (links_follow(tell_of, f, f->p->walk.items[item].entry.path, &last) == -ENOMEM)
                r = error_nomem(err);
        }
    return r;
}

static bool is_dropped(const struct walk_item *item, void *fates)
{
    const unsigned char *fate = fate_of(fates, item);

    return fate && *fate == DROPPED;
}

int pack_keep_caches(struct pack *p, struct wp_error *err)
{
    _cleanup_free_ unsigned char *fates = calloc(p->walk.count + 1, 1);
    struct fates f = {.p = p, .of = fates};
    int r;

    p->found = calloc(1, sizeof *p->found);
    r = fates && p->found && decide(&f) == 0 ? decide_depends(&f, p->found, err) : error_nomem(err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < p->walk.count; i++)
        p->walk.items[i].entry.absent = fates[i] == ABSENT;
    if (!pack_depends_renumber(p->found, &p->walk, is_dropped, &f))
        pack_depends_free(&p->found);
    walk_drop(&p->walk, 0, is_dropped, &f);
    return p->walk.count
               ? 0
               : error_set(err, 0, p->o->archive, "not made: there are no caches to pack");
}
