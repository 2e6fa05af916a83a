#pragma once
/* Locks that are files of our own: only those who may change names in their directory can open
 * them, so that nobody who may merely read it holds up what is done there. The file goes away with
 * the lock. On filesystems without flock(2) there is no waiting. */

#include <stdbool.h>
#include <time.h>

#include "error.h"

struct lock_file {
    int fd;                        /* -1: not held */
    bool waited;                   /* for another process */
    bool found;                    /* it was there: whoever made it was killed, or let it stay */
    bool stays;                    /* for the caller to set: there is more to do for the next one */
    struct timespec before, since; /* the directory's time before the file was made, and after */
};

/* Takes the lock that is file NAME of directory DIR, and PATH in messages. Says after a second that
 * it waits; -EBUSY after ten minutes. -ENOENT, with no error set: the directory has been removed. A
 * file that cannot be the lock is refused. */
int lock_file_take(struct lock_file *lock, int dir, const char *name, const char *path,
                   const struct wp_context *context, struct wp_error *err);
/* Removes the file, unless it stays, and closes it, where it is held. GIVE_BACK: the directory gets
 * the time that it had, unless something else has changed in it. */
void lock_file_release(struct lock_file *lock, int dir, const char *name, bool give_back);
struct stat;
/* Is LOCK, in directory ABOVE, one that a run of this user makes? Root makes them the directory's
 * owner's. */
bool lock_file_is_own(const struct stat *above, const struct stat *lock);
/* Removes such a file where nobody holds the lock. */
void lock_file_remove_dead(int dir, const char *name);
