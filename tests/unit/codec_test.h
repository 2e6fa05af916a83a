#pragma once
/* What the tests of the codecs share: data, archives in memory, reading them in every way. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codec/codec.h"

/* Bytes that compress about as well as code: words from a small dictionary, and noise. */
static inline void make_data(struct buf *b, size_t n, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;

    while (n > 0) {
        unsigned char run[16];
        x = x * 1664525 + 1013904223;
        size_t length = 4 + (x >> 28) % 12;
        for (size_t i = 0; i < length; i++)
            run[i] = (unsigned char)(x & 0x8000 ? (x >> 20) * 31 + i : (x >> 9) + i * x);
        if (length > n)
            length = n;
        assert_int_equal(buf_add(b, run, length), 0);
        n -= length;
    }
}

static inline int file_of(const void *data, size_t n)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), (ssize_t)n);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static inline void pack_block(const struct codec *c, struct buf *to, const void *data, size_t n)
{
    struct format_block b = {0};
    struct wp_error err = {0};

    assert_int_equal(buf_add(&b.plain, data, n), 0);
    assert_int_equal(c->pack(&b, -1, &err), 0);
    assert_int_equal(buf_add(to, b.packed.data, b.packed.size), 0);
    format_block_free(&b);
}

/* Everything that FD gives through C, appended to PLAIN: 0, or what the reading failed with. */
static inline int read_fd(const struct codec *c, int fd, const void *prefix, size_t prefix_size,
                          unsigned threads, struct buf *plain, struct wp_error *err)
{
    struct pool *pool = pool_new(threads);
    struct source *s = NULL;
    const void *data;
    ssize_t n = codec_open(&s, c, fd, prefix, prefix_size, "the-archive", pool, err);

    if (n == 0) {
        while ((n = source_pull(s, &data, err)) > 0)
            assert_int_equal(buf_add(plain, data, (size_t)n), 0);
        source_free(s);
    }
    pool_free(pool);
    return (int)n;
}

static inline int read_all(const struct codec *c, const struct buf *packed, unsigned threads,
                           struct buf *plain, struct wp_error *err)
{
    return read_fd(c, file_of(packed->data, packed->size), NULL, 0, threads, plain, err);
}

/* Runs that the consumer keeps stay as they were, however many, and also when the source is gone.
 * Where all memory is the consumer's the source still goes on. */
static inline void assert_shared_as(const struct codec *c, const struct buf *packed,
                                    unsigned threads, const struct buf *plain)
{
    enum { MOST = 4096 };
    static struct {
        struct chunk *chunk;
        const unsigned char *data;
        size_t n, at;
    } kept[MOST];
    struct pool *pool = pool_new(threads);
    struct source *s = NULL;
    struct wp_error err = {0};
    size_t count = 0, at = 0;
    const void *data;
    ssize_t n;

    assert_int_equal(
        codec_open(&s, c, file_of(packed->data, packed->size), NULL, 0, "the-archive", pool, &err),
        0);
    while ((n = source_pull(s, &data, &err)) > 0) {
        struct chunk *chunk = count < MOST ? source_share(s) : NULL;

        if (chunk) {
            kept[count].chunk = chunk;
            kept[count].data = data;
            kept[count].n = (size_t)n;
            kept[count++].at = at;
        }
        at += (size_t)n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(at, plain->size);
    source_free(s);
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(kept[i].data, plain->data + kept[i].at, kept[i].n);
        chunk_drop(kept[i].chunk);
    }
    assert_true(count > 0 || at == 0 || c == &codec_none);
    pool_free(pool);
}

/* PACKED reads as PLAIN with one thread and with several. */
static inline void assert_reads_as(const struct codec *c, const struct buf *packed,
                                   const struct buf *plain)
{
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct buf got = {0};
        struct wp_error err = {0};
        int r = read_all(c, packed, threads, &got, &err);
        if (r != 0)
            fail_msg("%u threads: %s", threads, err.message);
        assert_int_equal(got.size, plain->size);
        assert_memory_equal(got.data, plain->data, plain->size);
        buf_free(&got);
        assert_shared_as(c, packed, threads, plain);
    }
}

/* PACKED fails with CODE, with one thread and with several, and says so with TEXT and its name. */
static inline void assert_fails(const struct codec *c, const struct buf *packed, int code,
                                const char *text)
{
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct buf got = {0};
        struct wp_error err = {0};
        assert_int_equal(read_all(c, packed, threads, &got, &err), code);
        assert_int_equal(err.code, -code);
        if (!strstr(err.message, text) || !strstr(err.message, "the-archive"))
            fail_msg("wrong message: %s", err.message);
        buf_free(&got);
    }
}

/* Blocks of many sizes come back as they were packed, each in a run of its own. */
static inline void assert_comes_in_blocks(const struct codec *c, unsigned threads)
{
    static const size_t sizes[] = {1, 255, 256, 65791, 65792, 100000, 7};
    struct buf plain = {0}, packed = {0};
    struct pool *pool = pool_new(threads);
    struct source *s;
    const void *data;
    size_t at = 0;

    make_data(&plain, 300000, 8);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        pack_block(c, &packed, plain.data + 1000 * i, sizes[i]);
    if (c->pointer)
        assert_int_equal(c->pointer(&packed, 0, NULL), 0);
    int fd = file_of(packed.data, packed.size);
    assert_int_equal(codec_open(&s, c, fd, NULL, 0, "the-archive", pool, NULL), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++, at += 1000) {
        assert_int_equal(source_pull(s, &data, NULL), sizes[i]);
        assert_memory_equal(data, plain.data + at, sizes[i]);
    }
    assert_int_equal(source_pull(s, &data, NULL), 0);
    assert_int_equal(source_pull(s, &data, NULL), 0); /* the end stays the end */
    source_free(s);
    pool_free(pool);
    buf_free(&plain);
    buf_free(&packed);
}

/* A pipe that gives PACKED in pieces of PIECE bytes; join the thread when done. */
struct feeder {
    const struct buf *packed;
    size_t piece;
    int fd;
    pthread_t thread;
};

static inline void *feed(void *arg)
{
    struct feeder *f = arg;

    for (size_t at = 0; at < f->packed->size; at += f->piece) {
        size_t n = f->packed->size - at < f->piece ? f->packed->size - at : f->piece;
        if (write(f->fd, f->packed->data + at, n) != (ssize_t)n)
            break; /* the reader went away: EPIPE */
    }
    close(f->fd);
    return NULL;
}

static inline int feed_through_pipe(struct feeder *f, const struct buf *packed, size_t piece)
{
    int ends[2];

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    *f = (struct feeder){.packed = packed, .piece = piece, .fd = ends[1]};
    assert_int_equal(pthread_create(&f->thread, NULL, feed, f), 0);
    return ends[0];
}

static inline void assert_reads_from_pipe(const struct codec *c, const struct buf *packed,
                                          size_t piece, const struct buf *plain)
{
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct feeder f;
        struct buf got = {0};
        struct wp_error err = {0};
        int r = read_fd(c, feed_through_pipe(&f, packed, piece), NULL, 0, threads, &got, &err);
        pthread_join(f.thread, NULL);
        if (r != 0)
            fail_msg("%s", err.message);
        assert_int_equal(got.size, plain->size);
        assert_memory_equal(got.data, plain->data, plain->size);
        buf_free(&got);
    }
}

/* What FD's end says of the manifest; FD's offset must not move. */
static inline int find_manifest(const struct codec *c, const struct buf *archive, uint64_t *offset)
{
    int fd = file_of(archive->data, archive->size);

    assert_int_equal(lseek(fd, 3, SEEK_SET), 3);
    int r = codec_find_manifest(c, fd, offset);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 3);
    close(fd);
    return r;
}
