/* Unpacking, a large file: writes it in pieces, in order, one at a time. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "files.h"
#include "tree/create.h"

struct large {
    struct strand strand;
    struct unpacked *item;
    struct sha256 *sha; /* NULL: no digest is wanted */
    int fd;             /* -1: not open */
    atomic_bool done;   /* its last piece is written */
    struct large *next; /* in unpack_files.larges */
};

static void large_free(struct large *l)
{
    if (l->fd >= 0)
        close(l->fd);
    sha256_free(l->sha);
    free(l);
}

void unpack_larges_free(struct unpack_files *f)
{
    for (struct large **at = &f->larges; *at;) {
        struct large *l = *at;

        if (atomic_load(&l->done)) {
            *at = l->next;
            strand_drain(&l->strand); /* it may just be leaving its last job */
            large_free(l);
        } else {
            at = &l->next;
        }
    }
}

/* ---- Writing ----------------------------------------------------------------------------- */

static size_t size_of(const struct work *w)
{
    return w->shared ? w->shared_size : w->copied.size;
}

static int write_piece(const struct work *w, struct large *l, struct wp_error *why)
{
    const unsigned char *data = w->shared ? w->shared : w->copied.data;
    struct entry *e = &l->item->e;
    int r;

    if (l->fd < 0) {
        l->fd = create_open(w->f->unpack->tree, e, why);
        if (l->fd < 0)
            return l->fd;
    }
    r = file_write_at(l->fd, data, size_of(w), w->offset);
    if (r < 0)
        return error_set(why, -r, e->path, "cannot write");
    if (l->sha)
        sha256_add(l->sha, data, size_of(w));
    if (!w->last)
        return 0;
    if (l->sha) {
        sha256_end(l->sha, e->sha256);
        e->has_sha256 = true;
    }
    return create_close(take_fd(&l->fd), &w->f->unpack->policy, e, why);
}

void unpack_large_run(struct work *w)
{
    struct large *l = w->large;
    struct wp_error why = {0};
    int r = atomic_load(&w->f->failed) ? 0 : write_piece(w, l, &why);

    if (r < 0)
        unpack_files_fail(w->f, r, &why);
    if (w->last)
        atomic_store(&l->done, true);
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* A run of the content, handed to jobs. */
struct run {
    const unsigned char *data;
    size_t n;
    uint64_t offset;
};

static void submit_piece(struct work *w, bool last)
{
    w->last = last;
    strand_submit(&w->large->strand, &w->job);
    unpack_work_begun(w->f);
}

/* A job for what stands at OFFSET of L, behind *W, which is submitted unless it is empty. */
static void next_piece(struct unpack_files *f, struct large *l, struct work **w, uint64_t offset)
{
    if (size_of(*w) == 0) {
        (*w)->offset = offset;
        return;
    }
    submit_piece(*w, false);
    *w = unpack_work_take(f);
    (*w)->large = l;
    (*w)->offset = offset;
}

static int copy_run(struct unpack_files *f, struct large *l, struct work **w, struct run run)
{
    while (run.n) {
        const struct buf *b = &(*w)->copied;
        size_t part;

        if ((*w)->shared || b->size == PIECE || run.offset != (*w)->offset + b->size)
            next_piece(f, l, w, run.offset);
        part = PIECE - (*w)->copied.size < run.n ? PIECE - (*w)->copied.size : run.n;
        if (buf_reserve(&(*w)->copied, PIECE - (*w)->copied.size) < 0)
            return -ENOMEM;
        buf_add(&(*w)->copied, run.data, part);
        run.data += part;
        run.n -= part;
        run.offset += part;
    }
    return 0;
}

/* Takes the chunk in which the run lies. */
static void share_run(struct unpack_files *f, struct large *l, struct work **w, struct run run,
                      struct chunk *chunk)
{
    while (run.n) {
        const size_t part = run.n < PIECE ? run.n : PIECE;

        next_piece(f, l, w, run.offset);
        unpack_work_keep(*w, chunk_keep(chunk));
        (*w)->shared = run.data;
        (*w)->shared_size = part;
        run.data += part;
        run.n -= part;
        run.offset += part;
    }
    chunk_drop(chunk);
}

static int take_runs(struct unpack_files *f, struct large *l, struct work **w, struct wp_error *err)
{
    struct format_reader *reader = f->unpack->a->reader;
    const struct entry *e = &l->item->e;
    const void *data;
    struct run run;
    uint64_t end;
    int r;

    while ((r = reader->ops->data(reader, &data, &run.n, &run.offset, err)) > 0) {
        struct chunk *chunk = NULL;

        if ((r = context_check(f->unpack->a->context, err)) < 0)
            return r;
        run.data = data;
        end = (*w)->offset + size_of(*w);
        if (run.offset > e->size || run.n > e->size - run.offset || run.offset < end)
            return error_set(err, EBADMSG, e->path, "has more content than its header says");
        if (f->digests && run.offset != end)
            return error_set(err, EBADMSG, e->path, "has a hole that its header does not tell");
        if (run.n >= SHARED && reader->ops->share)
            chunk = reader->ops->share(reader);
        if (chunk)
            share_run(f, l, w, run, chunk);
        else if (copy_run(f, l, w, run) < 0)
            return error_nomem(err);
        if ((r = unpack_files_status(f, err)) < 0)
            return r;
    }
    /* What warmpack packs has no holes, so a digest is over what is there. */
    if (r == 0 && f->digests && (*w)->offset + size_of(*w) != e->size)
        return error_set(err, EBADMSG, e->path, "has less content than its header says");
    return r;
}

int unpack_large_add(struct unpack_files *f, struct unpacked *item, struct wp_error *err)
{
    struct large *l = calloc(1, sizeof *l);
    struct work *w;
    int r;

    if (!l)
        return error_nomem(err);
    l->item = item;
    l->fd = -1;
    l->sha = f->digests ? sha256_new() : NULL;
    strand_init(&l->strand, f->pool);
    if (f->digests && !l->sha) {
        large_free(l);
        return error_nomem(err);
    }
    unpack_larges_free(f);
    l->next = f->larges;
    f->larges = l;
    w = unpack_work_take(f);
    w->large = l;
    w->offset = 0;
    r = take_runs(f, l, &w, err);
    if (r < 0)
        unpack_files_fail(f, r, err);
    submit_piece(w, true); /* also after a failure: L is done when all before it are */
    return r;
}
