/* Keeps a zip that comes through a pipe in a file. */

#include "zip_spool.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/little_endian.h"

enum {
    CHUNK = 256 * 1024,
    HEADER = 28,         /* bytes of an entry's header, up to the length of its name */
    LATEST_VERSION = 63, /* of the format */
    LAST_METHOD = 99,
};

/* Has the entry at P a version, a method and a name? The four bytes of its signature alone come up
 * by chance where a stream is long. */
static bool is_header(const unsigned char *p)
{
    const unsigned name = get_le16(p + 26);

    return (get_le16(p + 4) & 0xff) <= LATEST_VERSION && get_le16(p + 8) <= LAST_METHOD &&
           name > 0 && name <= PATH_MAX;
}

static bool has_header(const unsigned char *data, size_t n)
{
    const unsigned char *p = data, *end = data + n;

    while ((p = memmem(p, (size_t)(end - p), "PK\3\4", 4)) && end - p >= HEADER && !is_header(p))
        p++;
    return p && end - p >= HEADER;
}

/* Is there an entry's header in the N bytes of DATA, or does one end in them? LAST: the bytes
 * before them. */
static bool begins_entry(unsigned char last[HEADER - 1], const unsigned char *data, size_t n)
{
    const size_t before = HEADER - 1, first = n < before ? n : before;
    unsigned char seam[2 * (HEADER - 1)];

    memcpy(seam, last, before);
    memcpy(seam + before, data, first);
    memcpy(last, n < before ? seam + n : data + n - before, before);
    return has_header(seam, before + first) || has_header(data, n);
}

int zip_spool(int fd, const void *start, size_t n, bool prefixed,
              const struct format_open_options *o, struct wp_error *err)
{
    _cleanup_close_ int file = file_temporary(err);
    _cleanup_free_ unsigned char *data = malloc(CHUNK);
    unsigned char last[HEADER - 1] = {0};
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
