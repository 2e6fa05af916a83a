/* Reads small contents ahead, batch by batch. */

#include "zip_ahead.h"

#include <errno.h>

#include "stream/pipeline.h"

static void load_batch(void *slot, void *arg)
{
    (void)arg;
    zip_batch_load(slot);
}

static void drop_batch(void *slot)
{
    zip_batch_clear(slot);
}

int zip_ahead_init(struct zip_ahead *z, const struct zip_archive *a, struct pool *pool)
{
    const unsigned threads = pool_threads(pool), slots = threads > 1 ? 2 * threads + 2 : 1;

    z->a = a;
    z->single.chunks = z->chunks = chunks_new(ZIP_BATCH_PLAIN);
    z->budget = (size_t)slots * 2 * ZIP_BATCH_PLAIN;
    if (z->chunks)
        z->line = pipeline_new(pool, slots, sizeof(struct zip_batch), load_batch, drop_batch, NULL);
    return z->line ? 0 : -ENOMEM;
}

void zip_ahead_clear(struct zip_ahead *z)
{
    pipeline_free(z->line);
    zip_batch_clear(&z->single);
    chunks_free(z->chunks);
    *z = (struct zip_ahead){0};
}

/* What consumers keep counts, too; but where all is theirs, one batch has to be read at least. */
static bool may_read(const struct zip_ahead *z, unsigned in_line)
{
    return z->next < z->a->count && (in_line == 0 || chunks_held(z->chunks) < z->budget);
}

/* IN_LINE: the batches that are waiting, or one where there are any. */
static void read_on(struct zip_ahead *z, size_t from, unsigned in_line)
{
    struct zip_batch *b;

    if (z->next < from)
        z->next = from;
    while (may_read(z, in_line) && (b = pipeline_free_slot(z->line))) {
        b->chunks = z->chunks;
        zip_batch_choose(b, z->a, z->next, ZIP_BATCH_ENTRIES);
        z->next += b->count;
        pipeline_submit(z->line);
        in_line++;
    }
}

void zip_ahead_begin(struct zip_ahead *z)
{
    read_on(z, 0, 0);
}

const struct zip_batch *zip_ahead_get(struct zip_ahead *z, size_t i, bool more)
{
    struct zip_batch *b;

    while ((b = pipeline_wait_oldest(z->line)) && i >= b->first + b->count) {
        zip_batch_release(b);
        pipeline_release(z->line);
    }
    if (!b && more) {
        read_on(z, i, 0);
        b = pipeline_wait_oldest(z->line);
    }
    if (b && i >= b->first) {
        read_on(z, i, 1);
        return b;
    }
    zip_batch_choose(&z->single, z->a, i, 1);
    zip_batch_load(&z->single);
    return &z->single;
}
