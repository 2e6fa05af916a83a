/* Reads whole files, and makes temporary ones. */

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/own_names.h"
#include "base/path.h"
#include "base/times.h"

int file_read(const char *path, size_t max, struct buf *out, struct stat *st)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    return fd < 0 ? -errno : file_read_all(fd, max, out, st);
}

int file_read_all(int fd, size_t max, struct buf *out, struct stat *st)
{
    struct stat own;

    if (!st)
        st = &own;
    if (fstat(fd, st) < 0)
        return -errno;
    if (!S_ISREG(st->st_mode))
        return S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL;
    if ((uint64_t)st->st_size > max)
        return -EFBIG;
    return file_read_rest(fd, (size_t)st->st_size, max, out);
}

bool file_is_unfit(int r)
{
    return r == -EFBIG || r == -EINVAL || r == -EISDIR || r == -ENXIO;
}

int file_read_rest(int fd, size_t expected, size_t max, struct buf *out)
{
    size_t start = out->size;

    /* One byte more than it should have shows the end without a second round, and growth. */
    for (size_t want = expected + 1;;) {
        if (buf_reserve(out, want) < 0)
            return -ENOMEM;
        ssize_t n = read(fd, out->data + out->size, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        out->size += (size_t)n;
        if (out->size - start > max)
            return -EFBIG;
        want = want > (size_t)n ? want - (size_t)n : 65536;
    }
}

ssize_t file_read_at(int fd, void *out, size_t n, uint64_t offset)
{
    size_t done = 0;

    while (done < n) {
        ssize_t r = pread(fd, (char *)out + done, n - done, (off_t)(offset + done));

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        done += (size_t)r;
    }
    return (ssize_t)done;
}

DIR *file_list(int fd)
{
    DIR *d = fdopendir(fd);

    if (!d) {
        int e = errno;
        close(fd);
        errno = e;
    }
    return d;
}

DIR *file_list_at(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    return fd < 0 ? NULL : file_list(fd);
}

int file_list_path(const char *path, DIR **out)
{
    *out = opendir(path);
    if (*out)
        return 1;
    return error_is_absence(-errno) ? 0 : -errno;
}

int file_next(DIR *d, struct dirent **item)
{
    do {
        errno = 0;
        *item = readdir(d);
    } while (*item && file_is_dots((*item)->d_name));
    return *item ? 1 : -errno;
}

bool file_is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static const char *temporary_dir(void)
{
    const char *dir = getenv("TMPDIR");

    return dir && *dir ? dir : "/tmp";
}

int file_temporary(struct wp_error *err)
{
    const char *dir = temporary_dir();
    _cleanup_free_ char *path = NULL;
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd >= 0 ? fd : error_set(err, errno, dir, "cannot make a temporary file");
    path = path_join(dir, OWN_TEMPORARY);
    if (!path)
        return error_nomem(err);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return error_set(err, errno, dir, "cannot make a temporary file");
    unlink(path);
    return fd;
}

/* OFFSET below 0: where FD stands. */
static int write_all(int fd, const char *p, size_t n, off_t offset)
{
    while (n > 0) {
        ssize_t done = offset < 0 ? write(fd, p, n) : pwrite(fd, p, n, offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        p += done;
        offset += offset < 0 ? 0 : done;
        n -= (size_t)done;
    }
    return 0;
}

int file_write(int fd, const void *data, size_t n)
{
    return write_all(fd, data, n, -1);
}

int file_write_at(int fd, const void *data, size_t n, uint64_t offset)
{
    return offset > INT64_MAX ? -EFBIG : write_all(fd, data, n, (off_t)offset);
}

int file_temporary_write(int fd, uint64_t offset, const void *data, size_t n, struct wp_error *err)
{
    int r = file_write_at(fd, data, n, offset);

    return r < 0
               ? error_set(err, -r, temporary_dir(), "cannot keep the archive in a temporary file")
               : 0;
}

int file_wait(int fd, short events, const volatile sig_atomic_t *interrupted)
{
    enum { LOOK_MS = 200 }; /* a user who stops a job waits that long at most */
    struct pollfd p = {.fd = fd, .events = events};

    if (!interrupted)
        return 0;
    while (true) {
        /* The handler may run on another thread. */
        if (__atomic_load_n(interrupted, __ATOMIC_RELAXED))
            return -EINTR;
        int n = poll(&p, 1, LOOK_MS);
        if (n > 0 || (n < 0 && errno != EINTR))
            return 0;
    }
}

mode_t file_umask(void)
{
    _cleanup_fclose_ FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    unsigned mask;

    while (status && fgets(line, sizeof line, status)) {
        if (sscanf(line, "Umask: %o", &mask) == 1)
            return (mode_t)mask;
    }
    mode_t old = umask(022);
    umask(old);
    return old;
}

struct file_fd_name file_fd_name(int fd)
{
    struct file_fd_name name;

    snprintf(name.text, sizeof name.text, "/proc/self/fd/%d", fd);
    return name;
}

int file_link(int fd, int dir, const char *name)
{
    return linkat(AT_FDCWD, file_fd_name(fd).text, dir, name, AT_SYMLINK_FOLLOW) < 0 &&
                   linkat(fd, "", dir, name, AT_EMPTY_PATH) < 0
               ? -errno
               : 0;
}

/* What the kernel says where a filesystem has no locks, or does without a service for them. */
static bool has_no_locks(int errnum)
{
    return errnum == EOPNOTSUPP || errnum == ENOSYS || errnum == EINVAL || errnum == ENOLCK ||
           errnum == EBADF; /* NFS, of a descriptor that is not for writing */
}

int file_lock(int fd)
{
    int r;

    do
        r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 1;
    while (r == -EINTR);
    return r < 0 && has_no_locks(-r) ? 0 : r;
}

bool file_is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           time_is(a->st_mtim, b->st_mtim) &&
           (a->st_nlink > 1 || b->st_nlink > 1 || time_is(a->st_ctim, b->st_ctim));
}

int file_has_name(int fd, int dir, const char *name)
{
    struct stat held, now;

    if (fstat(fd, &held) < 0)
        return -errno;
    if (fstatat(dir, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return error_is_absence(-errno) ? 0 : -errno;
    return held.st_dev == now.st_dev && held.st_ino == now.st_ino;
}

int file_open_again(int fd)
{
    int again = open(file_fd_name(fd).text, O_RDONLY | O_CLOEXEC);

    return again < 0 ? -errno : again;
}
