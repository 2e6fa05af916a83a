/* Opens what a codec has packed, or has not. */

#include <errno.h>
#include <unistd.h>

#include "codec.h"
#include "pieces.h"

int codec_open(struct source **out, const struct codec *c, int fd, const void *prefix,
               size_t prefix_size, const char *name, struct pool *pool, struct wp_error *err)
{
    struct source *file;
    int r;

    if (c->pieces)
        return pieces_open(out, c->pieces, fd, prefix, prefix_size, name, pool, err);
    r = source_file(&file, fd, name, err);
    if (r == 0 && prefix_size > 0) {
        r = source_with_prefix(out, prefix, prefix_size, file, err);
        if (r < 0)
            source_free(file);
    } else if (r == 0) {
        *out = file;
    }
    return r;
}

ssize_t codec_peek(const struct codec *c, int fd, void *out, size_t n)
{
    ssize_t got;

    if (c->pieces)
        return pieces_peek(c->pieces, fd, out, n);
    got = pread(fd, out, n, 0);
    return got < 0 ? -errno : got;
}
