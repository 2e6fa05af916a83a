/* Makes files under a temporary name, and removes those that a killed run has left. */

#include "temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"

enum { TRIES = 100 };

char *temporary_name(const char *prefix)
{
    uint64_t number = 0;
    char *name = NULL;

    if (getrandom(&number, sizeof number, GRND_NONBLOCK) < 0 ||
        asprintf(&name, "%s%016llx", prefix, (unsigned long long)number) < 0)
        return NULL;
    return name;
}

/* Takes the lock of FD. -EWOULDBLOCK where a sweep has come between, and removes the file.
 * Filesystems without such locks do without: nobody takes a file there for dead. */
static int take_lock(int fd)
{
    struct stat st;
    int r = file_lock(fd);

    if (r >= 0 && fstat(fd, &st) < 0)
        r = -errno;
    return r < 0 ? r : st.st_nlink > 0 ? 0 : -EWOULDBLOCK;
}

int temporary_make(int dir, const char *prefix, mode_t mode, char **name)
{
    for (int i = 0; i < TRIES; i++) {
        _cleanup_free_ char *tried = temporary_name(prefix);
        _cleanup_close_ int fd = -1;

        if (!tried)
            return -ENOMEM;
        fd = openat(dir, tried, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0)
            return -errno;
        int r = take_lock(fd);
        if (r == 0) {
            *name = take_ptr(tried);
            return take_fd(&fd);
        }
        (void)!unlinkat(dir, tried, 0);
        if (r != -EWOULDBLOCK)
            return r;
    }
    return -EEXIST;
}

int temporary_link(int dir, const char *prefix, int fd, char **name)
{
    _cleanup_free_ char *made = temporary_name(prefix);
    int r;

    if (!made)
        return -ENOMEM;
    r = file_lock(fd); /* it has no name: nobody else holds it */
    if (r >= 0)
        r = file_link(fd, dir, made);
    if (r == 0)
        *name = take_ptr(made);
    return r;
}

int temporary_rename(int dir, char *name, int *fd, const char *final)
{
    /* Some filesystems tell only on closing that they could not write. */
    _cleanup_close_ int lock = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
    int r = lock < 0 ? -errno : 0;

    if (close(take_fd(fd)) < 0 && errno != EINTR && r == 0)
        r = -errno;
    if (r == 0 && renameat(dir, name, dir, final) < 0)
        r = -errno;
    if (r < 0)
        (void)!unlinkat(dir, name, 0);
    return r;
}

bool temporary_is(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(name, prefix, n) == 0 && strlen(name + n) == TEMPORARY_DIGITS &&
           strspn(name + n, "0123456789abcdef") == TEMPORARY_DIGITS;
}

/* Is it a file that a run of this user can have made? */
static bool is_own(const struct stat *st, const char *tail)
{
    return S_ISREG(st->st_mode) && (st->st_uid == geteuid() || (tail && geteuid() == 0));
}

/* Opens NAME to lock it. It may have got its last mode, which lets nobody write. */
static int open_dead(int dir, const char *name)
{
    const int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = openat(dir, name, O_RDWR | flags);

    if (fd < 0 && errno == EACCES)
        fd = openat(dir, name, O_RDONLY | flags);
    return fd < 0 ? -errno : fd;
}

static int remove_name(int dir, const char *name)
{
    return unlinkat(dir, name, 0) < 0 && !error_is_absence(-errno) ? -errno : 0;
}

int temporary_remove_dead(int dir, const char *name, const char *tail)
{
    _cleanup_close_ int fd = -1;
    _cleanup_free_ char *other = NULL;
    struct stat st;
    int r;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_is_absence(-errno) ? 0 : -errno;
    if (!is_own(&st, tail))
        return 0;
    fd = open_dead(dir, name);
    if (fd < 0)
        return error_is_absence(fd) ? 0 : fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    r = is_own(&st, tail) ? file_lock(fd) : 0;
    if (r <= 0)
        return r == -EWOULDBLOCK ? 0 : r;
    r = file_has_name(fd, dir, name); /* whoever held it may have renamed it meanwhile */
    if (r <= 0)
        return r;
    if (tail && asprintf(&other, "%s%s", name, tail) < 0)
        return -ENOMEM;
    r = other ? remove_name(dir, other) : 0;
    return r < 0 ? r : remove_name(dir, name);
}

int temporary_sweep(int dir, const char *prefix, const char *tail)
{
    _cleanup_closedir_ DIR *d = file_list_at(dir, ".");
    struct dirent *item;
    int r = d ? 0 : -errno, first = 0;

    while (d && (r = file_next(d, &item)) > 0) {
        r = temporary_is(item->d_name, prefix) ? temporary_remove_dead(dir, item->d_name, tail) : 0;
        if (first == 0)
            first = r;
    }
    return first ? first : r;
}
