/* Reads entries of any size in bounded memory. */

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "codec/crc.h"
#include "codec/inflate.h"
#include "codec/pieces.h"
#include "zip_content.h"

enum { CHUNK = 256 * 1024 };

struct zip_stream {
    const struct zip_archive *a;
    const struct zip_entry *e;
    uint64_t at;         /* in the file, of the packed bytes to be read next */
    uint64_t left;       /* of them */
    uint64_t plain_left; /* bytes that must still come out */
    uint32_t crc;
    struct zip_odd *odd; /* a method that is not ours */
    struct inflater *inflater;
    bool ended;                /* the deflate data are over */
    const unsigned char *next; /* in IN, what the inflater has not taken yet */
    size_t at_hand;            /* its length */
    unsigned char in[CHUNK];
};

static int find_content(struct zip_stream *s, const char **what)
{
    const struct zip_entry *e = s->e;
    size_t size, n = ZIP_LOCAL_SIZE;

    for (int attempt = 0; attempt < 2; attempt++) {
        ssize_t got = file_read_at(s->a->fd, s->in, n, e->at);
        int r;

        if (got < 0)
            return (int)got;
        r = zip_local_check(s->a, e, s->in, (size_t)got, &size, what);
        if (r == 0)
            s->at = e->at + size;
        if (r != -EAGAIN)
            return r;
        n = size; /* at most 30 bytes and twice 64 KiB */
    }
    return pieces_damaged(what, ZIP_TEXT_CUT);
}

/* Methods that neither this program nor libarchive has. */
static const char *unreadable(uint16_t method)
{
    switch (method) {
    case 1:
        return "it is packed with Shrink (method 1), which cannot be read";
    case 2:
    case 3:
    case 4:
    case 5:
        return "it is packed with Reduce (methods 2 to 5), which cannot be read";
    case 6:
        return "it is packed with Implode (method 6), which cannot be read";
    case 9:
        return "it is packed with Deflate64 (method 9), which cannot be read";
    default:
        return NULL;
    }
}

int zip_stream_new(struct zip_stream **out, const struct zip_archive *a, const struct zip_entry *e,
                   const char **what)
{
    struct zip_stream *s;
    int r;

    if (e->flags & ZIP_ENCRYPTED)
        return pieces_damaged(what, ZIP_TEXT_ENCRYPTED);
    *what = unreadable(e->method);
    if (*what)
        return -EBADMSG;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->a = a;
    s->e = e;
    s->left = e->packed_size;
    s->plain_left = e->size;
    s->next = s->in;
    r = find_content(s, what);
    if (r == 0 && e->method == ZIP_STORED && e->packed_size != e->size)
        r = pieces_damaged(what, ZIP_TEXT_CONTRADICT);
    /* libarchive takes nothing at all, packed by LZMA, for damaged. */
    if (r == 0 && e->method != ZIP_STORED && e->method != ZIP_DEFLATED && e->size > 0)
        r = zip_odd_new(&s->odd, a, e, s->at, what);
    if (r == 0 && e->method == ZIP_DEFLATED) {
        s->inflater = inflater_new();
        r = s->inflater ? 0 : -ENOMEM;
    }
    if (r < 0) {
        zip_stream_free(s);
        return r;
    }
    *out = s;
    return 0;
}

void zip_stream_free(struct zip_stream *s)
{
    if (!s)
        return;
    zip_odd_free(s->odd);
    inflater_free(s->inflater);
    free(s);
}

static ssize_t read_stored(struct zip_stream *s, unsigned char *out, size_t room, const char **what)
{
    size_t n = room < s->left ? room : (size_t)s->left;
    ssize_t got = file_read_at(s->a->fd, out, n, s->at);

    if (got < 0)
        return got;
    if ((size_t)got < n)
        return pieces_damaged(what, ZIP_TEXT_CUT);
    s->at += n;
    s->left -= n;
    return got;
}

/* Reads packed bytes where all of the last ones have been taken: 0 or negative errno. */
static int look_at_packed(struct zip_stream *s)
{
    if (s->at_hand > 0 || s->left == 0)
        return 0;
    size_t n = s->left < CHUNK ? (size_t)s->left : CHUNK;
    ssize_t got = file_read_at(s->a->fd, s->in, n, s->at);

    if (got < 0)
        return (int)got;
    s->next = s->in;
    s->at_hand = (size_t)got;
    s->at += (uint64_t)got;
    s->left = (size_t)got < n ? 0 : s->left - n;
    return 0;
}

/* Bytes inflated into OUT; 0 at the end of the deflate data. */
static ssize_t read_deflated(struct zip_stream *s, unsigned char *out, size_t room,
                             const char **what)
{
    struct inflated done = {0};

    while (done.made == 0 && !s->ended) {
        int r = look_at_packed(s);

        if (r < 0)
            return r;
        if (inflater_run(s->inflater, s->next, s->at_hand, out, room, &done) < 0)
            return pieces_damaged(what, ZIP_TEXT_DAMAGED);
        s->next += done.used;
        s->at_hand -= done.used;
        s->ended = done.ended;
        if (done.made == 0 && !done.ended && done.used == 0 && s->left == 0)
            return pieces_damaged(what, ZIP_TEXT_CUT);
    }
    return (ssize_t)done.made;
}

static ssize_t read_some(struct zip_stream *s, unsigned char *out, size_t room, const char **what)
{
    if (s->odd)
        return zip_odd_read(s->odd, out, room, what);
    return s->e->method == ZIP_STORED ? read_stored(s, out, room, what)
                                      : read_deflated(s, out, room, what);
}

/* All bytes are there: are there more, and are they the right ones? */
static int check_end(struct zip_stream *s, const char **what)
{
    const bool is_ours = s->e->method == ZIP_STORED || s->e->method == ZIP_DEFLATED;
    unsigned char more;
    ssize_t n = is_ours || s->odd ? read_some(s, &more, 1, what) : 0;

    if (n < 0)
        return (int)n;
    *what = n > 0 ? ZIP_TEXT_LONGER : ZIP_TEXT_CHECKSUM;
    return n > 0 || s->crc != s->e->crc ? -EBADMSG : 0;
}

int zip_stream_fill(void *stream, unsigned char *out, size_t room, size_t *n, const char **what)
{
    struct zip_stream *s = stream;

    *n = 0;
    while (*n < room && s->plain_left > 0) {
        size_t part = room - *n < s->plain_left ? room - *n : (size_t)s->plain_left;
        ssize_t got = read_some(s, out + *n, part, what);

        if (got < 0)
            return (int)got;
        if (got == 0)
            return pieces_damaged(what, ZIP_TEXT_SHORTER);
        s->crc = crc_add(s->crc, out + *n, (size_t)got);
        s->plain_left -= (uint64_t)got;
        *n += (size_t)got;
    }
    return s->plain_left > 0 ? 1 : check_end(s, what);
}
