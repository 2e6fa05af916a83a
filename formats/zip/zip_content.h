#pragma once
/* The content of entries: small ones whole, many to a batch, large ones as a stream. */

#include "stream/chunk.h"
#include "zip_archive.h"

enum {
    ZIP_SMALL = 4 << 20,       /* bytes: content up to this, packed and not, is read whole */
    ZIP_BATCH_PLAIN = 1 << 20, /* bytes at which a batch has enough */
    ZIP_BATCH_ENTRIES = 64,
};

/* What *WHAT says. */
#define ZIP_TEXT_CUT "its content is truncated"
#define ZIP_TEXT_CHECKSUM "its checksum differs"
#define ZIP_TEXT_DAMAGED "its compressed data are damaged"
#define ZIP_TEXT_LONGER "its content is longer than its header says"
#define ZIP_TEXT_SHORTER "its content is shorter than its header says"
#define ZIP_TEXT_ENCRYPTED "it is encrypted"
#define ZIP_TEXT_CONTRADICT "its two headers contradict one another"

/* Checks the local header at P, of which N bytes are at hand, against E. 0 and *SIZE: bytes of it;
 * -EAGAIN where it needs *SIZE bytes; else -EBADMSG and *WHAT. */
int zip_local_check(const struct zip_archive *a, const struct zip_entry *e, const unsigned char *p,
                    size_t n, size_t *size, const char **what);

/* May E be read whole? */
bool zip_is_small(const struct zip_entry *e);

/* ---- Batches */

struct zip_content {
    size_t at;        /* in the batch's plain bytes; the entry's size is their number */
    int status;       /* 0 or negative errno */
    const char *what; /* with -EBADMSG */
};

struct libdeflate_decompressor;

struct zip_batch {
    const struct zip_archive *a;
    size_t first, count; /* entries of the archive; those that are not small are left out */
    struct zip_content contents[ZIP_BATCH_ENTRIES];
    struct chunks *chunks; /* borrowed */
    struct chunk *plain;   /* NULL: no memory */
    unsigned char *raw;    /* a part of the file */
    size_t raw_room, raw_size;
    uint64_t raw_at;
    struct libdeflate_decompressor *inflater;
};

/* Chooses the entries from FIRST on that belong into one batch, at most MOST. */
void zip_batch_choose(struct zip_batch *b, const struct zip_archive *a, size_t first, size_t most);
void zip_batch_load(struct zip_batch *b);    /* reads and inflates; any thread */
void zip_batch_release(struct zip_batch *b); /* the content is not wanted any more */
void zip_batch_clear(struct zip_batch *b);

/* ---- Streams */

struct zip_stream;

/* 0; -ENOMEM or another negative errno; with -EBADMSG, *WHAT. A and E outlive it. */
int zip_stream_new(struct zip_stream **out, const struct zip_archive *a, const struct zip_entry *e,
                   const char **what);
/* As struct piece_ops has it: fills OUT, *N saying how far. */
int zip_stream_fill(void *stream, unsigned char *out, size_t room, size_t *n, const char **what);
void zip_stream_free(struct zip_stream *s); /* NULL is fine */

/* ---- Methods that libarchive knows */

struct zip_odd;

/* Content of E, whose packed bytes stand AT. 0; -ENOMEM; -EBADMSG with *WHAT. */
int zip_odd_new(struct zip_odd **out, const struct zip_archive *a, const struct zip_entry *e,
                uint64_t at, const char **what);
/* The next bytes into OUT: their number; 0 at the end; negative errno. */
ssize_t zip_odd_read(struct zip_odd *o, unsigned char *out, size_t room, const char **what);
void zip_odd_free(struct zip_odd *o);
