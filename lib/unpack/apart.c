/* Unpacking caches alone for a tree that nobody can write to here, while they go to a cache root:
 * all of the archive is staged there, and what is not a cache in its place goes before the commit.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "job.h"
#include "tree/beneath.h"

/* Is DIR there, and only read, and what of? Fills u->apart and u->target. */
static int look(struct unpack *u, struct wp_error *err)
{
    int r;

    u->own_target = open(u->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (u->own_target < 0)
        return 0; /* staging says what is wrong with it, or makes it */
    r = layout_is_apart(u->own_target, u->dir_path, u->o->layout, u->o->cache_dir, err);
    if (r < 0)
        return r;
    if (r == 0 && !u->o->cache_dir && faccessat(u->own_target, ".", W_OK, AT_EACCESS) < 0 &&
        (errno == EROFS || errno == EACCES))
        return layout_refuse_unwritable(errno, u->dir, err);
    if (r > 0 && u->o->retarget)
        return error_set(err, EROFS, u->dir,
                         "cannot be written to, and --retarget needs a manifest there");
    u->apart = r > 0;
    return 0;
}

int unpack_begin_areas(struct unpack *u, struct wp_error *err)
{
    const struct staging_owner owner = {.uid = u->verify.user.uid, .gid = u->verify.user.gid};
    const bool give = u->o->user && geteuid() == 0;
    int r = u->o->caches_only ? look(u, err) : 0;

    if (r == 0 && u->apart) {
        report(u->a->context, WP_NOTE, u->dir,
               "cannot be written to: caches alone are put into %s, and no manifest is left",
               u->o->cache_dir);
        r = staging_add_area_for(u->staging, u->o->cache_dir, give ? &owner : NULL, err);
    } else if (r == 0) {
        r = staging_add_area(u->staging, u->dir, err);
    }
    if (r < 0)
        return r;
    u->target = u->apart ? u->own_target : staging_target(u->staging, 0);
    return 0;
}

int unpack_drop_apart(struct unpack *u, struct wp_error *err)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    int r = beneath_list(u->tree, "", &d);

    while (r > 0 && (r = file_next(d, &item)) > 0) {
        r = beneath_remove(u->tree, item->d_name);
        r = r < 0 ? r : 1;
    }
    return r < 0 ? error_set(err, -r, u->o->cache_dir, "cannot remove what was staged") : 0;
}
