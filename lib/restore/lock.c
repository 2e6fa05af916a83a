/* Repairing, one at a time: a second run of the same tree waits, and finds nothing left to do. The
 * lock is a file beside the manifest, while that is acted upon; the commit has its own, on
 * the targets. Which manifest speaks for a file is found before: that is by content, and by times
 * which the first run only ever makes those of the manifest that it has chosen. */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"

#include "job.h"
#include "tree/beneath.h"

/* Who may not make the lock may not write beside the manifest either, and has nothing to be
 * protected from there. */
static int take_lock(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(repair->t->name);
    _cleanup_free_ char *path = dir ? path_join(dir, OWN_LOCK) : NULL;
    int r;

    if (!path)
        return error_nomem(err);
    repair->home_fd = beneath_open(restore->fd, repair->t->home, O_RDONLY | O_DIRECTORY, 0);
    if (repair->home_fd < 0)
        return error_set(err, -repair->home_fd, repair->t->name, "cannot be read");
    if (faccessat(repair->home_fd, ".", W_OK, AT_EACCESS) < 0)
        return 0;
    r = lock_file_take(&repair->lock, repair->home_fd, OWN_LOCK, path, restore->context, err);
    repair->lock.stays = repair->lock.found; /* until that is cleared up of which it tells */
    return error_is_no_entry(r)
               ? error_set(err, EBUSY, repair->t->name, "was unpacked again meanwhile")
               : r;
}

/* Is the manifest the one that was read? 1, 0 or negative errno. */
static int is_same(const struct restore *restore, const struct tree_manifest *t)
{
    _cleanup_free_ char *path = path_join(t->home, MANIFEST_NAME);
    struct stat st;
    int r = path ? beneath_look(restore->fd, path, &st) : -ENOMEM;

    return r > 0 ? st.st_dev == t->device && st.st_ino == t->inode : r;
}

int restore_lock(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    unsigned strip = repair->t->strip;
    int r;

    if (!repair->t->home || !restore_writes(restore))
        return 0;
    r = take_lock(restore, repair, err);
    if (r < 0)
        return r;
    r = is_same(restore, repair->t);
    if (r < 0)
        return error_set(err, -r, repair->t->name, "cannot be read");
    if (r == 0)
        return error_set(err, EBUSY, repair->t->name, "was unpacked again meanwhile");
    r = tree_state_read(&restore->trees, repair->t, err);
    if (r == 0 && repair->t->strip != strip)
        return error_set(err, EBUSY, repair->t->name, "was unpacked again meanwhile");
    return r;
}
