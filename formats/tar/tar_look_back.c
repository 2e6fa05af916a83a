/* Finds the last entry of a plain tar by looking back from the end of the file. */

#include "tar_look_back.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "tar_header.h"

enum {
    WINDOW = 128 * 1024,      /* bytes read at once */
    MOST_ZEROS = 1 << 20,     /* bytes behind the last entry: the largest record that is usual */
    MOST_EXTENSION = 1 << 20, /* bytes of an extended header before it */
};

/* A part of the file, which moves towards its beginning. */
struct window {
    int fd;
    unsigned char *data; /* WINDOW bytes, owned */
    uint64_t at;         /* where in the file it begins */
    uint64_t end;        /* and ends */
};

/* *BLOCK: the block that begins AT, valid until the next call. 0 or negative errno. */
static int block_at(struct window *w, uint64_t at, const struct tar_header **block)
{
    if (at < w->at || at + TAR_BLOCK > w->end) {
        const uint64_t end = at + TAR_BLOCK;
        ssize_t got;

        w->at = end > WINDOW ? end - WINDOW : 0;
        got = file_read_at(w->fd, w->data, (size_t)(end - w->at), w->at);
        w->end = w->at;
        if (got < 0)
            return (int)got;
        w->end += (uint64_t)got;
        if (w->end < end)
            return -EBADMSG; /* it has been truncated meanwhile */
    }
    *block = (const struct tar_header *)(w->data + (at - w->at));
    return 0;
}

static bool is_header(const struct tar_header *h)
{
    return memcmp(h->magic, "ustar", 5) == 0 && tar_checksum_fits(h);
}

/* Does H, which stands AT, with its content end at END? */
static bool ends_at(const struct tar_header *h, uint64_t at, uint64_t end)
{
    int64_t size;

    return tar_get_number(h->size, sizeof(h->size), &size) == 0 && size >= 0 &&
           (uint64_t)size <= end - at - TAR_BLOCK &&
           at + TAR_BLOCK + (uint64_t)size + tar_padding((uint64_t)size) == end;
}

/* The last header before END, at most MOST bytes before it, if its content ends there: 1, *AT and
 * *H. */
static int find_header(struct window *w, uint64_t end, uint64_t most, uint64_t *at,
                       const struct tar_header **h)
{
    for (*at = end; *at >= TAR_BLOCK && end - *at < most + TAR_BLOCK;) {
        int r;

        *at -= TAR_BLOCK;
        r = block_at(w, *at, h);
        if (r < 0)
            return r;
        if (is_header(*h))
            return ends_at(*h, *at, end);
    }
    return 0;
}

static bool speaks_of_the_next(const struct tar_header *h)
{
    return h->type == TAR_PAX || h->type == TAR_LONG_NAME || h->type == TAR_LONG_LINK;
}

/* Where the blocks of zeros begin that end the file of SIZE bytes. */
static int find_end(struct window *w, uint64_t size, uint64_t *end)
{
    for (*end = size; *end >= TAR_BLOCK && size - *end <= MOST_ZEROS; *end -= TAR_BLOCK) {
        const struct tar_header *block;
        int r = block_at(w, *end - TAR_BLOCK, &block);

        if (r < 0)
            return r;
        if (!tar_is_zero_block(block))
            return size - *end >= TAR_END;
    }
    return 0;
}

int tar_look_back(int fd, uint64_t most, uint64_t *offset)
{
    _cleanup_free_ unsigned char *data = malloc(WINDOW);
    struct window w = {.fd = fd, .data = data};
    const struct tar_header *h;
    uint64_t end, at;
    struct stat st;
    int r;

    if (!data)
        return -ENOMEM;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size % TAR_BLOCK != 0)
        return 0;
    r = find_end(&w, (uint64_t)st.st_size, &end);
    if (r == 1)
        r = find_header(&w, end, most, &at, &h);
    if (r != 1)
        return r;
    do
        *offset = at;
    while ((r = find_header(&w, *offset, MOST_EXTENSION, &at, &h)) == 1 && speaks_of_the_next(h));
    return r < 0 ? r : 1;
}
