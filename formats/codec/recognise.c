/* Finds a codec by the first bytes of an archive. */

#include <sys/stat.h>
#include <unistd.h>

#include "codec.h"

enum { LARGEST_POINTER = 512, START = 512 };

static const struct codec *const readable[] = {&codec_gzip, &codec_zstd};

const struct codec *codec_recognise(const unsigned char *start, size_t n)
{
    for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++)
        if (readable[i]->recognises(start, n))
            return readable[i];
    return NULL;
}

int codec_find_manifest(const struct codec *c, int fd, uint64_t *offset)
{
    unsigned char found[LARGEST_POINTER], start[START];
    struct stat st;
    uint64_t at, end;
    ssize_t n;

    if (!c->pointer_size || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size < c->pointer_size)
        return 0;
    end = (uint64_t)st.st_size - c->pointer_size;
    if (pread(fd, found, c->pointer_size, (off_t)end) != (ssize_t)c->pointer_size ||
        !c->read_pointer(found, &at) || at >= end)
        return 0;
    n = pread(fd, start, sizeof(start), (off_t)at);
    if (n <= 0 || !c->begins(start, (size_t)n))
        return 0;
    *offset = at;
    return 1;
}
