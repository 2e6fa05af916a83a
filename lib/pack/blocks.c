/* Packing, second step: makes the blocks, each in a job of the pool, which reads the files, takes
 * their digests, lays them out in the format and compresses, all while the bytes are in cache. */

#include "blocks.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"

enum {
    HEADER_ESTIMATE = 1536, /* bytes that an entry's headers take in the stream */
    LEAST_PIECE = 64 << 10, /* a block with less room than this is closed instead */
};

/* Other blocks may wait for this item. */
static void mark_done(struct blocks *b, size_t item)
{
    if (!b->p->walk.items[item].linked)
        return;
    pthread_mutex_lock(&b->lock);
    b->is_done[item] = true;
    pthread_cond_broadcast(&b->item_done);
    pthread_mutex_unlock(&b->lock);
}

/* Is what a hard link leads to in the archive? Its block is this one or an older one, which some
 * thread has begun before this one was, so that waiting for it ends. */
static bool has_target(struct blocks *b, const struct entry *link)
{
    const struct walk_item *first = walk_find(&b->p->walk, link->target);

    if (!first)
        return true;
    pthread_mutex_lock(&b->lock);
    while (!b->is_done[first - b->p->walk.items])
        pthread_cond_wait(&b->item_done, &b->lock);
    pthread_mutex_unlock(&b->lock);
    return !first->gone;
}

static int add_segment(struct blocks *b, struct slot *s, const struct segment *g,
                       struct wp_error *err)
{
    struct walk_item *item = &b->p->walk.items[g->item];
    int r;

    if (g->large)
        return pack_large_add(b, s, g, err);
    if (item->entry.type == ENTRY_FILE)
        return pack_add_whole(b, s, g, err);
    if (item->entry.type == ENTRY_HARDLINK && !has_target(b, &item->entry)) {
        pack_drop_item(b, item);
        s->changed = true;
        return 0;
    }
    if (item->entry.absent)
        return 0;
    r = pack_add_header(b, s, item, err);
    return r < 0 ? r : b->w->ops->add_end(b->w, &s->block, &item->entry, err);
}

/* On a thread of the pool. */
static void make_block(void *slot, void *arg)
{
    struct blocks *b = arg;
    struct slot *s = slot;

    s->status = b->w->ops->begin_block(b->w, &s->block, &s->err);
    if (s->status == 0 && buf_reserve(&s->block.plain, s->estimate) < 0)
        s->status = error_nomem(&s->err);
    for (size_t i = 0; i < s->count; i++) {
        if (s->status == 0)
            s->status = add_segment(b, s, &s->segments[i], &s->err);
        mark_done(b, s->segments[i].item);
    }
    if (s->status == 0)
        s->status = b->w->ops->seal(b->w, &s->block, &s->err);
}

int pack_write(struct format_writer *w, struct output *out, struct format_block *b,
               struct wp_error *err)
{
    struct format_patch p;
    int r = w->ops->written(w, b, out->written, err);

    if (r == 0)
        r = output_write(out, b->packed.data, b->packed.size, err);
    while (r == 0 && w->ops->patch && !out->direct && w->ops->patch(w, &p) > 0)
        r = output_patch(out, p.offset, p.data, p.size, err);
    return r;
}

/* Writes the oldest block. Pieces are digested by then: whoever came first did the others' too. */
static int retire(struct blocks *b, struct wp_error *err)
{
    struct slot *s = pipeline_wait_oldest(b->line);
    int r = s->status;

    if (r < 0 && err && !err->code)
        *err = s->err;
    if (r == 0)
        r = pack_write(b->w, b->out, &s->block, err);
    for (size_t i = 0; i < s->count; i++) {
        const struct segment *g = &s->segments[i];

        if (!g->large || !g->last)
            continue;
        if (r == 0)
            r = pack_large_finish(b, g, err);
        pack_large_free(g->large);
    }
    b->changed |= s->changed;
    b->done += s->content;
    s->count = 0;
    pipeline_release(b->line);
    report_progress(b->p->context, b->done, b->p->total);
    return r;
}

static void close_block(struct blocks *b)
{
    if (b->open)
        pipeline_submit(b->line);
    b->open = NULL;
}

/* A slot to put the next segment into. */
static int open_block(struct blocks *b, struct wp_error *err)
{
    while (!b->open) {
        int r;

        b->open = pipeline_free_slot(b->line);
        if (b->open)
            break;
        r = retire(b, err);
        if (r < 0)
            return r;
    }
    /* cppcheck-suppress nullPointerRedundantCheck ; the loop ends with a slot */
    if (!b->open->count) {
        struct slot *s = b->open;

        buf_clear(&s->block.plain);
        buf_clear(&s->block.packed);
        s->estimate = s->content = 0;
        s->changed = false;
        s->status = 0;
        s->err.code = 0;
    }
    return 0;
}

static int add_to_open(struct blocks *b, struct segment g, struct wp_error *err)
{
    struct slot *s = b->open;

    if (array_add(s->segments, s->count, g) < 0)
        return error_nomem(err);
    s->estimate += (g.first ? HEADER_ESTIMATE : 0) + g.size + (g.last ? 512 : 0);
    return 0;
}

static int put_whole(struct blocks *b, size_t item, uint64_t size, struct wp_error *err)
{
    struct segment g = {.item = item, .size = size, .first = true, .last = true};
    int r = open_block(b, err);

    if (r < 0)
        return r;
    r = add_to_open(b, g, err);
    if (r == 0 && b->open->estimate >= b->w->block_size)
        close_block(b);
    return r;
}

/* Spreads a large file over blocks. A piece is always the last thing in its block: its bytes are
 * digested, maybe by another thread, where they lie. */
static int put_large(struct blocks *b, size_t number, struct wp_error *err)
{
    struct walk_item *item = &b->p->walk.items[number];
    struct large *l = NULL;
    uint64_t offset = 0;
    int r = pack_large_open(b, item, &l, err);

    if (error_is_absence(r)) {
        pack_drop_item(b, item);
        b->changed = true;
        mark_done(b, number);
        return 0;
    }
    if (r < 0)
        return r;
    if (item->entry.size == 0) { /* truncated to nothing since it was seen */
        pack_large_free(l);
        return put_whole(b, number, 0, err);
    }
    while (offset < item->entry.size) {
        struct segment g = {.item = number, .offset = offset, .large = l};
        size_t room;

        r = open_block(b, err);
        if (r < 0)
            break;
        room = b->open->estimate < b->w->block_size ? b->w->block_size - b->open->estimate : 0;
        if (room < LEAST_PIECE) {
            close_block(b);
            continue;
        }
        g.size = item->entry.size - offset < room ? item->entry.size - offset : room;
        g.first = offset == 0;
        g.last = offset + g.size == item->entry.size;
        r = add_to_open(b, g, err);
        if (r < 0)
            break;
        offset += g.size;
        close_block(b);
    }
    if (r < 0 && offset < item->entry.size) {
        while (pipeline_wait_oldest(b->line)) /* pieces in flight use it */
            retire(b, NULL);
        pack_large_free(l);
    }
    return r;
}

static int put_item(struct blocks *b, size_t number, struct wp_error *err)
{
    const struct entry *e = &b->p->walk.items[number].entry;
    const size_t whole = b->w->whole_size ? b->w->whole_size : b->w->block_size / 4;

    if (!e->absent)
        report(b->p->context, WP_DETAIL, e->path, NULL);
    if (e->type == ENTRY_FILE && !e->absent && e->size > whole &&
        !(pack_is_source_or_cache(e->path) && e->size <= PACK_WHOLE_LIMIT))
        return put_large(b, number, err);
    return put_whole(b, number, e->type == ENTRY_FILE ? e->size : 0, err);
}

static void drop_slot(void *slot)
{
    struct slot *s = slot;

    for (size_t i = 0; i < s->count; i++) /* left over after an error */
        if (s->segments[i].large && s->segments[i].last)
            pack_large_free(s->segments[i].large);
    free(s->segments);
    format_block_free(&s->block);
}

int pack_blocks(struct pack *p, struct format_writer *w, struct output *out, bool *changed,
                struct wp_error *err)
{
    _cleanup_free_ bool *is_done = calloc(p->walk.count + 1, sizeof *is_done);
    struct blocks b = {.p = p,
                       .w = w,
                       .out = out,
                       .lock = PTHREAD_MUTEX_INITIALIZER,
                       .item_done = PTHREAD_COND_INITIALIZER,
                       .is_done = is_done};
    unsigned threads = pool_threads(p->pool);
    unsigned slots = w->block_size > (4u << 20) ? threads + 2 : 2 * threads + 2;
    int r = 0;

    if (!is_done)
        return error_nomem(err);
    b.line = pipeline_new(p->pool, slots, sizeof(struct slot), make_block, drop_slot, &b);
    if (!b.line)
        return error_set(err, errno, NULL, "cannot start packing");
    for (size_t i = 0; i < p->walk.count && r == 0; i++) {
        r = context_check(p->context, err);
        if (r == 0)
            r = put_item(&b, i, err);
    }
    if (r == 0)
        close_block(&b);
    while (r == 0 && pipeline_wait_oldest(b.line))
        r = retire(&b, err);
    pipeline_free(b.line);
    pthread_cond_destroy(&b.item_done);
    pthread_mutex_destroy(&b.lock);
    *changed = b.changed;
    return r;
}
