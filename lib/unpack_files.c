/* Unpacking, the files: small ones many to a job, large ones in pieces, in order, one at a time
 * each. The reader's thread only copies; creating, writing and digesting happen on the pool. */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "stream/pool.h"
#include "unpack.h"

enum {
    PIECE = 1 << 20,   /* bytes of a job */
    SMALL = 256 << 10, /* files up to this share a job */
    MOST_FILES = 64,   /* in one job: creating a file costs about as much as writing 16 KiB */
};

/* A file that is written in pieces. */
struct large {
    struct strand strand;
    struct unpacked *item;
    struct sha256 *sha; /* NULL: no digest is wanted */
    int fd;             /* -1: not open */
    atomic_bool done;   /* its last piece is written */
    struct large *next; /* in unpack_files.larges */
};

struct small {
    struct unpacked *item;
    size_t at; /* of its content in the job's buffer; e.size bytes */
};

struct work {
    struct pool_job job;
    struct unpack_files *f;
    struct work *next_free;
    struct buf data;
    struct small files[MOST_FILES]; /* where LARGE is NULL */
    size_t count;
    struct large *large;
    uint64_t offset;
    bool last;
};

struct unpack_files {
    struct unpack *u;
    struct pool *pool;
    bool digest;
    struct work *works; /* owned */
    size_t work_count;
    struct large *larges; /* owned; freed by the reader's thread once done */
    struct work *filling; /* the job being filled with small files */
    pthread_mutex_t lock; /* guards what follows */
    struct work *free_list;
    size_t free_count;
    int status; /* of the first failure */
    struct wp_error why;
    atomic_bool failed;
};

static void fail(struct unpack_files *f, int status, const struct wp_error *why)
{
    pthread_mutex_lock(&f->lock);
    if (!f->status) {
        f->status = status;
        if (why)
            f->why = *why;
    }
    pthread_mutex_unlock(&f->lock);
    atomic_store(&f->failed, true);
}

static void give_back(struct unpack_files *f, struct work *w)
{
    pthread_mutex_lock(&f->lock);
    w->next_free = f->free_list;
    f->free_list = w;
    f->free_count++;
    pthread_mutex_unlock(&f->lock);
}

static void write_small(struct work *w)
{
    struct unpack_files *f = w->f;

    for (size_t i = 0; i < w->count && !atomic_load(&f->failed); i++) {
        struct entry *e = &w->files[i].item->e;
        const unsigned char *data = w->data.data + w->files[i].at;
        struct wp_error why = {0};
        int r = create_file(f->u->tree, &f->u->policy, e, data, e->size, &why);

        if (r < 0) {
            fail(f, r, &why);
            return;
        }
        if (f->digest) {
            sha256_of(data, e->size, e->sha256);
            e->has_sha256 = true;
        }
    }
}

static void large_free(struct large *l)
{
    if (l->fd >= 0)
        close(l->fd);
    sha256_free(l->sha);
    free(l);
}

/* Frees the large files that are done. */
static void free_larges(struct unpack_files *f)
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

static int write_piece(struct work *w, struct large *l, struct wp_error *why)
{
    struct entry *e = &l->item->e;
    int r;

    if (l->fd < 0) {
        l->fd = create_open(w->f->u->tree, e, why);
        if (l->fd < 0)
            return l->fd;
    }
    r = file_write_at(l->fd, w->data.data, w->data.size, w->offset);
    if (r < 0)
        return error_set(why, -r, e->path, "cannot write");
    if (l->sha)
        sha256_add(l->sha, w->data.data, w->data.size);
    if (!w->last)
        return 0;
    if (l->sha) {
        sha256_end(l->sha, e->sha256);
        e->has_sha256 = true;
    }
    return create_close(take_fd(&l->fd), &w->f->u->policy, e, why);
}

static void run_work(struct pool_job *job)
{
    struct work *w = (struct work *)job;
    struct large *l = w->large;

    if (!l) {
        write_small(w);
    } else {
        struct wp_error why = {0};
        int r = atomic_load(&w->f->failed) ? 0 : write_piece(w, l, &why);

        if (r < 0)
            fail(w->f, r, &why);
        if (w->last)
            atomic_store(&l->done, true);
    }
    give_back(w->f, w);
}

static bool has_free(void *arg)
{
    struct unpack_files *f = arg;
    bool yes;

    pthread_mutex_lock(&f->lock);
    yes = f->free_list != NULL;
    pthread_mutex_unlock(&f->lock);
    return yes;
}

static bool all_free(void *arg)
{
    struct unpack_files *f = arg;
    bool yes;

    pthread_mutex_lock(&f->lock);
    yes = f->free_count == f->work_count;
    pthread_mutex_unlock(&f->lock);
    return yes;
}

static struct work *take_work(struct unpack_files *f)
{
    struct work *w;

    pool_help_until(f->pool, has_free, f);
    pthread_mutex_lock(&f->lock);
    w = f->free_list;
    f->free_list = w->next_free;
    f->free_count--;
    pthread_mutex_unlock(&f->lock);
    buf_clear(&w->data);
    w->count = 0;
    w->large = NULL;
    w->last = false;
    return w;
}

static int status_of(struct unpack_files *f, struct wp_error *err)
{
    int r;

    if (!atomic_load(&f->failed))
        return 0;
    pthread_mutex_lock(&f->lock);
    r = f->status;
    if (err && !err->code)
        *err = f->why;
    pthread_mutex_unlock(&f->lock);
    return r;
}

static void flush_small(struct unpack_files *f)
{
    if (f->filling)
        pool_submit(f->pool, &f->filling->job);
    f->filling = NULL;
}

int unpack_files_new(struct unpack_files **out, struct unpack *u, bool digest, struct wp_error *err)
{
    struct unpack_files *f = calloc(1, sizeof *f);

    if (!f)
        return error_nomem(err);
    f->u = u;
    f->pool = u->a->pool;
    f->digest = digest;
    f->work_count = 2 * pool_threads(f->pool) + 2;
    f->works = calloc(f->work_count, sizeof *f->works);
    pthread_mutex_init(&f->lock, NULL);
    atomic_init(&f->failed, false);
    if (!f->works) {
        unpack_files_free(f);
        return error_nomem(err);
    }
    for (size_t i = 0; i < f->work_count; i++) {
        f->works[i].job.run = run_work;
        f->works[i].f = f;
        give_back(f, &f->works[i]);
    }
    *out = f;
    return 0;
}

static int too_much(const struct unpacked *item, struct wp_error *err)
{
    return error_set(err, EBADMSG, item->e.path, "has more content than its header says");
}

/* Where the next file of a job begins. */
static unsigned char *content(const struct work *w)
{
    return w->data.data + w->data.size;
}

static int add_small(struct unpack_files *f, struct unpacked *item, struct wp_error *err)
{
    struct format_reader *reader = f->u->a->reader;
    const uint64_t size = item->e.size;
    uint64_t at = 0;
    struct work *w;
    const void *data;
    uint64_t offset;
    size_t n;
    int r;

    if (f->filling && (f->filling->count == MOST_FILES || f->filling->data.size + size > PIECE))
        flush_small(f);
    if (!f->filling)
        f->filling = take_work(f);
    w = f->filling;
    if (buf_reserve(&w->data, w->data.size ? size : PIECE) < 0)
        return error_nomem(err);
    w->files[w->count] = (struct small){.item = item, .at = w->data.size};
    while ((r = reader->ops->data(reader, &data, &n, &offset, err)) > 0) {
        if (offset < at || offset > size || n > size - offset)
            return too_much(item, err);
        memset(content(w) + at, 0, offset - at); /* a hole */
        memcpy(content(w) + offset, data, n);
        at = offset + n;
    }
    if (r < 0)
        return r;
    memset(content(w) + at, 0, size - at);
    w->data.size += size;
    w->count++;
    return 0;
}

static void submit_piece(struct work *w, bool last)
{
    w->last = last;
    strand_submit(&w->large->strand, &w->job);
}

static int add_large(struct unpack_files *f, struct unpacked *item, struct wp_error *err)
{
    struct format_reader *reader = f->u->a->reader;
    const uint64_t size = item->e.size;
    struct large *l = calloc(1, sizeof *l);
    struct work *w;
    const void *data;
    uint64_t offset;
    size_t n;
    int r;

    if (!l)
        return error_nomem(err);
    l->item = item;
    l->fd = -1;
    l->sha = f->digest ? sha256_new() : NULL;
    strand_init(&l->strand, f->pool);
    if (f->digest && !l->sha) {
        large_free(l);
        return error_nomem(err);
    }
    free_larges(f);
    l->next = f->larges;
    f->larges = l;
    w = take_work(f);
    w->large = l;
    w->offset = 0;
    while ((r = reader->ops->data(reader, &data, &n, &offset, err)) > 0) {
        const unsigned char *p = data;

        if (offset > size || n > size - offset || offset < w->offset + w->data.size) {
            r = too_much(item, err);
            break;
        }
        if (f->digest && offset != w->offset + w->data.size) {
            r = error_set(err, EBADMSG, item->e.path, "has a hole that its header does not tell");
            break;
        }
        while (n) {
            size_t part;

            if (w->data.size == PIECE || offset != w->offset + w->data.size) {
                if (w->data.size)
                    submit_piece(w, false);
                else
                    give_back(f, w);
                w = take_work(f);
                w->large = l;
                w->offset = offset;
            }
            part = PIECE - w->data.size < n ? PIECE - w->data.size : n;
            if (buf_reserve(&w->data, PIECE - w->data.size) < 0) {
                r = error_nomem(err);
                break;
            }
            memcpy(w->data.data + w->data.size, p, part);
            w->data.size += part;
            p += part;
            n -= part;
            offset += part;
        }
        if (r < 0 || (r = status_of(f, err)) < 0)
            break;
    }
    /* What warmpack packs has no holes, so a digest is over what is there. */
    if (r == 0 && f->digest && w->offset + w->data.size != size)
        r = error_set(err, EBADMSG, item->e.path, "has less content than its header says");
    if (r < 0)
        fail(f, r, err);
    submit_piece(w, true); /* also after a failure: L is done when all before it are */
    return r;
}

int unpack_files_add(struct unpack_files *f, struct unpacked *item, struct wp_error *err)
{
    int r = status_of(f, err);

    if (r < 0)
        return r;
    return item->e.size <= SMALL ? add_small(f, item, err) : add_large(f, item, err);
}

int unpack_files_finish(struct unpack_files *f, struct wp_error *err)
{
    flush_small(f);
    pool_help_until(f->pool, all_free, f);
    return status_of(f, err);
}

void unpack_files_free(struct unpack_files *f)
{
    if (!f)
        return;
    if (f->works) {
        if (f->filling)
            give_back(f, f->filling);
        pool_help_until(f->pool, all_free, f);
        /* A job is given back just before it ends: it must have ended, too. */
        pool_drain(f->pool);
        free_larges(f);
    }
    for (size_t i = 0; i < f->work_count && f->works; i++)
        buf_free(&f->works[i].data);
    free(f->works);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
