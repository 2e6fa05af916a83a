/* Unpacking caches alone for a tree that nobody can write to here, while they go to a cache root:
 * all of the archive is staged there, and what is not a cache in its place goes before the commit.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "job.h"
#include "tree/beneath.h"

/* Is DIR there, and only read, and what of? Fills unpack->apart and unpack->target. */
static int look(struct unpack *unpack, struct wp_error *err)
{
    int r;

    unpack->own_target = open(unpack->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (unpack->own_target < 0)
        return 0; /* staging says what is wrong with it, or makes it */
    r = layout_is_apart(unpack->own_target, unpack->dir_path, unpack->o->layout,
                        unpack->o->cache_dir, err);
    if (r < 0)
        return r;
    if (r == 0 && !unpack->o->cache_dir &&
        faccessat(unpack->own_target, ".", W_OK, AT_EACCESS) < 0 &&
        (errno == EROFS || errno == EACCES))
        return layout_refuse_unwritable(errno, unpack->dir, err);
    if (r > 0 && unpack->o->retarget)
        return error_set(err, EROFS, unpack->dir,
                         "cannot be written to, and --retarget needs a manifest there");
    unpack->apart = r > 0;
    return 0;
}

int unpack_begin_areas(struct unpack *unpack, struct wp_error *err)
{
    const struct staging_owner owner = {.uid = unpack->verify.user.uid,
                                        .gid = unpack->verify.user.gid};
    const bool give = unpack->o->user && geteuid() == 0;
    int r = unpack->o->caches_only ? look(unpack, err) : 0;

    if (r == 0 && unpack->apart) {
        report(unpack->a->context, WP_NOTE, unpack->dir,
               "cannot be written to: caches alone are put into %s, and no manifest is left",
               unpack->o->cache_dir);
        r = staging_add_area_for(unpack->staging, unpack->o->cache_dir, give ? &owner : NULL, err);
    } else if (r == 0) {
        r = staging_add_area(unpack->staging, unpack->dir, err);
    }
    if (r < 0)
        return r;
    unpack->target = unpack->apart ? unpack->own_target : staging_target(unpack->staging, 0);
    return 0;
}

int unpack_drop_apart(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    int r = beneath_list(unpack->tree, "", &d);

    while (r > 0 && (r = file_next(d, &item)) > 0) {
        r = beneath_remove(unpack->tree, item->d_name);
        r = r < 0 ? r : 1;
    }
    return r < 0 ? error_set(err, -r, unpack->o->cache_dir, "cannot remove what was staged") : 0;
}
