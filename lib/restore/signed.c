/* Restoring only what was signed: refuses files and caches that are not what was packed. */

#include <fcntl.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "relocate.h"
#include "tree/beneath.h"

/* Has relocating made the file, for this place; or for another, if it is now rewritten for this
 * one? */
static int is_relocated(void *ctx, const struct tree_manifest *t, const struct entry *e,
                        const char *path)
{
    const struct restore *restore = ctx;
    const bool rewrites = restore->o->relocate != WP_RELOCATE_NEVER && restore_writes(restore) &&
                          !restore->o->dry_run && !restore->apart && !restore->grafting &&
                          t->home && !t->info;
    struct relocation r = {.context = restore->context,
                           .fd = restore->fd,
                           .t = t,
                           .now = restore->roots[0],
                           .always = restore->o->relocate == WP_RELOCATE_ALWAYS || !rewrites,
                           .packed_only = !rewrites};

    return relocation_knows(&r, e, path);
}

int restore_signed_begin(struct restore *restore, struct wp_error *err)
{
    int r =
        restore->trust.count ? trees_signed_begin(&restore->is_signed, &restore->trees, err) : 0;

    return r == 0 && restore->trust.count
               ? trees_signed_files(&restore->is_signed, is_relocated, restore, err)
               : r;
}

static int check(struct restore *restore, const struct placed_index *placed, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(placed->path);
    _cleanup_close_ int fd = -1;

    if (!dir)
        return error_nomem(err);
    fd = beneath_open(placed->fd, *dir ? dir : ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return error_set(err, -fd, placed->shown, "cannot be read");
    return trees_signed_index(&restore->is_signed, placed->source_shown, fd,
                              path_base(placed->path), placed->shown, err);
}

int restore_signed_caches(struct restore *restore, const struct repair *repair,
                          struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < repair->layout->placed_count && r == 0 && restore->trust.count; i++) {
        const struct placed_index *placed = &repair->layout->placed[i];

        if (!placed->removed && placed->fd >= 0)
            r = check(restore, placed, err);
    }
    return r;
}
