/* Packing: finds which hashed names Numba would give the source directories of the tree. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "numba/zipped.h"
#include "tree/beneath.h"

/* ---- Sources in zips --------------------------------------------------------------------- */

/* Names the directories in ITEM, a file that may be a zip, or a link to one; it is called PLACE
 * below BASES. */
static int hash_zip(struct pack *p, struct caches *known, const struct walk_item *item,
                    const char *place, char **bases, struct wp_error *err)
{
    _cleanup_close_ int fd = pack_open_linked(p, item);

    /* A link may lead to what is nobody's here. */
    if (fd < 0)
        return beneath_is_out_of_reach(fd)
                   ? 0
                   : error_set(err, -fd, item->entry.path, "cannot be read");
    return caches_add_zip(known, fd, (const char *const *)bases, place, item->entry.path, err);
}

/* ---- Which directory has which name ------------------------------------------------------ */

/* Adds the source directories of items FROM to TO under each of BASES, in which they are called as
 * in the archive, or as below their walk's root where ROOT is not negative. */
static int hash_under(struct pack *p, struct pack_names *names, size_t from, size_t to,
                      char **bases, int root, struct wp_error *err)
{
    _cleanup_free_ char *last = NULL;

    for (size_t i = from; i < to; i++) {
        const struct walk_item *item = &p->walk.items[i];
        bool is_dir = item->entry.type == ENTRY_DIR;
        _cleanup_free_ char *dir = NULL, *place = NULL;
        int r = 0;

        if (root >= 0 && (item->root != (unsigned)root || !item->name))
            continue;
        if (!is_dir && path_has_suffix(item->entry.path, ".zip"))
            r = hash_zip(p, names->zipped, item, root >= 0 ? item->name : item->entry.path, bases,
                         err);
        if (r < 0)
            return r;
        if (!is_dir && !caches_is_source(item->entry.path))
            continue;
        dir = is_dir ? strdup(item->entry.path) : path_dir(item->entry.path);
        if (root >= 0)
            place = is_dir ? strdup(item->name) : path_dir(item->name);
        else
            place = dir ? strdup(dir) : NULL;
        if (!dir || !place)
            return error_nomem(err);
        if (last && strcmp(last, dir) == 0)
            continue;
        for (char **base = bases; *base && r == 0; base++)
            r = caches_add(names->dirs, *base, place, dir, err);
        if (r < 0)
            return r;
        free(last);
        last = take_ptr(dir);
    }
    return 0;
}

/* Every directory in which a source may lie, by every path from which Python may have imported
 * it: below its own member's directory of -C, and, where the member's path leads through symlinks,
 * below where that leads. */
int pack_name_sources(struct pack *p, struct pack_names *names, const size_t *ends,
                      struct wp_error *err)
{
    size_t from = 0;
    int r = 0;

    for (size_t i = 0; i < p->o->member_count && r == 0; i++) {
        const char *dir = pack_member_dir(&p->o->members[i]);
        char **bases;

        if (i + 1 < p->o->member_count && strcmp(dir, pack_member_dir(&p->o->members[i + 1])) == 0)
            continue;
        bases = caches_bases(dir, p->o->source_roots, err);
        r = bases ? hash_under(p, names, from, ends[i], bases, -1, err) : -ENOENT;
        caches_free_bases(bases);
        from = ends[i];
    }
    for (unsigned root = 0; root < p->walk.root_count && r == 0; root++) {
        char **bases = caches_bases(p->walk.root_names[root], NULL, err);

        r = bases ? hash_under(p, names, 0, p->walk.count, bases, (int)root, err) : -ENOENT;
        caches_free_bases(bases);
    }
    caches_sort(names->dirs);
    caches_sort(names->zipped);
    return r;
}
