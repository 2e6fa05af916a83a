/* Holds no more of a manifest's text than is being read. */

#include "manifest/manifest_private.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"

int read_text_open(struct read_text *t, int fd, size_t size)
{
    void *room = NULL;

    if (size)
        room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    if (room == MAP_FAILED)
        return -ENOMEM;
    *t = (struct read_text){.data = room, .size = size, .fd = fd, .given = true};
    return 0;
}

void read_text_close(struct read_text *t)
{
    if (t->fd >= 0 && t->data)
        munmap((void *)t->data, t->size);
}

int read_text_load(struct read_text *t, size_t from, size_t n)
{
    ssize_t got = t->fd < 0 ? (ssize_t)n : file_read_at(t->fd, (char *)t->data + from, n, from);

    if (got < 0)
        return (int)got;
    return (size_t)got == n ? 0 : -ESTALE;
}

void read_text_drop(const struct read_text *t, size_t from, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)(t->data + from) + page - 1) / page * page;
    uintptr_t end = (uintptr_t)(t->data + from + n) / page * page;

    if (t->given && first < end)
        (void)madvise((void *)first, end - first, MADV_DONTNEED);
}
