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
