/* Shares runs of bytes among holders: each is freed with its last one. */

#include "chunk.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

/* A page of this size costs one fault instead of 512, where the kernel has one to give. */
enum { HUGE_PAGE = 2 << 20 };
/* Chunks of nearly the same size are to fit into the memory of one another. */
enum { ROOM_STEP = 512 << 10 };

/* Memory of a chunk that nobody keeps. It begins with this, and its bytes are worthless. */
struct spare {
    struct spare *next;
    size_t room;
};

struct chunks {
    size_t typical;
    atomic_size_t held;
    atomic_size_t users; /* who made this, and each chunk */
    pthread_mutex_t lock;
    struct spare *spares; /* the one used last is first */
};

struct counted {
    struct chunk base;
    struct chunks *owner;
    size_t room; /* bytes allocated */
    atomic_uint keepers;
};

static struct counted *counted_of(struct chunk *c)
{
    return (struct counted *)c; /* the first member */
}

struct chunks *chunks_new(size_t typical)
{
    struct chunks *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->typical = typical < sizeof(struct spare) ? sizeof(struct spare) : typical;
    atomic_init(&s->held, 0);
    atomic_init(&s->users, 1);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void chunks_free(struct chunks *s)
{
    struct spare *next;

    if (!s || atomic_fetch_sub_explicit(&s->users, 1, memory_order_acq_rel) > 1)
        return;
    for (struct spare *spare = s->spares; spare; spare = next) {
        next = spare->next;
        free(spare);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

size_t chunks_held(struct chunks *s)
{
    return atomic_load(&s->held);
}

struct chunk *chunk_new(struct chunks *s, size_t size)
{
    struct counted *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->base.size = size;
    c->owner = s;
    atomic_init(&c->keepers, 1);
    atomic_fetch_add(&s->held, size);
    atomic_fetch_add_explicit(&s->users, 1, memory_order_relaxed);
    return &c->base;
}

static struct spare *take_spare(struct chunks *s)
{
    struct spare *spare;

    pthread_mutex_lock(&s->lock);
    spare = s->spares;
    if (spare)
        s->spares = spare->next;
    pthread_mutex_unlock(&s->lock);
    return spare;
}

static void *allocate(size_t *room)
{
    void *data;

    if (*room < HUGE_PAGE)
        return malloc(*room);
    if (__builtin_add_overflow(*room, ROOM_STEP - 1, room))
        return NULL;
    *room -= *room % ROOM_STEP;
    if (posix_memalign(&data, HUGE_PAGE, *room) != 0)
        return NULL;
    /* A hint only; a huge page for what is left would be half empty. */
    (void)madvise(data, *room - *room % HUGE_PAGE, MADV_HUGEPAGE);
    return data;
}

int chunk_fill_begin(struct chunk *chunk)
{
    struct counted *c = counted_of(chunk);
    const size_t typical = c->owner->typical;
    struct spare *spare = take_spare(c->owner);

    if (spare && spare->room >= c->base.size) {
        c->room = spare->room;
        c->base.data = (unsigned char *)spare;
        return 0;
    }
    free(spare);
    c->room = c->base.size < typical ? typical : c->base.size;
    c->base.data = allocate(&c->room);
    return c->base.data ? 0 : -ENOMEM;
}

struct chunk *chunk_keep(struct chunk *chunk)
{
    atomic_fetch_add_explicit(&counted_of(chunk)->keepers, 1, memory_order_relaxed);
    return chunk;
}

/* Memory of a chunk that was larger than usual is not kept: there may be no second one. */
static void give_back(struct chunks *s, void *data, size_t room)
{
    struct spare *spare = data;

    if (!data)
        return;
    if (room / 4 > s->typical) {
        free(data);
        return;
    }
    spare->room = room;
    pthread_mutex_lock(&s->lock);
    spare->next = s->spares;
    s->spares = spare;
    pthread_mutex_unlock(&s->lock);
}

void chunk_drop(struct chunk *chunk)
{
    struct counted *c = chunk ? counted_of(chunk) : NULL;

    if (!c || atomic_fetch_sub_explicit(&c->keepers, 1, memory_order_acq_rel) > 1)
        return;
    atomic_fetch_sub(&c->owner->held, c->base.size);
    give_back(c->owner, c->base.data, c->room);
    chunks_free(c->owner);
    free(c);
}
