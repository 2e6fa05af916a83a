/* Packing: refuses what the format cannot hold, or nobody could unpack. */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"

int pack_refuse_links(const struct pack *p, struct wp_error *err)
{
    for (size_t i = 0; i < p->walk.count && p->o->format->no_symlinks; i++)
        if (p->walk.items[i].entry.type == ENTRY_SYMLINK)
            return error_set(err, 0, p->walk.items[i].entry.path,
                             "is a symbolic link, which a .%s cannot hold: -h packs what it "
                             "points to",
                             p->o->format->name);
    return 0;
}

/* *FILE becomes what PATH goes through that is no directory; NULL: nothing. */
static int find_file_above(const struct pack *p, const char *path, const struct walk_item **file,
                           struct wp_error *err)
{
    _cleanup_free_ char *above = strdup(path);

    *file = NULL;
    if (!above)
        return error_nomem(err);
    for (char *slash = strchr(above, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        *file = walk_find(&p->walk, above);
        if (*file && (*file)->entry.type != ENTRY_DIR)
            return 0;
        *slash = '/';
    }
    *file = NULL;
    return 0;
}

int pack_refuse_below_files(const struct pack *p, struct wp_error *err)
{
    const struct walk_item *file = NULL;
    const char *last = "";
    int r = 0;

    for (size_t i = 0; i < p->walk.count && r == 0; i++) {
        const char *path = p->walk.items[i].entry.path;
        size_t n = (size_t)(path_base(path) - path);

        /* What lies in one directory stands together, but for what lies deeper. */
        if (strncmp(path, last, n) != 0 || strchr(last + n, '/'))
            r = find_file_above(p, path, &file, err);
        if (r == 0 && file)
            return error_set(err, 0, path, "lies in %s, which is no directory: refused",
                             file->entry.path);
        last = path;
    }
    if (r == 0)
        r = find_file_above(p, p->home, &file, err);
    if (r == 0 && file)
        return error_set(err, 0, file->entry.path,
                         "is no directory, but its name is that of the manifest's place: refused");
    return r;
}
