/* A writer that makes no archive, but hands what would be written to a sink. */

#include "sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"

enum { BLOCK_SIZE = 1 << 20 };

/* Where in a block an entry's content begins, or ends. */
struct mark {
    size_t at;
    bool is_end;
    bool is_wanted;
    struct entry entry; /* of one that begins and is wanted; owned */
};

struct marks {
    struct mark *v; /* owned */
    size_t count;
};

struct sink_writer {
    struct format_writer base;
    struct pack_sink *sink; /* NULL: what is read goes nowhere */
    bool is_open;           /* the sink has an entry that has not ended */
};

/* ---- On pool threads --------------------------------------------------------------------- */

static void marks_clear(struct marks *m)
{
    for (size_t i = 0; i < m->count; i++)
        entry_clear(&m->v[i].entry);
    m->count = 0;
}

static void marks_free(void *codec)
{
    struct marks *m = codec;

    marks_clear(m);
    free(m->v);
    free(m);
}

static int begin_block(struct format_writer *w, struct format_block *b, struct wp_error *err)
{
    (void)w;
    b->free_codec = marks_free;
    if (!b->codec)
        b->codec = calloc(1, sizeof(struct marks));
    if (!b->codec)
        return error_nomem(err);
    marks_clear(b->codec);
    buf_clear(&b->plain);
    return 0;
}

static int add_mark(const struct format_writer *w, struct format_block *b, const struct entry *e,
                    bool is_end, struct wp_error *err)
{
    const struct pack_sink *sink = ((const struct sink_writer *)w)->sink;
    struct marks *m = b->codec;
    struct mark *new;

    if (!sink)
        return 0;
    if (array_grow(m->v, m->count) < 0)
        return error_nomem(err);
    new = &m->v[m->count++];
    *new = (struct mark){.at = b->plain.size,
                         .is_end = is_end,
                         .is_wanted = !sink->ops->wants || sink->ops->wants(e->path)};
    if (is_end || !new->is_wanted)
        return 0;
    return entry_copy(&new->entry, e) < 0 ? error_nomem(err) : 0;
}

static int add_header(struct format_writer *w, struct format_block *b, const struct entry *e,
                      struct wp_error *err)
{
    return add_mark(w, b, e, false, err);
}

static int add_end(struct format_writer *w, struct format_block *b, const struct entry *e,
                   struct wp_error *err)
{
    return add_mark(w, b, e, true, err);
}

static int no_step(struct format_writer *w, struct format_block *b, struct wp_error *err)
{
    (void)w;
    (void)b;
    (void)err;
    return 0;
}

/* ---- On the job's thread ----------------------------------------------------------------- */

/* Is the entry that begins at mark I there in the end? A file that changed under the reader is
 * begun once more, and one that was removed is left without content. */
static bool is_whole(const struct marks *m, size_t i, const struct buf *plain)
{
    return i + 1 < m->count ? m->v[i + 1].is_end : plain->size > m->v[i].at;
}

static int add_content(struct sink_writer *w, const struct buf *plain, size_t from, size_t to,
                       struct wp_error *err)
{
    if (!w->is_open || from == to)
        return 0;
    return w->sink->ops->content(w->sink, plain->data + from, to - from, err);
}

static int pass_mark(struct sink_writer *w, struct mark *mark, bool whole, struct wp_error *err)
{
    const struct pack_sink_ops *ops = w->sink->ops;
    const bool was_open = w->is_open;
    int r;

    w->is_open = false;
    if (mark->is_end)
        return was_open ? ops->end(w->sink, err) : 0;
    if (!mark->is_wanted || !whole)
        return 0;
    r = ops->entry(w->sink, &mark->entry, err);
    w->is_open = r == 0;
    return r;
}

static int written(struct format_writer *base, struct format_block *b, uint64_t offset,
                   struct wp_error *err)
{
    struct sink_writer *w = (struct sink_writer *)base;
    struct marks *m = b->codec;
    size_t at = 0;
    int r = 0;

    (void)offset;
    for (size_t i = 0; i < m->count && r == 0; i++) {
        r = add_content(w, &b->plain, at, m->v[i].at, err);
        at = m->v[i].at;
        if (r == 0)
            r = pass_mark(w, &m->v[i], is_whole(m, i, &b->plain), err);
    }
    return r < 0 ? r : add_content(w, &b->plain, at, b->plain.size, err);
}

static int no_tail(struct format_writer *w, struct format_block *b, uint64_t manifest_offset,
                   struct wp_error *err)
{
    (void)manifest_offset;
    return no_step(w, b, err);
}

static void writer_free(struct format_writer *base)
{
    free(base);
}

static const struct format_writer_ops writer_ops = {.begin_block = begin_block,
                                                    .add_header = add_header,
                                                    .add_end = add_end,
                                                    .seal = no_step,
                                                    .head = no_step,
                                                    .written = written,
                                                    .tail = no_tail,
                                                    .free = writer_free};

static int open_writer(struct format_writer **out, const struct wp_format *f,
                       const struct format_write_options *o, struct wp_error *err)
{
    struct pack_sink *sink = (struct pack_sink *)f;
    struct sink_writer *w = calloc(1, sizeof *w);

    if (!w)
        return error_nomem(err);
    *w = (struct sink_writer){.base = {.ops = &writer_ops, .block_size = BLOCK_SIZE}, .sink = sink};
    *out = &w->base;
    return sink->ops->begin(sink, o->mark + strlen(MANIFEST_MARK), err);
}

void pack_sink_init(struct pack_sink *sink, const struct pack_sink_ops *ops, const char *name,
                    enum format_home home)
{
    *sink = (struct pack_sink){
        .format = {.name = name, .writes = true, .home = home, .open_writer = open_writer},
        .ops = ops};
}

/* An output to which nothing is ever written: blocks are empty when they are sealed. Of memory, so
 * that it needs no /dev. */
static int open_nowhere(struct output *out, struct wp_error *err)
{
    *out = (struct output){.fd = memfd_create("warmpack", MFD_CLOEXEC), .direct = true, .dir = -1};
    return out->fd < 0 ? error_set(err, errno, NULL, "cannot make a file in memory") : 0;
}

int pack_into(struct pack_sink *sink, const struct wp_context *context,
              const struct wp_create_options *o, struct pool *pool, struct wp_create_result *result,
              struct wp_error *err)
{
    struct wp_create_options options = *o;
    struct output nowhere;
    int r = open_nowhere(&nowhere, err);

    if (r < 0)
        return r;
    options.format = &sink->format;
    r = pack_run(context, &options, pack_plan, NULL, pool, &nowhere, result, err);
    close(nowhere.fd);
    return r;
}

int pack_read_all(struct pack *p, struct wp_error *err)
{
    struct sink_writer writer = {.base = {.ops = &writer_ops, .block_size = BLOCK_SIZE}};
    struct output nowhere;
    bool changed = false;
    int r = open_nowhere(&nowhere, err);

    if (r < 0)
        return r;
    r = pack_blocks(p, &writer.base, &nowhere, &changed, err);
    close(nowhere.fd);
    return r;
}
