#pragma once
/* Reads an archive to its end as the jobs do: from a file, where the manifest is looked for first,
 * and through a pipe. */

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "formats.h"
#include "stream/pool.h"

enum {
    LARGEST_CONTENT = 1 << 22, /* bytes taken of an archive, which may be a bomb */
    PIPE_HOLDS = 1 << 16
};

/* A sum over everything, so that a sanitizer sees each byte that is handed out. */
static volatile uint64_t fuzz_sum;

static inline void touch(const void *data, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += ((const unsigned char *)data)[i];
    fuzz_sum += sum;
}

static inline int read_content(struct format_reader *r, size_t *left)
{
    const void *data;
    uint64_t offset;
    size_t n;
    int more;

    while ((more = r->ops->data(r, &data, &n, &offset, NULL)) == 1) {
        touch(data, n);
        if (n >= *left)
            return 0;
        *left -= n;
    }
    return more < 0 ? more : 1;
}

static inline void read_archive(int fd, struct pool *pool)
{
    const struct format_open_options options = {.name = "archive", .pool = pool};
    _cleanup_buf_ struct buf path = {0}, text = {0};
    struct format_reader *r = NULL;
    const struct entry *e;
    size_t left = LARGEST_CONTENT;

    if (formats_open_reader(&r, fd, &options, NULL) < 0)
        return;
    if (r->ops->manifest(r, &path, &text, NULL) >= 0) {
        touch(text.data, text.size);
        while (r->ops->next(r, &e, NULL) == 1) {
            touch(e->path, strlen(e->path));
            if (e->target)
                touch(e->target, strlen(e->target));
            if (e->type == ENTRY_FILE && read_content(r, &left) <= 0)
                break;
        }
    }
    r->ops->free(r);
}

static inline void fuzz_archive(const uint8_t *data, size_t size)
{
    static struct pool *pool;
    int fds[2], fd = memfd_create("archive", MFD_CLOEXEC);

    if (!pool && !(pool = pool_new(1)))
        abort();
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
        abort();
    read_archive(fd, pool); /* takes it over */
    if (size >= PIPE_HOLDS)
        return;
    if (pipe2(fds, O_CLOEXEC) < 0 || write(fds[1], data, size) != (ssize_t)size)
        abort();
    close(fds[1]);
    read_archive(fds[0], pool);
}
