/* Reads files through symbolic links: package managers and build systems link the files of a tree
 * from a store. */

#include "behind.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/times.h"
#include "beneath.h"

int behind_look(int dirfd, const char *path, struct stat *st)
{
    if (fstatat(dirfd, path, st, 0) < 0)
        return beneath_is_absence(-errno) || errno == ENAMETOOLONG ? 0 : -errno;
    return S_ISREG(st->st_mode);
}

int behind_open(int dirfd, const char *path)
{
    struct stat st;
    _cleanup_close_ int fd = -1;
    int r = behind_look(dirfd, path, &st);

    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    /* It may be another file by now. */
    fd = openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) ? take_fd(&fd) : -ENOENT;
}

int behind_has_content(int dirfd, const char *path, const unsigned char sha256[SHA256_SIZE])
{
    _cleanup_close_ int fd = behind_open(dirfd, path);
    int r = fd < 0 ? fd : sha256_file_is(fd, sha256);

    return beneath_is_no_file(r) ? 0 : r;
}

int behind_is_link_to(int dirfd, const char *path, const char *target)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(dirfd, path, text, sizeof text);

    if (n < 0)
        return errno == EINVAL || errno == ENAMETOOLONG || beneath_is_absence(-errno) ? 0 : -errno;
    return (size_t)n == strlen(target) && memcmp(text, target, (size_t)n) == 0;
}

/* The bytes of the part of PATH up to the first symbolic link in it, which *ST tells of; 0: there
 * is none. */
static size_t first_link(int dirfd, char *path, struct stat *st)
{
    for (char *end = path; *end;) {
        char c;
        int r;

        end += *end == '/';
        end += strcspn(end, "/");
        c = *end;
        *end = '\0';
        r = fstatat(dirfd, path, st, AT_SYMLINK_NOFOLLOW);
        *end = c;
        if (r < 0)
            return 0;
        if (S_ISLNK(st->st_mode))
            return (size_t)(end - path);
    }
    return 0;
}

/* *PATH, whose first N bytes are a symbolic link, becomes what it leads to; NULL: out of DIRFD. 0
 * or -ENOMEM. */
static int leave_link(int dirfd, char **path, size_t n)
{
    _cleanup_free_ char *link = strndup(*path, n), *dir = link ? path_dir(link) : NULL;
    _cleanup_buf_ struct buf joined = {0};
    char text[PATH_MAX];
    ssize_t size = link ? readlinkat(dirfd, link, text, sizeof text) : -1;
    bool is_out = size <= 0 || (size_t)size >= sizeof text || text[0] == '/';

    if (!dir || (!is_out && buf_printf(&joined, "%s%s%.*s%s", dir, *dir ? "/" : "", (int)size, text,
                                       *path + n) < 0))
        return -ENOMEM;
    free(*path);
    *path = is_out ? NULL : path_normalise((char *)joined.data);
    if (!is_out && !*path)
        return -ENOMEM;
    if (*path && strncmp(*path, "..", 2) == 0 && (!(*path)[2] || (*path)[2] == '/'))
        free(take_ptr(*path));
    return 0;
}

int behind_newest_link(int dirfd, const char *path, struct timespec *t)
{
    enum { MOST_LINKS = 40 }; /* as Linux follows */
    _cleanup_free_ char *at = strdup(path);
    struct stat st;
    size_t n;
    int r = at ? 0 : -ENOMEM;

    for (int i = 0; i < MOST_LINKS && r == 0 && at && (n = first_link(dirfd, at, &st)); i++) {
        if (time_is_before(*t, st.st_mtim))
            *t = st.st_mtim;
        r = leave_link(dirfd, &at, n);
    }
    return r;
}

int behind_read(int dirfd, const char *path, size_t max, struct buf *out, struct stat *st)
{
    _cleanup_close_ int fd = behind_open(dirfd, path);
    struct stat own;

    if (!st)
        st = &own;
    if (fd < 0)
        return fd;
    if (fstat(fd, st) < 0)
        return -errno;
    if (st->st_size < 0 || (uintmax_t)st->st_size > max)
        return -EFBIG;
    buf_clear(out);
    return file_read_rest(fd, (size_t)st->st_size, max, out);
}
