#include "zip_spool.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

enum { CHUNK = 256 * 1024 };

int zip_spool(int fd, const void *start, size_t n, const struct format_open_options *o,
              struct wp_error *err)
{
    _cleanup_close_ int file = file_temporary(err);
    _cleanup_free_ unsigned char *data = malloc(CHUNK);
    uint64_t at = n;
    int r;

    if (file < 0)
        return file;
    if (!data)
        return error_nomem(err);
    r = file_temporary_write(file, 0, start, n, err);
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
        r = file_temporary_write(file, at, data, (size_t)got, err);
        at += (uint64_t)got;
    }
    return r;
}
