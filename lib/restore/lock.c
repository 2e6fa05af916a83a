/* Repairing, one at a time: a second run of the same tree waits, and finds nothing left to do. The
 * lock is on the directory of the manifest, while that is acted upon; the commit has its own, on
 * the targets. Which manifest speaks for a file is found before: that is by content, and by times
 * which the first run only ever makes those of the manifest that it has chosen. */

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "tree/beneath.h"

enum { WAIT_MS = 50, LONGEST_WAIT_MS = 10 * 60 * 1000 };

/* Is FD still what HOME names? */
static bool is_there(const struct restore *r, int fd, const char *home)
{
    struct stat held, now;

    return fstat(fd, &held) == 0 && beneath_stat(r->fd, home, &now) == 0 &&
           held.st_dev == now.st_dev && held.st_ino == now.st_ino;
}

static int wait_for(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000L};

    for (int waited = 0;; waited += WAIT_MS) {
        _cleanup_close_ int fd = beneath_open(r->fd, t->home, O_RDONLY | O_DIRECTORY, 0);

        if (fd < 0)
            return error_set(err, -fd, t->name, "cannot be read");
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (!is_there(r, fd, t->home))
                continue; /* replaced meanwhile */
            t->lock = take_fd(&fd);
            return 0;
        }
        if (errno != EWOULDBLOCK && errno != EINTR)
            return 0; /* there are no such locks here */
        if (restore_interrupted(r))
            return error_set(err, EINTR, NULL, "interrupted");
        if (waited >= LONGEST_WAIT_MS)
            return error_set(err, EBUSY, t->name, "another run is still repairing the tree");
        nanosleep(&pause, NULL);
    }
}

/* Is the manifest the one that was read? */
static bool is_same(const struct restore *r, const struct restore_tree *t)
{
    _cleanup_free_ char *path = path_join(t->home, MANIFEST_NAME);
    struct stat st;

    return path && beneath_stat(r->fd, path, &st) == 0 && st.st_dev == t->device &&
           st.st_ino == t->inode;
}

int restore_lock(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    int res;

    if (!t->home || r->o->dry_run)
        return 0;
    res = wait_for(r, t, err);
    if (res == 0 && !is_same(r, t))
        return error_set(err, EBUSY, t->name, "was unpacked again meanwhile");
    return res < 0 ? res : restore_state_read(r, t, err);
}
