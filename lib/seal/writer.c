/* Sealing: a writer that makes no archive. The packing job reads and digests the tree as ever; of
 * what it would write, only what lies in the manifest's home is kept, in the staged tree. */

#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/own_names.h"
#include "base/path.h"
#include "job.h"
#include "tree/beneath.h"
#include "tree/create.h"

enum { BLOCK_SIZE = 1 << 20, DIR_MODE = 0755 };

/* Where in a block an entry's content begins, or ends. */
struct mark {
    size_t at;
    bool is_end;
    bool is_kept;
    struct entry entry; /* of one that is kept; owned */
};

struct marks {
    struct mark *v; /* owned */
    size_t count;
};

struct seal_writer {
    struct format_writer base;
    struct seal *s;
    struct entry now; /* of the file that is being written; owned */
    int fd;           /* of that file, or -1 */
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
    *new = (struct mark){
        .at = b->plain.size, .is_end = is_end, .is_kept = path_is_under(e->path, MANIFEST_DIR)};
    return !is_end && new->is_kept &&entry_copy(&new->entry, e) < 0 ? error_nomem(err) : 0;
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

static int seal_block(struct format_writer *w, struct format_block *b, struct wp_error *err)
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

/* What was staged has the owner, mode and time that the manifest records, so that sealing again
 * finds the same. */
static struct create_policy policy(void)
{
    bool superuser = geteuid() == 0;

    return (struct create_policy){.owner = superuser, .permissions = true, .superuser = superuser};
}

static int note(struct seal *s, const struct entry *e, struct wp_error *err)
{
    if (array_grow(s->entries, s->entry_count) < 0 ||
        entry_copy(&s->entries[s->entry_count], e) < 0)
        return error_nomem(err);
    s->entry_count++;
    return 0;
}

static int begin_entry(struct seal_writer *w, struct entry *e, struct wp_error *err)
{
    const int tree = staging_tree(w->s->staging, 0);
    _cleanup_free_ char *dir = path_dir(e->path);
    int r;

    e->mode &= 0777;
    if (!dir)
        return error_nomem(err);
    if (e->type == ENTRY_DIR) {
        r = create_dir(tree, e->path, DIR_MODE, err);
        return r < 0 ? r : note(w->s, e, err);
    }
    r = create_dir(tree, dir, DIR_MODE, err);
    if (r < 0)
        return r;
    if (e->type == ENTRY_HARDLINK && path_is_under(e->target, MANIFEST_DIR)) {
        r = create_hardlink(tree, e, err);
        return r < 0 ? r : note(w->s, e, err);
    }
    if (e->type != ENTRY_FILE)
        return error_set(err, 0, e->path, "is one file with another of the tree: refused");
    entry_clear(&w->now);
    w->now = *e;
    *e = (struct entry){0};
    w->fd = create_open(tree, &w->now, err);
    return w->fd < 0 ? w->fd : 0;
}

static int end_entry(struct seal_writer *w, struct wp_error *err)
{
    const struct create_policy p = policy();
    int r;

    if (w->fd < 0)
        return 0;
    r = create_close(take_fd(&w->fd), &p, &w->now, err);
    return r < 0 ? r : note(w->s, &w->now, err);
}

static int add_content(struct seal_writer *w, const struct buf *plain, size_t from, size_t to,
                       struct wp_error *err)
{
    int r = w->fd < 0 || from == to ? 0 : file_write(w->fd, plain->data + from, to - from);

    return r < 0 ? error_set(err, -r, w->now.path, "cannot write") : 0;
}

/* Is the entry that begins at mark I there in the end? A file that changed under the reader is
 * begun once more, and one that was removed is left without content. */
static bool is_whole(const struct marks *m, size_t i, const struct buf *plain)
{
    return i + 1 < m->count ? m->v[i + 1].is_end : plain->size > m->v[i].at;
}

static int written(struct format_writer *base, struct format_block *b, uint64_t offset,
                   struct wp_error *err)
{
    struct seal_writer *w = (struct seal_writer *)base;
    struct marks *m = b->codec;
    size_t at = 0;
    int r = 0;

    (void)offset;
    for (size_t i = 0; i < m->count && r == 0; i++) {
        struct mark *mark = &m->v[i];

        r = add_content(w, &b->plain, at, mark->at, err);
        at = mark->at;
        if (r == 0 && mark->is_end && mark->is_kept)
            r = end_entry(w, err);
        else if (r == 0 && !mark->is_end && mark->is_kept && is_whole(m, i, &b->plain))
            r = begin_entry(w, &mark->entry, err);
    }
    return r < 0 ? r : add_content(w, &b->plain, at, b->plain.size, err);
}

static int no_framing(struct format_writer *w, struct format_block *b, struct wp_error *err)
{
    (void)w;
    (void)b;
    (void)err;
    return 0;
}

static int no_tail(struct format_writer *w, struct format_block *b, uint64_t manifest_offset,
                   struct wp_error *err)
{
    (void)manifest_offset;
    return no_framing(w, b, err);
}

static void writer_free(struct format_writer *base)
{
    struct seal_writer *w = (struct seal_writer *)base;

    if (w->fd >= 0)
        close(w->fd);
    entry_clear(&w->now);
    free(w);
}

static const struct format_writer_ops ops = {.begin_block = begin_block,
                                             .add_header = add_header,
                                             .add_end = add_end,
                                             .seal = seal_block,
                                             .drop_block = drop_block,
                                             .head = no_framing,
                                             .written = written,
                                             .tail = no_tail,
                                             .free = writer_free};

void seal_forget(struct seal *s)
{
    for (size_t i = 0; i < s->entry_count; i++)
        entry_clear(&s->entries[i]);
    free(take_ptr(s->entries));
    s->entry_count = 0;
}

/* A second attempt begins with nothing. */
static int open_writer(struct format_writer **out, const struct wp_format *f,
                       const struct format_write_options *o, struct wp_error *err)
{
    struct seal *s = ((const struct seal_format *)f)->s;
    struct seal_writer *w = calloc(1, sizeof *w);
    int r;

    (void)o;
    if (!w)
        return error_nomem(err);
    *w = (struct seal_writer){.base = {.ops = &ops, .block_size = BLOCK_SIZE}, .s = s, .fd = -1};
    *out = &w->base;
    seal_forget(s);
    r = beneath_remove(staging_tree(s->staging, 0), MANIFEST_DIR);
    return r < 0 ? error_set(err, -r, MANIFEST_DIR, "cannot be removed from the staged tree") : 0;
}

void seal_format_init(struct seal_format *format, struct seal *s)
{
    *format = (struct seal_format){.base = {.name = "seal",
                                            .writes = true,
                                            .home = FORMAT_HOME_DIR,
                                            .open_writer = open_writer},
                                   .s = s};
}
