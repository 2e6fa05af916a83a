/* Keeps a zip that comes through a pipe in a file. */

#include "zip_spool.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

enum { CHUNK = 256 * 1024, MAGIC_SIZE = 4 };

/* Is there an entry's signature in the N bytes of DATA, or does one end in them? LAST: the bytes
 * before them. */
static bool begins_entry(unsigned char last[MAGIC_SIZE - 1], const unsigned char *data, size_t n)
{
    static const unsigned char magic[MAGIC_SIZE] = {'P', 'K', 3, 4};
    const size_t before = MAGIC_SIZE - 1, first = n < before ? n : before;
    unsigned char seam[2 * (MAGIC_SIZE - 1)];

    memcpy(seam, last, before);
    memcpy(seam + before, data, first);
    memcpy(last, n < before ? seam + n : data + n - before, before);
    return memmem(seam, before + first, magic, sizeof magic) ||
           memmem(data, n, magic, sizeof magic);
}

int zip_spool(int fd, const void *start, size_t n, bool prefixed,
              const struct format_open_options *o, struct wp_error *err)
{
    _cleanup_close_ int file = file_temporary(err);
    _cleanup_free_ unsigned char *data = malloc(CHUNK);
    unsigned char last[MAGIC_SIZE - 1] = {0};
    bool is_sought = prefixed && !begins_entry(last, start, n);
    uint64_t at = n;
    int r;

    if (file < 0)
        return file;
    if (!data)
        return error_nomem(err);
    r = file_temporary_write(file, 0, start, n, err);
    while (r == 0) {
        if (file_wait(fd, POLLIN, context_interrupted(o->context)) < 0)
            return error_set(err, EINTR, o->name, "cannot read");
        ssize_t got = read(fd, data, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(err, errno, o->name, "cannot read");
        if (got == 0)
            return take_fd(&file);
        is_sought = is_sought && !begins_entry(last, data, (size_t)got);
        at += (uint64_t)got;
        if (is_sought && at > ZIP_LONGEST_PROGRAM)
            return -ENOMSG;
        r = file_temporary_write(file, at - (uint64_t)got, data, (size_t)got, err);
    }
    return r;
}
