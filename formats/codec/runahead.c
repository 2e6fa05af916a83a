/* Lets a producer of bytes run some buffers ahead of its consumer. */

#include "runahead.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { BUFFERS = 4, BUFFER_SIZE = 512 * 1024 };

struct ahead_buffer {
    struct pool_job job;
    struct runahead *owner;
    atomic_bool done;    /* filled; the last thing that the job touches */
    struct chunk *chunk; /* NULL where there was no memory */
    size_t n;            /* bytes in it */
    int status;          /* what FILL returned */
    const char *what;    /* and said */
    uint64_t place;      /* see runahead_place */
};

struct runahead {
    struct pool *pool;
    struct chunks *chunks;
    struct strand strand;
    int (*fill)(void *arg, unsigned char *out, size_t room, size_t *n, const char **what);
    void *arg;
    const uint64_t *place; /* or NULL */
    bool is_over;          /* FILL came to its end. The strand's jobs alone look at it. */

    /* The consumer's: */
    unsigned buffers;
    unsigned oldest; /* the buffer that comes next */
    struct ahead_buffer *given;
    int status; /* of the buffer given out: 1, or what the next call returns */
    const char *what;
    struct ahead_buffer buffer[BUFFERS];
};

static void fill_buffer(struct pool_job *job)
{
    struct ahead_buffer *b = (struct ahead_buffer *)job; /* the first member */
    struct runahead *r = b->owner;

    b->n = 0;
    b->status = 0;
    b->what = NULL;
    if (!r->is_over) {
        b->chunk = chunk_new(r->chunks, BUFFER_SIZE);
        b->status = b->chunk ? chunk_fill_begin(b->chunk) : -ENOMEM;
        if (b->status == 0)
            b->status = r->fill(r->arg, b->chunk->data, BUFFER_SIZE, &b->n, &b->what);
        r->is_over = b->status <= 0;
        if (r->place)
            b->place = *r->place;
    }
    atomic_store_explicit(&b->done, true, memory_order_release);
}

static bool buffer_is_done(void *arg)
{
    struct ahead_buffer *b = arg;

    return atomic_load_explicit(&b->done, memory_order_acquire);
}

static void submit(struct runahead *r, struct ahead_buffer *b)
{
    chunk_drop(b->chunk);
    b->chunk = NULL;
    atomic_store_explicit(&b->done, false, memory_order_relaxed);
    strand_submit(&r->strand, &b->job);
}

struct runahead *runahead_new(struct pool *pool,
                              int (*fill)(void *arg, unsigned char *out, size_t room, size_t *n,
                                          const char **what),
                              void *arg, const uint64_t *place)
{
    struct runahead *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->chunks = chunks_new(BUFFER_SIZE);
    if (!r->chunks) {
        free(r);
        return NULL;
    }
    r->pool = pool;
    r->fill = fill;
    r->arg = arg;
    r->place = place;
    r->status = 1;
    r->buffers = pool_threads(pool) > 1 ? BUFFERS : 1;
    strand_init(&r->strand, pool);
    for (unsigned i = 0; i < r->buffers; i++) {
        struct ahead_buffer *b = &r->buffer[i];
        b->job.run = fill_buffer;
        b->owner = r;
        atomic_init(&b->done, false);
    }
    for (unsigned i = 0; i < r->buffers; i++)
        submit(r, &r->buffer[i]);
    return r;
}

uint64_t runahead_place(const struct runahead *r)
{
    return r->given ? r->given->place : 0;
}

ssize_t runahead_next(struct runahead *r, const void **data, const char **what)
{
    while (true) {
        if (r->status <= 0) {
            *what = r->what;
            return r->status;
        }
        if (r->given)
            submit(r, r->given);

        struct ahead_buffer *b = &r->buffer[r->oldest];
        pool_help_until(r->pool, buffer_is_done, b);
        r->oldest = (r->oldest + 1) % r->buffers;
        r->given = b;
        r->status = b->status;
        r->what = b->what;
        if (b->n > 0) {
            *data = b->chunk->data;
            return (ssize_t)b->n;
        }
    }
}

struct chunk *runahead_share(const struct runahead *r)
{
    return r->given && r->given->n > 0 ? chunk_keep(r->given->chunk) : NULL;
}

void runahead_free(struct runahead *r)
{
    if (!r)
        return;
    strand_drain(&r->strand);
    for (unsigned i = 0; i < r->buffers; i++)
        chunk_drop(r->buffer[i].chunk);
    chunks_free(r->chunks);
    free(r);
}
