/* Buffers the packed bytes of an archive. */

#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* Keeps the last bytes of all that was read. */
static void note_read(struct input *in, const void *data, size_t n)
{
    const unsigned char *p = data;
    size_t kept = n < INPUT_LAST ? INPUT_LAST - n : 0;

    in->total += n;
    memmove(in->last, in->last + INPUT_LAST - kept, kept);
    if (n > 0)
        memcpy(in->last + kept, p + n - (INPUT_LAST - kept), INPUT_LAST - kept);
}

uint64_t input_position(const struct input *in)
{
    return in->total - (in->front.size - in->front_pos) - (in->end - in->pos);
}

int input_init(struct input *in, int fd, const void *prefix, size_t prefix_size)
{
    *in = (struct input){.fd = fd};
    in->data = malloc(INPUT_CHUNK);
    if (!in->data || buf_add(&in->front, prefix, prefix_size) < 0) {
        input_free(in);
        return -ENOMEM;
    }
    note_read(in, prefix, prefix_size);
    /* A hint only; what is no file refuses it. */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return 0;
}

void input_free(struct input *in)
{
    if (in->fd >= 0)
        close(in->fd);
    buf_free(&in->front);
    free(in->data);
    *in = (struct input){.fd = -1};
}

/* Bytes read into DATA: their number; 0 at the end; negative errno. The last two stay. */
static ssize_t read_some(struct input *in, void *data, size_t n)
{
    ssize_t r;

    if (in->ended)
        return in->ended < 0 ? in->ended : 0;
    do {
        if (file_wait(in->fd, POLLIN, in->interrupted) < 0)
            return in->ended = -EINTR;
        r = read(in->fd, data, n);
    } while (r < 0 && errno == EINTR);
    if (r <= 0)
        in->ended = r < 0 ? -errno : 1;
    else
        note_read(in, data, (size_t)r);
    return r < 0 ? in->ended : r;
}

ssize_t input_look(struct input *in, const unsigned char **data)
{
    if (in->front_pos < in->front.size) {
        *data = in->front.data + in->front_pos;
        return (ssize_t)(in->front.size - in->front_pos);
    }
    if (in->front.room > 0) {
        buf_free(&in->front);
        in->front_pos = 0;
    }
    if (in->pos == in->end) {
        ssize_t r = read_some(in, in->data, INPUT_CHUNK);
        if (r <= 0)
            return r;
        in->pos = 0;
        in->end = (size_t)r;
    }
    *data = in->data + in->pos;
    return (ssize_t)(in->end - in->pos);
}

void input_skip(struct input *in, size_t n)
{
    if (in->front_pos < in->front.size)
        in->front_pos += n;
    else
        in->pos += n;
}

int input_seek(struct input *in, uint64_t offset)
{
    const unsigned char *data;

    while (in->front_pos < in->front.size || in->pos < in->end) {
        uint64_t left = offset - input_position(in);
        ssize_t n = input_look(in, &data);

        input_skip(in, (uint64_t)n < left ? (size_t)n : (size_t)left);
        if ((uint64_t)n >= left)
            return 0;
    }
    if (lseek(in->fd, (off_t)(offset - input_position(in)), SEEK_CUR) < 0)
        return -errno;
    in->total = offset;
    return 0;
}

int input_take(struct input *in, struct buf *to, size_t n)
{
    int r = buf_reserve(to, n);

    if (r < 0)
        return r;
    while (n > 0) {
        const unsigned char *data;
        ssize_t got;
        bool is_empty = in->front_pos == in->front.size && in->pos == in->end;

        if (is_empty && n >= INPUT_CHUNK / 4) {
            /* Much is wanted: past the buffer, so that it is not copied twice. */
            got = read_some(in, to->data + to->size, n);
            if (got <= 0)
                return (int)got;
        } else {
            got = input_look(in, &data);
            if (got <= 0)
                return (int)got;
            if ((size_t)got > n)
                got = (ssize_t)n;
            memcpy(to->data + to->size, data, (size_t)got);
            input_skip(in, (size_t)got);
        }
        to->size += (size_t)got;
        n -= (size_t)got;
    }
    return 1;
}

int input_give_back(struct input *in, struct buf *bytes)
{
    if (in->front_pos < in->front.size) {
        int r = buf_add(bytes, in->front.data + in->front_pos, in->front.size - in->front_pos);
        if (r < 0)
            return r;
    }
    buf_free(&in->front);
    in->front = *bytes;
    in->front_pos = 0;
    *bytes = (struct buf){0};
    return 0;
}

int input_only_zeros(struct input *in)
{
    const unsigned char *data;
    ssize_t n;

    while ((n = input_look(in, &data)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if (data[i] != 0)
                return 0;
        input_skip(in, (size_t)n);
    }
    return n < 0 ? (int)n : 1;
}
