#include "zip_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"

enum { CHUNK = 256 * 1024 };

static const char *temporary_dir(void)
{
    const char *dir = getenv("TMPDIR");

    return dir && *dir ? dir : "/tmp";
}

static int open_temporary(struct wp_error *err)
{
    const char *dir = temporary_dir();
    _cleanup_free_ char *path = NULL;
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd >= 0 ? fd : error_set(err, errno, dir, "cannot make a temporary file");
    path = path_join(dir, ".warmpack.XXXXXX");
    if (!path)
        return error_nomem(err);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return error_set(err, errno, dir, "cannot make a temporary file");
    unlink(path);
    return fd;
}

static int write_all(int fd, const unsigned char *p, size_t n, struct wp_error *err)
{
    while (n) {
        ssize_t r = write(fd, p, n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return error_set(err, errno, temporary_dir(),
                             "cannot keep the archive in a temporary file");
        p += r;
        n -= (size_t)r;
    }
    return 0;
}

int zip_spool(int fd, const void *start, size_t n, const struct format_open_options *o,
              struct wp_error *err)
{
    _cleanup_close_ int file = open_temporary(err);
    _cleanup_free_ unsigned char *data = malloc(CHUNK);
    int r = file;

    if (file < 0)
        return file;
    if (!data)
        return error_nomem(err);
    r = write_all(file, start, n, err);
    while (r == 0) {
        if (file_wait(fd, POLLIN, o->interrupted) < 0)
            return error_set(err, EINTR, o->name, "cannot read");
        ssize_t got = read(fd, data, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(err, errno, o->name, "cannot read");
        if (got == 0)
            return take_fd(&file);
        r = write_all(file, data, (size_t)got, err);
    }
    return r;
}
