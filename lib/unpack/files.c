/* Unpacking, the files: writes them, many small ones to a job of the pool. */

#include "files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "tree/create.h"

enum { SMALL = 256 << 10 }; /* bytes: files up to this share a job */

/* ---- Jobs -------------------------------------------------------------------------------- */

void unpack_files_fail(struct unpack_files *f, int status, const struct wp_error *why)
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

int unpack_files_status(struct unpack_files *f, struct wp_error *err)
{
    int r;

    if (!atomic_load(&f->failed))
        return 0;
    pthread_mutex_lock(&f->lock);
    r = f->status;
    error_pass(err, &f->why);
    pthread_mutex_unlock(&f->lock);
    return r;
}

bool unpack_work_keep(struct work *w, struct chunk *c)
{
    for (size_t i = 0; i < w->chunk_count; i++)
        if (w->chunks[i] == c) {
            chunk_drop(c);
            return true;
        }
    if (w->chunk_count == MOST_CHUNKS)
        return false;
    w->chunks[w->chunk_count++] = c;
    return true;
}

static void give_back(struct work *w)
{
    struct unpack_files *f = w->f;

    while (w->chunk_count > 0)
        chunk_drop(w->chunks[--w->chunk_count]);
    pthread_mutex_lock(&f->lock);
    w->next_free = f->free_list;
    f->free_list = w;
    f->free_count++;
    pthread_mutex_unlock(&f->lock);
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

struct work *unpack_work_take(struct unpack_files *f)
{
    struct work *w;

    pool_help_until(f->pool, has_free, f);
    pthread_mutex_lock(&f->lock);
    w = f->free_list;
    f->free_list = w->next_free;
    f->free_count--;
    pthread_mutex_unlock(&f->lock);
    buf_clear(&w->copied);
    w->count = w->bytes = 0;
    w->large = NULL;
    w->shared = NULL;
    w->last = false;
    return w;
}

/* ---- Small files ------------------------------------------------------------------------- */

static void write_small(struct work *w)
{
    struct unpack_files *f = w->f;
    struct sha256_text texts[MOST_FILES];

    for (size_t i = 0; i < w->count && !atomic_load(&f->failed); i++) {
        const struct small *s = &w->files[i];
        const unsigned char *data = s->shared ? s->shared : w->copied.data + s->at;
        struct entry *e = &s->item->e;
        struct wp_error why = {0};
        int r = create_file(f->unpack->tree, &f->unpack->policy, e, data, e->size, &why);

        if (r < 0) {
            unpack_files_fail(f, r, &why);
            return;
        }
        texts[i] = (struct sha256_text){.data = data, .size = e->size, .out = e->sha256};
        e->has_sha256 = f->digests != NULL;
    }
    if (f->digests && !atomic_load(&f->failed))
        sha256_many_of(f->digests, texts, w->count);
}

static void run_work(struct pool_job *job)
{
    struct work *w = (struct work *)job;

    if (w->large)
        unpack_large_run(w);
    else
        write_small(w);
    give_back(w);
}

void unpack_work_begun(struct unpack_files *f)
{
    if (pool_threads(f->pool) == 1)
        pool_drain(f->pool);
}

static void flush_small(struct unpack_files *f)
{
    if (!f->filling)
        return;
    pool_submit(f->pool, &f->filling->job);
    f->filling = NULL;
    unpack_work_begun(f);
}

/* The job for a file of SIZE bytes, which keeps C for it (NULL: nothing to keep). */
static struct work *work_for(struct unpack_files *f, size_t size, struct chunk *c)
{
    struct work *w = f->filling;

    if (w && (w->count == MOST_FILES || w->bytes + size > PIECE || (c && !unpack_work_keep(w, c))))
        flush_small(f);
    else if (w)
        return w;
    w = f->filling = unpack_work_take(f);
    if (c)
        unpack_work_keep(w, c);
    return w;
}

static int too_much(const struct unpacked *item, struct wp_error *err)
{
    return error_set(err, EBADMSG, item->e.path, "has more content than its header says");
}

/* Appends SIZE bytes to the job's buffer: *DATA at OFFSET with N bytes, if R says so, then what
 * else the reader has; holes are zeros. */
static int copy_small(struct unpack_files *f, struct work *w, const struct unpacked *item, int r,
                      const void *data, size_t n, uint64_t offset, struct wp_error *err)
{
    struct format_reader *reader = f->unpack->a->reader;
    const size_t size = item->e.size;
    unsigned char *to;
    uint64_t at = 0;

    if (buf_reserve(&w->copied, w->copied.size ? size : PIECE) < 0)
        return error_nomem(err);
    to = w->copied.data + w->copied.size;
    for (; r > 0; r = reader->ops->data(reader, &data, &n, &offset, err)) {
        if (offset < at || offset > size || n > size - offset)
            return too_much(item, err);
        memset(to + at, 0, offset - at);
        memcpy(to + offset, data, n);
        at = offset + n;
    }
    if (r < 0)
        return r;
    memset(to + at, 0, size - at);
    w->copied.size += size;
    return 0;
}

static int add_small(struct unpack_files *f, struct unpacked *item, struct wp_error *err)
{
    struct format_reader *reader = f->unpack->a->reader;
    const size_t size = item->e.size;
    struct chunk *chunk = NULL;
    const void *data;
    struct work *w;
    uint64_t offset;
    size_t n;
    int r = reader->ops->data(reader, &data, &n, &offset, err);

    if (r < 0)
        return r;
    if (r > 0 && offset == 0 && n == size && reader->ops->share)
        chunk = reader->ops->share(reader);
    w = work_for(f, size, chunk);
    w->files[w->count] = (struct small){.item = item, .at = w->copied.size};
    if (chunk) {
        w->files[w->count].shared = data;
        r = reader->ops->data(reader, &data, &n, &offset, err);
        if (r > 0)
            r = too_much(item, err);
    } else {
        r = copy_small(f, w, item, r, data, n, offset, err);
    }
    if (r < 0)
        return r;
    w->bytes += size;
    w->count++;
    return 0;
}

/* ---- All --------------------------------------------------------------------------------- */

int unpack_files_new(struct unpack_files **out, struct unpack *unpack, struct wp_error *err)
{
    struct unpack_files *f = calloc(1, sizeof *f);

    if (!f)
        return error_nomem(err);
    f->unpack = unpack;
    f->pool = unpack->a->pool;
    f->work_count = 2 * pool_threads(f->pool) + 2;
    f->works = calloc(f->work_count, sizeof *f->works);
    pthread_mutex_init(&f->lock, NULL);
    atomic_init(&f->failed, false);
    if (!f->works) {
        unpack_files_free(f);
        return error_nomem(err);
    }
    for (size_t i = 0; i < f->work_count; i++) {
        struct work *w = &f->works[i];

        w->job.run = run_work;
        w->f = f;
        give_back(w);
    }
    *out = f;
    return 0;
}

int unpack_files_add(struct unpack_files *f, struct unpacked *item, struct wp_error *err)
{
    int r = unpack_files_status(f, err);

    if (r < 0)
        return r;
    /* Whether a manifest follows is known with the first entry. */
    if (!f->digests && f->unpack->a->reader->mark && !(f->digests = sha256_many_new()))
        return error_nomem(err);
    return item->e.size <= SMALL ? add_small(f, item, err) : unpack_large_add(f, item, err);
}

int unpack_files_finish(struct unpack_files *f, struct wp_error *err)
{
    flush_small(f);
    pool_help_until(f->pool, all_free, f);
    return unpack_files_status(f, err);
}

void unpack_files_free(struct unpack_files *f)
{
    if (!f)
        return;
    if (f->works) {
        if (f->filling)
            give_back(f->filling);
        pool_help_until(f->pool, all_free, f);
        /* A job is given back just before it ends: it must have ended, too. */
        pool_drain(f->pool);
        unpack_larges_free(f);
    }
    for (size_t i = 0; i < f->work_count && f->works; i++)
        buf_free(&f->works[i].copied);
    sha256_many_free(f->digests);
    free(f->works);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
