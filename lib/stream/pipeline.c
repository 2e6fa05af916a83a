/* Keeps a ring of slots that are filled and taken in order, and worked on in any order. */

#include "pipeline.h"

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What stands before each slot. A cache line of its own, so that workers on neighbouring slots do
 * not slow one another. */
struct slot {
    alignas(64) struct pool_job job;
    struct pipeline *pipeline;
    atomic_bool done; /* the last thing that a worker touches */
};

struct pipeline {
    struct pool *pool;
    void (*work)(void *slot, void *arg);
    void (*drop)(void *slot);
    void *arg;
    unsigned slots;
    unsigned oldest; /* index of the oldest slot in flight */
    unsigned flying; /* submitted and not yet released */
    size_t stride;   /* bytes from slot to slot */
    unsigned char *ring;
};

static struct slot *slot_at(const struct pipeline *p, unsigned i)
{
    return (struct slot *)(void *)(p->ring + (size_t)(i % p->slots) * p->stride);
}

static void *data_of(struct slot *s)
{
    return s + 1;
}

static void run_slot(struct pool_job *job)
{
    struct slot *s = (struct slot *)(void *)job; /* job is the first member */

    s->pipeline->work(data_of(s), s->pipeline->arg);
    atomic_store_explicit(&s->done, true, memory_order_release);
}

struct pipeline *pipeline_new(struct pool *pool, unsigned slots, size_t slot_size,
                              void (*work)(void *slot, void *arg), void (*drop)(void *slot),
                              void *arg)
{
    size_t stride, total;

    if (slots == 0 || slots > UINT32_MAX / 2) {
        errno = EINVAL;
        return NULL;
    }
    if (__builtin_add_overflow(slot_size, sizeof(struct slot) + 63, &stride) ||
        __builtin_mul_overflow(stride & ~(size_t)63, slots, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    stride &= ~(size_t)63;

    struct pipeline *p = calloc(1, sizeof(*p));
    unsigned char *ring = p ? aligned_alloc(64, total) : NULL;
    if (!ring) {
        free(p);
        errno = ENOMEM;
        return NULL;
    }
    memset(ring, 0, total);
    *p = (struct pipeline){.pool = pool,
                           .work = work,
                           .drop = drop,
                           .arg = arg,
                           .slots = slots,
                           .stride = stride,
                           .ring = ring};
    for (unsigned i = 0; i < slots; i++) {
        struct slot *s = slot_at(p, i);
        s->job.run = run_slot;
        s->pipeline = p;
        atomic_init(&s->done, false);
    }
    return p;
}

void *pipeline_free_slot(struct pipeline *p)
{
    if (p->flying == p->slots)
        return NULL;
    return data_of(slot_at(p, p->oldest + p->flying));
}

void pipeline_submit(struct pipeline *p)
{
    struct slot *s = slot_at(p, p->oldest + p->flying);

    p->flying++;
    atomic_store_explicit(&s->done, false, memory_order_relaxed);
    pool_submit(p->pool, &s->job);
}

static bool slot_is_done(void *arg)
{
    const struct slot *s = arg;

    return atomic_load_explicit(&s->done, memory_order_acquire);
}

void *pipeline_wait_oldest(struct pipeline *p)
{
    if (p->flying == 0)
        return NULL;
    struct slot *s = slot_at(p, p->oldest);
    pool_help_until(p->pool, slot_is_done, s);
    return data_of(s);
}

void pipeline_release(struct pipeline *p)
{
    p->oldest = (p->oldest + 1) % p->slots;
    p->flying--;
}

void pipeline_free(struct pipeline *p)
{
    if (!p)
        return;
    while (pipeline_wait_oldest(p))
        pipeline_release(p);
    for (unsigned i = 0; p->drop && i < p->slots; i++)
        p->drop(data_of(slot_at(p, i)));
    free(p->ring);
    free(p);
}
