/* Repairing, one at a time: a second run of the same tree waits, and finds nothing left to do. The
 * lock is on the directory of the manifest, while that is acted upon; the commit has its own, on
 * the targets. Which manifest speaks for a file is found before: that is by content, and by times
 * which the first run only ever makes those of the manifest that it has chosen. */

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "tree/beneath.h"

enum { WAIT_MS = 50, LONGEST_WAIT_MS = 10 * 60 * 1000 };

/* Is FD still what HOME names? */
static bool is_there(const struct restore *restore, int fd, const char *home)
{
    struct stat held, now;

    return fstat(fd, &held) == 0 && beneath_stat(restore->fd, home, &now) == 0 &&
           held.st_dev == now.st_dev && held.st_ino == now.st_ino;
}

static int wait_for(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000L};

    for (int waited = 0;; waited += WAIT_MS) {
        _cleanup_close_ int fd =
            beneath_open(restore->fd, repair->t->home, O_RDONLY | O_DIRECTORY, 0);

        if (fd < 0)
            return error_set(err, -fd, repair->t->name, "cannot be read");
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (!is_there(restore, fd, repair->t->home))
                continue; /* replaced meanwhile */
            repair->lock = take_fd(&fd);
            return 0;
        }
        if (errno != EWOULDBLOCK && errno != EINTR)
            return 0; /* there are no such locks here */
        if (context_check(restore->context, err) < 0)
            return -EINTR;
        if (waited >= LONGEST_WAIT_MS)
            return error_set(err, EBUSY, repair->t->name,
                             "another run is still repairing the tree");
        nanosleep(&pause, NULL);
    }
}

/* Is the manifest the one that was read? */
static bool is_same(const struct restore *restore, const struct tree_manifest *t)
{
    _cleanup_free_ char *path = path_join(t->home, MANIFEST_NAME);
    struct stat st;

    return path && beneath_stat(restore->fd, path, &st) == 0 && st.st_dev == t->device &&
           st.st_ino == t->inode;
}

int restore_lock(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    unsigned strip = repair->t->strip;
    int r;

    if (!repair->t->home || !restore_writes(restore))
        return 0;
    r = wait_for(restore, repair, err);
    if (r == 0 && !is_same(restore, repair->t))
        return error_set(err, EBUSY, repair->t->name, "was unpacked again meanwhile");
    if (r == 0)
        r = tree_state_read(&restore->trees, repair->t, err);
    if (r == 0 && repair->t->strip != strip)
        return error_set(err, EBUSY, repair->t->name, "was unpacked again meanwhile");
    return r;
}
