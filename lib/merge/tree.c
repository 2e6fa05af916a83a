/* Merging: a writer that makes no archive. The packing job reads and judges a tree as ever; what it
 * would write goes into a spool, as if an archive had been read. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "job.h"

enum { BLOCK_SIZE = 1 << 20 };

/* Where in a block an entry's content begins, or ends. */
struct mark {
    size_t at;
    bool is_end;
    struct entry entry; /* of one that begins; owned */
};

struct marks {
    struct mark *v; /* owned */
    size_t count;
};

struct tree_format {
    struct wp_format base;
    struct merge_input *in;
    char *manifest;  /* its path; owned */
    struct buf text; /* of the manifest */
};

struct tree_writer {
    struct format_writer base;
    struct tree_format *to;
    struct spooled *now; /* the file that is being written, or NULL */
    bool is_manifest;    /* it is that */
};

/* ---- On pool threads --------------------------------------------------------------------- */

static void marks_clear(struct marks *m)
{
    for (size_t i = 0; i < m->count; i++)
        entry_clear(&m->v[i].entry);
    m->count = 0;
}

static int begin_block(struct format_writer *w, struct format_block *b, struct wp_error *err)
{
    (void)w;
    if (!b->codec)
        b->codec = calloc(1, sizeof(struct marks));
    if (!b->codec)
        return error_nomem(err);
    marks_clear(b->codec);
    buf_clear(&b->plain);
    return 0;
}

static int add_mark(struct format_block *b, const struct entry *e, bool is_end,
                    struct wp_error *err)
{
    struct marks *m = b->codec;
    struct mark *new;

    if (array_grow(m->v, m->count) < 0)
        return error_nomem(err);
    new = &m->v[m->count++];
    *new = (struct mark){.at = b->plain.size, .is_end = is_end};
    return !is_end && entry_copy(&new->entry, e) < 0 ? error_nomem(err) : 0;
}

static int add_header(struct format_writer *w, struct format_block *b, const struct entry *e,
                      struct wp_error *err)
{
    (void)w;
    return add_mark(b, e, false, err);
}

static int add_end(struct format_writer *w, struct format_block *b, const struct entry *e,
                   struct wp_error *err)
{
    (void)w;
    return add_mark(b, e, true, err);
}

static int no_step(struct format_writer *w, struct format_block *b, struct wp_error *err)
{
    (void)w;
    (void)b;
    (void)err;
    return 0;
}

static void drop_block(struct format_block *b)
{
    struct marks *m = b->codec;

    if (m) {
        marks_clear(m);
        free(m->v);
        free(m);
    }
    buf_free(&b->plain);
    buf_free(&b->packed);
    b->codec = NULL;
}

/* ---- On the job's thread ----------------------------------------------------------------- */

/* Is the entry that begins at mark I there in the end? A file that changed under the reader is
 * begun once more, and one that was removed is left without content. */
static bool is_whole(const struct marks *m, size_t i, const struct buf *plain)
{
    return i + 1 < m->count ? m->v[i + 1].is_end : plain->size > m->v[i].at;
}

static int begin_entry(struct tree_writer *w, struct entry *e, struct wp_error *err)
{
    struct spool *s = &w->to->in->spool;

    w->is_manifest = strcmp(e->path, w->to->manifest) == 0;
    if (w->is_manifest)
        return 0;
    w->now = spool_add(s, e, err);
    return w->now ? 0 : -ENOMEM;
}

static int add_content(struct tree_writer *w, const struct buf *plain, size_t from, size_t to,
                       struct wp_error *err)
{
    if (from == to)
        return 0;
    if (w->is_manifest)
        return buf_add(&w->to->text, plain->data + from, to - from) < 0 ? error_nomem(err) : 0;
    return w->now ? spool_append(&w->to->in->spool, w->now, plain->data + from, to - from, err) : 0;
}

static int written(struct format_writer *base, struct format_block *b, uint64_t offset,
                   struct wp_error *err)
{
    struct tree_writer *w = (struct tree_writer *)base;
    struct marks *m = b->codec;
    size_t at = 0;
    int r = 0;

    (void)offset;
    for (size_t i = 0; i < m->count && r == 0; i++) {
        struct mark *mark = &m->v[i];

        r = add_content(w, &b->plain, at, mark->at, err);
        at = mark->at;
        if (r == 0 && !mark->is_end) {
            w->now = NULL;
            if (mark->entry.type != ENTRY_FILE || is_whole(m, i, &b->plain))
                r = begin_entry(w, &mark->entry, err);
        } else if (r == 0) {
            w->now = NULL;
        }
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

static const struct format_writer_ops ops = {.begin_block = begin_block,
                                             .add_header = add_header,
                                             .add_end = add_end,
                                             .seal = no_step,
                                             .drop_block = drop_block,
                                             .head = no_step,
                                             .written = written,
                                             .tail = no_tail,
                                             .free = writer_free};

/* A second attempt begins with nothing. */
static int open_writer(struct format_writer **out, const struct wp_format *f,
                       const struct format_write_options *o, struct wp_error *err)
{
    struct tree_format *to = (struct tree_format *)f;
    struct tree_writer *w = calloc(1, sizeof *w);

    if (!w)
        return error_nomem(err);
    *w = (struct tree_writer){.base = {.ops = &ops, .block_size = BLOCK_SIZE}, .to = to};
    *out = &w->base;
    spool_clear(&to->in->spool);
    buf_clear(&to->text);
    free(to->manifest);
    to->manifest = strdup(o->mark + strlen(MANIFEST_MARK));
    if (!to->manifest)
        return error_nomem(err);
    to->in->spool.fd = file_temporary(err);
    return to->in->spool.fd < 0 ? to->in->spool.fd : 0;
}

/* Entries say what was really packed: the manifest does. */
static int take_recorded(struct merge_input *in, struct wp_error *err)
{
    struct spool *s = &in->spool;

    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = &s->items[i].entry;
        const struct entry *recorded = manifest_find(&in->m, e->path);

        if (!recorded || recorded->type != e->type ||
            (e->type == ENTRY_FILE && recorded->size != e->size))
            return error_set(err, 0, e->path, "changed while it was read");
        entry_clear(e);
        if (entry_copy(e, recorded) < 0)
            return error_nomem(err);
        s->items[i].header_time = e->mtime;
    }
    return spool_resolve_links(s, err);
}

int merge_read_tree(struct merge *m, struct merge_input *in, const char *tree, struct wp_error *err)
{
    const struct wp_member member = {.dir = tree, .path = "."};
    struct tree_format format = {.base = {.name = "merge",
                                          .writes = true,
                                          .home = FORMAT_HOME_TREE,
                                          .open_writer = open_writer},
                                 .in = in};
    const struct wp_create_options options = {.archive = m->o->output,
                                              .format = &format.base,
                                              .members = &member,
                                              .member_count = 1,
                                              .cache_dirs = m->o->cache_dirs,
                                              .numeric_owner = m->o->numeric_owner};
    struct output nowhere = {
        .fd = open("/dev/null", O_WRONLY | O_CLOEXEC), .direct = true, .dir = -1};
    struct wp_create_result made = {0};
    int r = nowhere.fd < 0 ? error_set(err, errno, tree, "cannot be read") : 0;

    if (r == 0)
        r = pack_run(m->context, &options, pack_plan, NULL, m->pool, &nowhere, &made, err);
    wp_create_result_clear(&made);
    if (r == 0)
        r = manifest_read_once(&in->m, &format.text, tree, m->pool, err);
    if (r == 0)
        r = take_recorded(in, err);
    if (nowhere.fd >= 0)
        close(nowhere.fd);
    free(format.manifest);
    buf_free(&format.text);
    return r;
}
