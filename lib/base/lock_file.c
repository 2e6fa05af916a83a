/* Makes locks that are files, waits for them, and takes them away.
 *
 * Whoever gets the lock looks whether the file still has its name: the last holder removed it. */

#include "lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "times.h"

enum { WAIT_MS = 20, NOTE_MS = 1000, LIMIT_MS = 10 * 60 * 1000 };

/* Everybody who may change names in directory ABOVE may take the lock, and nobody else: the file's
 * access says so. Where names are only their owners' to remove, they take it alone. */
static mode_t mode_in(const struct stat *above, const struct stat *lock)
{
    mode_t mode = 0600;

    if (above->st_mode & S_ISVTX)
        return mode;
    if (above->st_mode & S_IWGRP && lock->st_gid == above->st_gid)
        mode |= 0060;
    return above->st_mode & S_IWOTH ? mode | 0006 : mode;
}

/* Ours, or that of somebody who rules in directory ABOVE anyway. */
static bool is_trusted(const struct stat *above, const struct stat *lock)
{
    return lock->st_uid == geteuid() || lock->st_uid == 0 || lock->st_uid == above->st_uid ||
           (!(above->st_mode & S_ISVTX) && above->st_mode & (S_IWGRP | S_IWOTH));
}

/* What root makes is the directory's owner's, as far as it can be: after a kill it is in nobody's
 * way. */
static int make_lock(int dir, const char *name, const struct stat *above)
{
    _cleanup_close_ int fd =
        openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0)
        return errno == EEXIST ? -EAGAIN : -errno;
    (void)!fchown(fd, geteuid() == 0 ? above->st_uid : (uid_t)-1, above->st_gid);
    if (fstat(fd, &st) < 0 || fchmod(fd, mode_in(above, &st)) < 0) {
        int r = -errno;

        (void)!unlinkat(dir, name, 0);
        return r;
    }
    return take_fd(&fd);
}

static int open_lock(int dir, const char *name, const struct stat *above, bool *found)
{
    int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    *found = fd >= 0;
    if (fd >= 0)
        return fd;
    return error_is_no_entry(-errno) ? make_lock(dir, name, above) : -errno;
}

static int explain(int r, const char *path, struct wp_error *err)
{
    if (r == -EACCES)
        return error_set(err, 0, path,
                         "is the lock of another user, who is at work here or was killed");
    if (r != -ELOOP && r != -EISDIR && r != -ENXIO)
        return error_set(err, -r, path, "cannot open the lock");
    return error_set(err, 0, path, "stands where the lock goes, and is none: refused");
}

/* A descriptor; -EAGAIN: once more; -ENOENT; or an error that is set. */
static int get_lock(int dir, const char *name, const char *path, bool *found, struct wp_error *err)
{
    struct stat above, st;
    _cleanup_close_ int fd = fstat(dir, &above) < 0 ? -errno : open_lock(dir, name, &above, found);

    if (fd == -EAGAIN || error_is_no_entry(fd))
        return fd;
    if (fd == -EACCES && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set(err, EACCES, path, "cannot open the lock");
    if (fd < 0)
        return explain(fd, path, err);
    if (fstat(fd, &st) < 0)
        return error_set(err, errno, path, "cannot stat");
    if (!S_ISREG(st.st_mode) || !is_trusted(&above, &st))
        return explain(-ELOOP, path, err);
    /* Others can open it: whoever holds it need not be one of us. */
    if (st.st_mode & 0077 & ~mode_in(&above, &st))
        return unlinkat(dir, name, 0) < 0 && !error_is_no_entry(-errno)
                   ? error_set(err, errno, path, "cannot be removed")
                   : -EAGAIN;
    return take_fd(&fd);
}

static int wait_for(int fd, bool *waited, unsigned *ms, const char *path,
                    const struct wp_context *context, struct wp_error *err)
{
    const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000L};

    int r;

    while ((r = file_lock(fd)) == -EWOULDBLOCK) {
        if (context_check(context, err) < 0)
            return -EINTR;
        if (*ms >= LIMIT_MS)
            return error_set(err, EBUSY, path, "another process holds the lock");
        if (*ms < NOTE_MS && *ms + WAIT_MS >= NOTE_MS)
            report(context, WP_NOTE, path, "waiting for another process that is at work here");
        nanosleep(&pause, NULL);
        *ms += WAIT_MS;
        *waited = true;
    }
    return r < 0 ? error_set(err, -r, path, "cannot be locked") : 0;
}

int lock_file_take(struct lock_file *lock, int dir, const char *name, const char *path,
                   const struct wp_context *context, struct wp_error *err)
{
    struct stat st;
    unsigned ms = 0;

    *lock = (struct lock_file){.fd = -1};
    if (fstat(dir, &st) == 0)
        lock->before = st.st_mtim;
    for (;;) {
        _cleanup_close_ int fd = get_lock(dir, name, path, &lock->found, err);
        int r;

        if (fd == -EAGAIN)
            continue;
        if (fd < 0)
            return fd;
        r = wait_for(fd, &lock->waited, &ms, path, context, err);
        if (r < 0)
            return r;
        r = file_has_name(fd, dir, name);
        if (r < 0)
            return error_set(err, -r, path, "cannot stat");
        if (r > 0) {
            lock->fd = take_fd(&fd);
            if (fstat(dir, &st) == 0)
                lock->since = st.st_mtim;
            return 0;
        }
    }
}

void lock_file_release(struct lock_file *lock, int dir, const char *name, bool give_back)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, lock->before};
    struct stat st;

    if (lock->fd < 0)
        return;
    give_back = give_back && fstat(dir, &st) == 0 && time_is(st.st_mtim, lock->since);
    if (!lock->stays && file_has_name(lock->fd, dir, name) > 0)
        (void)!unlinkat(dir, name, 0);
    cleanup_close(&lock->fd);
    if (give_back)
        (void)futimens(dir, times); /* only its owner can */
}

bool lock_file_is_own(const struct stat *above, const struct stat *lock)
{
    return lock->st_uid == geteuid() || (geteuid() == 0 && lock->st_uid == above->st_uid);
}

void lock_file_remove_dead(int dir, const char *name)
{
    _cleanup_close_ int fd =
        openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat above, st;

    if (fd >= 0 && fstat(dir, &above) == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        lock_file_is_own(&above, &st) && file_lock(fd) > 0 && file_has_name(fd, dir, name) > 0)
        (void)!unlinkat(dir, name, 0);
}
