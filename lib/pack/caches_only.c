/* Packing the caches alone: their sources are read, so that the manifest can tell which content
 * they belong to, but they are not in the archive. Whoever has the same sources can use it. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "judge/judge.h"
#include "numba/caches.h"
#include "numba/zipped.h"

enum { MOST_LINKS = 40 };

enum { DROPPED, KEPT, ABSENT };

static bool exists(void *ctx, const char *path)
{
    const struct walk *walk = &((const struct pack *)ctx)->walk;
    const struct walk_item *item = walk_find(walk, path);
    _cleanup_free_ char *zip = item ? NULL : zipped_file(path);

    if (zip)
        item = walk_find(walk, zip);
    return item && item->entry.type != ENTRY_DIR;
}

static unsigned char *fate_of(const struct pack *p, unsigned char *fates, const char *path)
{
    const struct walk_item *item = walk_find(&p->walk, path);

    return item ? &fates[item - p->walk.items] : NULL;
}

static int keep_with_dir(const struct pack *p, unsigned char *fates, const struct entry *e)
{
    _cleanup_free_ char *dir = path_dir(e->path);
    unsigned char *fate = dir ? fate_of(p, fates, dir) : NULL;

    if (!dir)
        return -ENOMEM;
    if (fate)
        *fate = KEPT;
    *fate_of(p, fates, e->path) = KEPT;
    fate = e->type == ENTRY_HARDLINK ? fate_of(p, fates, e->target) : NULL;
    if (fate)
        *fate = KEPT;
    return 0;
}

/* The source PATH, and what its links lead to. */
static int tell_of(const struct pack *p, unsigned char *fates, const char *source)
{
    _cleanup_free_ char *path = strdup(source);

    for (int links = 0; path && links < MOST_LINKS; links++) {
        const struct walk_item *item = walk_find(&p->walk, path);
        _cleanup_free_ char *dir = NULL, *joined = NULL;
        unsigned char *fate;

        if (!item && !links && zipped_length(path)) { /* it lies in a zip */
            path[zipped_length(path)] = '\0';
            item = walk_find(&p->walk, path);
        }
        if (!item)
            return 0;
        fate = &fates[item - p->walk.items];
        if (*fate == DROPPED)
            *fate = ABSENT;
        if (item->entry.type == ENTRY_HARDLINK) {
            joined = strdup(item->entry.target);
        } else if (item->entry.type == ENTRY_SYMLINK && item->entry.target[0] != '/') {
            dir = path_dir(path);
            joined = dir ? path_join(dir, item->entry.target) : NULL;
        } else {
            return 0;
        }
        free(path);
        path = joined ? path_normalise(joined) : NULL;
    }
    return path ? 0 : -ENOMEM;
}

static int decide(struct pack *p, unsigned char *fates)
{
    for (size_t i = 0; i < p->walk.count; i++) {
        const struct entry *e = &p->walk.items[i].entry;
        bool index = caches_is_index(e->path), found;
        _cleanup_free_ char *dir = NULL, *sources = NULL, *source = NULL;
        const char *misplaced;

        if ((e->type != ENTRY_FILE && e->type != ENTRY_HARDLINK) ||
            !(index || caches_is_data(e->path)))
            continue;
        dir = path_dir(e->path);
        sources = dir ? manifest_source_dir(&p->manifest, dir, &misplaced) : NULL;
        if (!sources)
            return -ENOMEM;
        if (misplaced)
            continue;
        if (keep_with_dir(p, fates, e) < 0)
            return -ENOMEM;
        source = index ? caches_source_of(path_base(e->path), sources, exists, p, &found) : NULL;
        if (index && (!source || (found && tell_of(p, fates, source) < 0)))
            return -ENOMEM;
    }
    return 0;
}

int pack_keep_caches(struct pack *p, struct wp_error *err)
{
    _cleanup_free_ unsigned char *fates = calloc(p->walk.count + 1, 1);
    size_t kept = 0;

    if (!fates || decide(p, fates) < 0)
        return error_nomem(err);
    for (size_t i = 0; i < p->walk.count; i++) {
        struct walk_item *item = &p->walk.items[i];

        if (fates[i] == DROPPED) {
            entry_clear(&item->entry);
            free(item->name);
            continue;
        }
        item->entry.absent = fates[i] == ABSENT;
        p->walk.items[kept++] = *item;
    }
    p->walk.count = kept;
    return kept ? 0 : error_set(err, 0, p->o->archive, "not made: there are no caches to pack");
}
