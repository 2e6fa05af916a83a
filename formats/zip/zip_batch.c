/* Reads and inflates small entries whole. */

#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "codec/crc.h"
#include "zip_content.h"

/* Bytes of a header that are read at once with what follows it. */
enum { HEADER_GUESS = ZIP_LOCAL_SIZE + 512 };

bool zip_is_small(const struct zip_entry *e)
{
    return e->size <= ZIP_SMALL && e->packed_size <= ZIP_SMALL &&
           (e->method == ZIP_STORED || e->method == ZIP_DEFLATED) && !(e->flags & ZIP_ENCRYPTED);
}

void zip_batch_choose(struct zip_batch *b, const struct zip_archive *a, size_t first, size_t most)
{
    uint64_t plain = 0;

    zip_batch_release(b);
    b->a = a;
    b->first = first;
    b->count = 0;
    while (first + b->count < a->count && b->count < most && b->count < ZIP_BATCH_ENTRIES) {
        const struct zip_entry *e = &a->entries[first + b->count];

        if (zip_is_small(e)) {
            if (b->count > 0 && plain + e->size > ZIP_BATCH_PLAIN)
                break;
            plain += e->size;
        }
        b->count++;
    }
    b->plain = chunk_new(b->chunks, (size_t)plain);
}

void zip_batch_release(struct zip_batch *b)
{
    chunk_drop(b->plain);
    b->plain = NULL;
}

void zip_batch_clear(struct zip_batch *b)
{
    chunk_drop(b->plain);
    free(b->raw);
    libdeflate_free_decompressor(b->inflater);
    *b = (struct zip_batch){0};
}

static int make_room(unsigned char **p, size_t *room, size_t n)
{
    if (n <= *room)
        return 0;
    free(*p); /* what it held is not wanted any more */
    *p = malloc(n);
    *room = *p ? n : 0;
    return *p ? 0 : -ENOMEM;
}

/* The part of the file from FROM on, with N bytes at least. LAST: how far the batch will want it
 * later. NULL with *STATUS. */
static const unsigned char *have(struct zip_batch *b, uint64_t from, size_t n, uint64_t last,
                                 int *status)
{
    size_t wanted = n;
    ssize_t got;

    if (from >= b->raw_at && from - b->raw_at <= b->raw_size &&
        b->raw_size - (from - b->raw_at) >= n)
        return b->raw + (from - b->raw_at);
    if (last > from && last - from > n && last - from <= ZIP_SMALL)
        wanted = (size_t)(last - from);
    b->raw_size = 0;
    *status = make_room(&b->raw, &b->raw_room, wanted);
    if (*status < 0)
        return NULL;
    got = file_read_at(b->a->fd, b->raw, wanted, from);
    if (got < 0 || (size_t)got < n) {
        *status = got < 0 ? (int)got : -EBADMSG;
        return NULL;
    }
    b->raw_at = from;
    b->raw_size = (size_t)got;
    return b->raw;
}

/* Packed bytes of E. NULL with C's status. */
static const unsigned char *packed_bytes(struct zip_batch *b, const struct zip_entry *e,
                                         uint64_t last, struct zip_content *c)
{
    const uint64_t room = e->limit - e->at;
    size_t wanted = HEADER_GUESS + (size_t)e->packed_size, header;
    const unsigned char *p;
    int r;

    for (int attempt = 0; attempt < 2; attempt++) {
        size_t n = wanted < room ? wanted : (size_t)room;

        c->what = ZIP_TEXT_CUT;
        p = have(b, e->at, n, last, &c->status);
        if (!p)
            return NULL;
        r = zip_local_check(b->a, e, p, n, &header, &c->what);
        if (r == 0 && header + e->packed_size <= n)
            return p + header;
        if (r < 0 && r != -EAGAIN) {
            c->status = r;
            return NULL;
        }
        wanted = header + (size_t)e->packed_size;
        if (r == -EAGAIN && header == ZIP_LOCAL_SIZE)
            break;
    }
    c->status = -EBADMSG;
    return NULL;
}

static int unpack(struct zip_batch *b, const struct zip_entry *e, const unsigned char *packed,
                  unsigned char *out, const char **what)
{
    enum libdeflate_result r;

    *what = ZIP_TEXT_CONTRADICT;
    if (e->method == ZIP_STORED) {
        if (e->packed_size != e->size)
            return -EBADMSG;
        memcpy(out, packed, e->size);
    } else {
        if (!b->inflater)
            b->inflater = libdeflate_alloc_decompressor();
        if (!b->inflater)
            return -ENOMEM;
        r = libdeflate_deflate_decompress(b->inflater, packed, e->packed_size, out, e->size, NULL);
        *what = r == LIBDEFLATE_INSUFFICIENT_SPACE ? ZIP_TEXT_LONGER
                : r == LIBDEFLATE_SHORT_OUTPUT     ? ZIP_TEXT_SHORTER
                                                   : ZIP_TEXT_DAMAGED;
        if (r != LIBDEFLATE_SUCCESS)
            return -EBADMSG;
    }
    *what = ZIP_TEXT_CHECKSUM;
    return crc_add(0, out, e->size) == e->crc ? 0 : -EBADMSG;
}

void zip_batch_load(struct zip_batch *b)
{
    const struct zip_entry *entries = b->a->entries + b->first;
    uint64_t last = 0;
    size_t at = 0;
    int r;

    for (size_t i = 0; i < b->count; i++) {
        if (!zip_is_small(&entries[i]))
            continue;
        /* The next entry may lie far away, with nothing of use before it. */
        if (entries[i].limit - entries[i].at <= entries[i].packed_size + 65536)
            last = entries[i].limit;
    }
    b->raw_size = 0;
    r = b->plain ? chunk_fill_begin(b->plain) : -ENOMEM;
    for (size_t i = 0; i < b->count; i++) {
        struct zip_content *c = &b->contents[i];
        const unsigned char *packed;

        *c = (struct zip_content){.at = at, .status = r};
        if (r < 0 || !zip_is_small(&entries[i]))
            continue;
        packed = packed_bytes(b, &entries[i], last, c);
        if (packed)
            c->status = unpack(b, &entries[i], packed, b->plain->data + at, &c->what);
        at += entries[i].size;
    }
}
