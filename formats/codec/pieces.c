/* Unpacks the pieces of an archive on the pool, in their order. */

#include "pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "runahead.h"
#include "stream/pipeline.h"

/* Where something is left out, the pieces must be what they say. */
#define TEXT_GAP "the archive is damaged: its parts are not what they say"

struct piece_source {
    struct source base;
    const struct piece_ops *ops;
    struct pool *pool;
    char *name; /* for messages */
    struct input in;

    struct pipeline *pieces; /* NULL once the stream is read */
    struct chunks *chunks;   /* what the pieces unpack to */
    size_t budget;           /* bytes, raw and plain, at which no further piece is read */
    size_t flying;           /* raw bytes of the pieces in flight */
    struct piece *held;      /* given to the consumer */
    uint64_t gap;            /* before what the stream begins with */
    bool had_pieces;
    bool no_more_pieces; /* what follows is for the stream: REST, then the input */
    struct buf rest;

    bool has_failed; /* out of memory, in a way that lost bytes */
    void *stream;
    struct runahead *ahead;
};

/* ---- Pieces ------------------------------------------------------------------------------ */

static void unpack_piece(void *slot, void *arg)
{
    const struct piece_ops *ops = arg;
    struct piece *p = slot;

    p->drop_state = ops->drop_state;
    p->is_bad = chunk_fill_begin(p->plain) < 0 || !ops->unpack(p);
}

static void drop_piece(void *slot)
{
    struct piece *p = slot;

    buf_free(&p->raw);
    chunk_drop(p->plain);
    if (p->state)
        p->drop_state(p->state);
}

static void release_oldest(struct piece_source *s, struct piece *p)
{
    s->flying -= p->raw.size;
    /* A large piece now and then must not leave all slots large for good. */
    if (p->raw.room > 4 * s->ops->typical)
        buf_free(&p->raw);
    buf_clear(&p->raw);
    chunk_drop(p->plain);
    p->plain = NULL;
    pipeline_release(s->pieces);
}

/* What consumers keep counts, too; but where all is theirs, one piece has to be read at least. */
static bool is_full(const struct piece_source *s)
{
    return s->flying > 0 && s->flying + chunks_held(s->chunks) >= s->budget;
}

/* Steps over what is left out here, *GAP bytes of the stream. 0 or negative errno. */
static int step_over_gaps(struct piece_source *s, uint64_t *gap)
{
    struct source *b = &s->base;
    int r = 0;

    for (*gap = 0; r == 0 && b->gaps_done < b->gap_count; b->gaps_done++) {
        const struct source_gap *g = &b->gaps[b->gaps_done];

        if (g->at != input_position(&s->in))
            break;
        *gap += g->plain;
        r = input_seek(&s->in, g->end);
    }
    return r;
}

/* Reads the next piece that is wanted: 1; anything else: what comes is for the stream. */
static int scan(struct piece_source *s, struct piece *p)
{
    int r = step_over_gaps(s, &p->gap);

    p->place = input_position(&s->in);
    if (r == 0)
        r = s->ops->scan(&s->in, p);
    if (r == 1 && !(p->plain = chunk_new(s->chunks, p->plain_size)))
        return -ENOMEM;
    return r;
}

static void read_pieces_ahead(struct piece_source *s)
{
    struct piece *p;

    while (!s->no_more_pieces && !is_full(s) && (p = pipeline_free_slot(s->pieces))) {
        buf_clear(&p->raw);
        p->body = 0;
        p->plain_size = 0;
        if (scan(s, p) == 1) {
            s->flying += p->raw.size;
            s->had_pieces = true;
            pipeline_submit(s->pieces);
        } else {
            /* A failing read fails again in the stream, which then says so in its turn. */
            s->no_more_pieces = true;
            s->gap = p->gap;
            s->rest = p->raw;
            p->raw = (struct buf){0};
        }
    }
}

/* The bytes of the bad piece P and of all behind it, in their order, go back to the input. */
static int give_back_from(struct piece_source *s, struct piece *p)
{
    _cleanup_buf_ struct buf all = {0};

    for (; p; p = pipeline_wait_oldest(s->pieces)) {
        if (buf_add(&all, p->raw.data, p->raw.size) < 0)
            return -ENOMEM;
        release_oldest(s, p);
    }
    if (buf_add(&all, s->rest.data, s->rest.size) < 0)
        return -ENOMEM;
    buf_free(&s->rest);
    s->rest = all;
    all = (struct buf){0};
    s->no_more_pieces = true;
    return 0;
}

/* The next piece's bytes: their number; 0: the stream comes next; negative errno. */
static ssize_t pull_piece(struct piece_source *s, const void **data, struct wp_error *err)
{
    while (true) {
        if (s->held)
            release_oldest(s, s->held);
        s->held = NULL;
        read_pieces_ahead(s);

        struct piece *p = pipeline_wait_oldest(s->pieces);
        if (!p)
            return 0;
        if (p->is_bad && s->base.gap_count)
            return error_set(err, EBADMSG, s->name, TEXT_GAP);
        if (p->is_bad)
            return give_back_from(s, p) < 0 ? error_nomem(err) : 0;
        s->held = p;
        s->base.gap += p->gap;
        if (p->plain_size > 0) {
            s->base.place = p->place;
            *data = p->plain->data;
            return (ssize_t)p->plain_size;
        }
    }
}

/* ---- The stream -------------------------------------------------------------------------- */

static int begin_stream(struct piece_source *s, struct wp_error *err)
{
    pipeline_free(s->pieces);
    s->pieces = NULL;
    if (input_give_back(&s->in, &s->rest) < 0)
        return error_nomem(err);
    s->stream = s->ops->stream_new(&s->in, s->had_pieces);
    if (!s->stream)
        return error_nomem(err);
    s->ahead =
        runahead_new(s->pool, s->ops->stream_fill, s->stream, s->ops->stream_place(s->stream));
    return s->ahead ? 0 : error_nomem(err);
}

static ssize_t pull(struct source *base, const void **data, struct wp_error *err)
{
    struct piece_source *s = (struct piece_source *)base;
    const char *what = NULL;
    ssize_t n;

    if (s->has_failed)
        return error_nomem(err);
    base->gap = 0;
    if (s->pieces) {
        s->in.interrupted = base->interrupted;
        n = pull_piece(s, data, err);
        /* A stream has no pieces that could be left out. */
        if (n == 0 && base->gaps_done < base->gap_count)
            n = error_set(err, EBADMSG, s->name, TEXT_GAP);
        if (n == 0)
            n = begin_stream(s, err);
        if (n != 0) {
            s->has_failed = n < 0;
            return n;
        }
    }
    base->gap += s->gap;
    s->gap = 0;
    n = runahead_next(s->ahead, data, &what);
    base->place = runahead_place(s->ahead);
    if (n < 0 && what)
        return error_set(err, EBADMSG, s->name, "%s", what);
    if (n < 0)
        return error_set(err, (int)-n, s->name, "cannot read");
    return n;
}

static struct chunk *share(struct source *base)
{
    struct piece_source *s = (struct piece_source *)base;

    return s->pieces ? chunk_keep(s->held->plain) : runahead_share(s->ahead);
}

/* Once the end has come nothing else reads. */
static bool ending(struct source *base, void *out, size_t n, uint64_t *size)
{
    const struct input *in = &((struct piece_source *)base)->in;

    if (n > INPUT_LAST || n > in->total)
        return false;
    memcpy(out, in->last + INPUT_LAST - n, n);
    *size = in->total;
    return true;
}

static void free_source(struct source *base)
{
    struct piece_source *s = (struct piece_source *)base;

    runahead_free(s->ahead);
    if (s->stream)
        s->ops->stream_free(s->stream);
    pipeline_free(s->pieces);
    chunks_free(s->chunks);
    buf_free(&s->rest);
    input_free(&s->in);
    free(s->name);
    free(s);
}

int pieces_open(struct source **out, const struct piece_ops *ops, int fd, const void *prefix,
                size_t prefix_size, const char *name, struct pool *pool, struct wp_error *err)
{
    _cleanup_close_ int owned = fd;
    struct piece_source *s = calloc(1, sizeof(*s));
    /* With one thread nothing is gained by reading ahead. */
    unsigned threads = pool_threads(pool), slots = threads > 1 ? threads + 1 : 1;

    if (!s)
        return error_nomem(err);
    s->base = (struct source){
        .pull = pull, .share = share, .free = free_source, .has_gaps = true, .ending = ending};
    s->ops = ops;
    s->pool = pool;
    s->budget = slots * 2 * ops->typical;
    s->name = strdup(name);
    int r = input_init(&s->in, take_fd(&owned), prefix, prefix_size);
    s->chunks = chunks_new(ops->typical);
    if (r == 0 && s->name && s->chunks)
        s->pieces = pipeline_new(pool, slots, sizeof(struct piece), unpack_piece, drop_piece,
                                 (void *)(uintptr_t)ops);
    if (!s->pieces) {
        free_source(&s->base);
        return error_nomem(err);
    }
    *out = &s->base;
    return 0;
}

ssize_t pieces_peek(const struct piece_ops *ops, int fd, void *out, size_t n)
{
    struct input in;
    const char *what;
    void *stream;
    size_t got = 0;
    int again = file_open_again(fd);
    int r = again < 0 ? again : input_init(&in, again, NULL, 0);

    if (r < 0)
        return r;
    stream = ops->stream_new(&in, false);
    r = stream ? ops->stream_fill(stream, out, n, &got, &what) : -ENOMEM;
    if (stream)
        ops->stream_free(stream);
    input_free(&in);
    return r == -ENOMEM || (r < 0 && got == 0) ? r : (ssize_t)got;
}
