/* Completes or takes back what killed runs have left where an archive is unpacked: it is older than
 * what comes now. Staging does so for DIR itself and what it lies in. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"

/* Adds the directory of PATH, or where it is REPLACED the first that PATH lies in: that goes as a
 * whole. */
static int add_dir(struct path_list *dirs, const char *path, bool replaced)
{
    _cleanup_free_ char *dir = replaced ? strndup(path, strcspn(path, "/")) : path_dir(path);

    if (!dir)
        return -ENOMEM;
    if (!*dir || !strchr(path, '/') || (dirs->count && strcmp(dirs->v[dirs->count - 1], dir) == 0))
        return 0;
    return path_list_add(dirs, take_ptr(dir));
}

int unpack_recover_below(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list dirs = {0};
    const bool replaced = unpack->o->replace && !unpack->o->keep_old;

    for (size_t i = 0; i < unpack->count; i++)
        if (!unpack->items[i]->skipped && add_dir(&dirs, unpack->items[i]->e.path, replaced) < 0)
            return error_nomem(err);
    return staging_recover_below(unpack->target, unpack->dir_path, &dirs, unpack->a->context, err);
}
