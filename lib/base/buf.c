/* Keeps a growable run of bytes. */

#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int buf_reserve(struct buf *b, size_t more)
{
    size_t want, room;
    unsigned char *data;

    if (__builtin_add_overflow(b->size, more, &want))
        return -ENOMEM;
    if (want <= b->room)
        return 0;
    room = b->room ? b->room : 256;
    while (room < want)
        if (__builtin_mul_overflow(room, 2, &room))
            return -ENOMEM;
    data = realloc(b->data, room);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->room = room;
    return 0;
}

int buf_add(struct buf *b, const void *data, size_t n)
{
    int r = buf_reserve(b, n);

    if (r < 0)
        return r;
    if (n)
        memcpy(b->data + b->size, data, n);
    b->size += n;
    return 0;
}

int buf_add_zeros(struct buf *b, size_t n)
{
    int r = buf_reserve(b, n);

    if (r < 0)
        return r;
    if (n)
        memset(b->data + b->size, 0, n);
    b->size += n;
    return 0;
}

int buf_add_str(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n, r;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return -EINVAL;
    r = buf_reserve(b, (size_t)n + 1);
    if (r < 0)
        return r;
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->size, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->size += (size_t)n;
    return 0;
}

int buf_terminate(struct buf *b)
{
    int r = buf_reserve(b, 1);

    if (r < 0)
        return r;
    b->data[b->size] = '\0';
    return 0;
}

bool buf_equals(const struct buf *a, const struct buf *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
