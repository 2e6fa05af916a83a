/* Opens and makes things beneath a directory, never through a symlink. */

#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"

/* Does the kernel have openat2(2), and does no seccomp filter hide it? Asked once with a call that
 * cannot fail for another reason, since EPERM from a real one may be about the file. */
static bool have_openat2(void)
{
    enum { UNKNOWN, YES, NO };
    static _Atomic int known = UNKNOWN;

    int state = atomic_load_explicit(&known, memory_order_relaxed);
    if (state == UNKNOWN) {
        struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
        long fd = syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
        bool missing = fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EINVAL);
        if (fd >= 0)
            close((int)fd);
        state = missing ? NO : YES;
        atomic_store_explicit(&known, state, memory_order_relaxed);
    }
    return state == YES;
}

/* PATH at its next component that is not ".", or at its end. */
static const char *skip_to_component(const char *path)
{
    for (;;) {
        while (*path == '/')
            path++;
        if (path[0] != '.' || (path[1] != '/' && path[1] != '\0'))
            return path;
        path++;
    }
}

/* Copies the component at *PATH and moves on to the next one. */
static int take_component(const char **path, char name[NAME_MAX + 1])
{
    size_t n = strcspn(*path, "/");
    if (n > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, *path, n);
    name[n] = '\0';
    *path = skip_to_component(*path + n);
    return 0;
}

static int refuse_escape(const char *path)
{
    if (path[0] == '/')
        return -EINVAL;
    for (const char *p = path; p; p = strchr(p, '/')) {
        if (*p == '/')
            p++;
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
            return -EINVAL;
    }
    return 0;
}

/* One component. The kernel says ENOTDIR of a symlink where a directory was asked for; callers
 * want to know which of the two it was. */
static int open_component(int dirfd, const char *name, int flags, mode_t mode)
{
    int fd;
    do
        fd = openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0)
        return fd;
    int r = -errno;
    struct stat st;
    if (error_is_no_directory(r) && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(st.st_mode))
        return -ELOOP;
    return r;
}

static int open_stepwise(int dirfd, const char *path, int flags, mode_t mode)
{
    _cleanup_close_ int held = -1;
    int at = dirfd;

    path = skip_to_component(path);
    if (*path == '\0')
        return open_component(at, ".", flags, mode);
    for (;;) {
        char name[NAME_MAX + 1];
        int r = take_component(&path, name);
        if (r < 0)
            return r;
        if (*path == '\0')
            return open_component(at, name, flags, mode);
        int fd = open_component(at, name, O_PATH | O_DIRECTORY, 0);
        if (fd < 0)
            return fd;
        cleanup_close(&held);
        at = held = fd;
    }
}

static int open_at_once(int dirfd, const char *path, int flags, mode_t mode)
{
    bool makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
        .mode = makes ? mode & 07777 : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    if (!(flags & O_PATH))
        how.flags |= O_LARGEFILE;
    long fd;
    do
        fd = syscall(SYS_openat2, dirfd, *path ? path : ".", &how, sizeof how);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : (int)fd;
}

int beneath_split_long(const char *path, char part[PATH_MAX])
{
    size_t n = PATH_MAX - 1;

    while (n > 0 && path[n] != '/')
        n--;
    memcpy(part, path, n);
    part[n] = '\0';
    return n ? (int)n : -ENAMETOOLONG;
}

/* Opens what of *PATH is too long for one call but for its end, and moves *PATH on to that. */
static int open_long(int dirfd, const char **path)
{
    _cleanup_close_ int held = -1;
    int at = dirfd;
    while (strlen(*path) >= PATH_MAX) {
        char part[PATH_MAX];
        int n = beneath_split_long(*path, part);
        if (n < 0)
            return n;
        int fd = open_at_once(at, part, O_PATH | O_DIRECTORY, 0);
        if (error_is_no_directory(fd))
            fd = open_stepwise(at, part, O_PATH | O_DIRECTORY, 0);
        if (fd < 0)
            return fd;
        cleanup_close(&held);
        at = held = fd;
        *path = skip_to_component(*path + n);
    }
    return take_fd(&held);
}

int beneath_open(int dirfd, const char *path, int flags, mode_t mode)
{
    int r = refuse_escape(path);
    if (r < 0)
        return r;
    if (!have_openat2())
        return open_stepwise(dirfd, path, flags, mode);

    _cleanup_close_ int held = -1;
    int at = dirfd;
    if (strlen(path) >= PATH_MAX) {
        at = held = open_long(dirfd, &path);
        if (held < 0)
            return held;
    }
    r = open_at_once(at, path, flags, mode);
    /* A component that may be a symlink, or a file. */
    return error_is_no_directory(r) || r == -EAGAIN ? open_stepwise(at, path, flags, mode) : r;
}

int beneath_open_read(int dirfd, const char *path)
{
    return beneath_open(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
}

int beneath_open_file(int dirfd, const char *path, struct stat *st)
{
    _cleanup_close_ int fd = beneath_open_read(dirfd, path);

    if (fd < 0 || fstat(fd, st) < 0)
        return fd < 0 ? fd : -errno;
    if (!S_ISREG(st->st_mode))
        return S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL;
    return take_fd(&fd);
}

int beneath_parent(int dirfd, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;

    if (last[0] == '\0' || file_is_dots(last))
        return -EINVAL;
    *name = last;
    if (!slash)
        return beneath_open(dirfd, "", O_PATH | O_DIRECTORY, 0);
    if (slash == path)
        return -EINVAL;
    _cleanup_free_ char *dir = strndup(path, (size_t)(slash - path));
    if (!dir)
        return -ENOMEM;
    return beneath_open(dirfd, dir, O_PATH | O_DIRECTORY, 0);
}

/* As beneath_parent, into *AT, which is DIRFD itself where PATH is one component; *HELD is to be
 * closed. */
static int borrow_parent(int dirfd, const char *path, const char **name, int *at, int *held)
{
    if (!strchr(path, '/') && path[0] != '\0' && strcmp(path, ".") != 0 &&
        strcmp(path, "..") != 0) {
        *name = path;
        *at = dirfd;
        return 0;
    }
    *at = *held = beneath_parent(dirfd, path, name);
    return *held < 0 ? *held : 0;
}

/* fchmod(2) for an O_PATH descriptor: through its name in /proc, since fchmodat(2) has no flag for
 * it before Linux 6.6. Without /proc, at least directories can be opened anew. */
static int chmod_path_fd(int fd, mode_t mode)
{
    if (chmod(file_fd_name(fd).text, mode) == 0)
        return 0;
    if (!error_is_absence(-errno))
        return -errno;
    _cleanup_close_ int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0)
        return -errno;
    return fchmod(again, mode) < 0 ? -errno : 0;
}

/* Makes one directory, or finds it made, and opens it (O_PATH). */
static int make_component(int dirfd, const char *name, mode_t mode)
{
    bool made = mkdirat(dirfd, name, mode) == 0;
    if (!made && errno != EEXIST)
        return -errno;
    _cleanup_close_ int fd = open_component(dirfd, name, O_PATH | O_DIRECTORY, 0);
    if (fd < 0 || !made)
        return take_fd(&fd);
    /* The umask may have taken bits off. An inherited setgid bit stays, so that what is made in the
     * directory has its group, too. */
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    mode |= st.st_mode & S_ISGID;
    int r = (st.st_mode & 07777) == mode ? 0 : chmod_path_fd(fd, mode);
    return r < 0 ? r : take_fd(&fd);
}

static int make_stepwise(int dirfd, const char *path, mode_t mode)
{
    _cleanup_close_ int held = -1;
    int at = dirfd;

    path = skip_to_component(path);
    while (*path != '\0') {
        char name[NAME_MAX + 1];
        int r = take_component(&path, name);
        if (r < 0)
            return r;
        int fd = open_component(at, name, O_PATH | O_DIRECTORY, 0);
        if (error_is_no_entry(fd))
            fd = make_component(at, name, mode);
        if (fd < 0)
            return fd;
        cleanup_close(&held);
        at = held = fd;
    }
    return 0;
}

int beneath_mkdirs(int dirfd, const char *path, mode_t mode)
{
    int r = refuse_escape(path);
    if (r < 0)
        return r;
    /* Mostly all but the last are there. */
    const char *name;
    _cleanup_close_ int parent = beneath_parent(dirfd, path, &name);
    if (parent < 0)
        return make_stepwise(dirfd, path, mode);
    _cleanup_close_ int fd = make_component(parent, name, mode);
    return fd < 0 ? fd : 0;
}

int beneath_chmod(int dirfd, const char *path, mode_t mode)
{
    _cleanup_close_ int fd = beneath_open(dirfd, path, O_PATH, 0);
    if (fd < 0)
        return fd;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISLNK(st.st_mode) ? -ELOOP : chmod_path_fd(fd, mode);
}

int beneath_stat(int dirfd, const char *path, struct stat *st)
{
    _cleanup_close_ int fd = beneath_open(dirfd, path, O_PATH, 0);
    if (fd < 0)
        return fd;
    return fstat(fd, st) < 0 ? -errno : 0;
}

bool beneath_is_absence(int r)
{
    return error_is_absence(r) || r == -ELOOP;
}

bool beneath_is_no_file(int r)
{
    return beneath_is_absence(r) || file_is_unfit(r) || r == -ENAMETOOLONG;
}

bool beneath_is_out_of_reach(int r)
{
    return beneath_is_no_file(r) || r == -EACCES;
}

int beneath_look(int dirfd, const char *path, struct stat *st)
{
    int r = beneath_stat(dirfd, path, st);
    if (r == 0)
        return 1;
    return beneath_is_absence(r) ? 0 : r;
}

int beneath_list(int dirfd, const char *path, DIR **out)
{
    int fd = beneath_open(dirfd, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
    *out = NULL;
    if (fd < 0)
        return beneath_is_absence(fd) ? 0 : fd;
    *out = file_list(fd);
    return *out ? 1 : -errno;
}

int beneath_rmdir(int dirfd, const char *path)
{
    const char *name;
    _cleanup_close_ int parent = beneath_parent(dirfd, path, &name);

    if (parent < 0)
        return parent;
    return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int beneath_rename(int from_fd, const char *from, int to_fd, const char *to)
{
    const char *from_name, *to_name;
    _cleanup_close_ int from_held = -1, to_held = -1;
    int from_at, to_at;
    int r = borrow_parent(from_fd, from, &from_name, &from_at, &from_held);
    if (r < 0)
        return r;
    r = borrow_parent(to_fd, to, &to_name, &to_at, &to_held);
    if (r < 0)
        return r;
    return renameat(from_at, from_name, to_at, to_name) < 0 ? -errno : 0;
}

int beneath_read(int dirfd, const char *path, size_t max, struct buf *out, struct stat *st)
{
    _cleanup_close_ int fd = beneath_open_read(dirfd, path);
    if (fd < 0)
        return fd;
    buf_clear(out);
    return file_read_all(fd, max, out, st);
}
