/* Unpacking, content that an earlier tree has already: clones or copies it from there.
 *
 * Manifests in that tree tell which file has which content, but they prove nothing: the file may
 * have changed since, and may change now. So the digest is taken of what has been read or cloned,
 * and what is not the content that is wanted comes from the archive. */

#include "earlier.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "stream/pool.h"
#include "tree/beneath.h"

enum {
    SMALL = 256 << 10, /* bytes: files up to this are read whole, many to a batch */
    BATCH = 1 << 20,   /* bytes of a batch, and of a run of a large file */
    MOST_FILES = 64,   /* in a batch */
};

/* A file of the archive, and one of the earlier tree that should have its content. */
struct copy {
    size_t number;    /* in the manifest */
    struct entry e;   /* as unpacked; its texts are borrowed */
    const char *from; /* beneath the earlier tree; borrowed */
    bool same;        /* it is there now */
};

/* All of them: first the large ones, the largest first, then the small ones in their order. */
struct copying {
    struct earlier *x;
    struct copy *all;
    size_t count;
    pthread_mutex_t lock; /* guards what follows */
    size_t next;          /* the first that nobody has begun */
    int status;           /* of the first failure */
    struct wp_error why;
};

/* One large file, or small ones that are read together. */
struct batch {
    struct copy *files;
    size_t count;
    struct buf data;
};

/* ---- Copying, on the pool ---------------------------------------------------------------- */

/* Opens FROM, which must be a regular file of SIZE bytes: a descriptor, or -1. */
static int open_same_size(const struct earlier *x, const char *from, uint64_t size)
{
    struct stat st;
    _cleanup_close_ int fd = beneath_open_file(x->trees.fd, from, &st);

    return fd < 0 || (uint64_t)st.st_size != size ? -1 : take_fd(&fd);
}

/* Failures to make a file that the archive's own entry would meet, too, are left to that. */
static bool is_in_the_way(int r)
{
    return r == -EEXIST || r == -EISDIR || beneath_is_absence(r);
}

/* Reads the file whole: a content that is not as wanted is not written at all. */
static bool read_small(const struct earlier *x, struct batch *b, const struct copy *c)
{
    const size_t size = (size_t)c->e.size;
    _cleanup_close_ int fd = open_same_size(x, c->from, c->e.size);

    return fd >= 0 && file_read_at(fd, b->data.data + b->data.size, size, 0) == (ssize_t)size;
}

static int copy_small(struct earlier *x, struct batch *b, struct wp_error *why)
{
    unsigned char found[MOST_FILES][SHA256_SIZE];
    struct sha256_text texts[MOST_FILES];
    size_t at[MOST_FILES], which[MOST_FILES], count = 0;
    int r = 0;

    buf_clear(&b->data);
    if (buf_reserve(&b->data, BATCH) < 0) /* once: TEXTS point into it */
        return 0;
    for (size_t i = 0; i < b->count; i++) {
        if (!read_small(x, b, &b->files[i]))
            continue;
        at[count] = b->data.size;
        which[count] = i;
        texts[count] = (struct sha256_text){.data = b->data.data + b->data.size,
                                            .size = (size_t)b->files[i].e.size,
                                            .out = found[count]};
        b->data.size += (size_t)b->files[i].e.size;
        count++;
    }
    sha256_many_of(x->digests, texts, count);
    for (size_t k = 0; k < count && r == 0; k++) {
        struct copy *c = &b->files[which[k]];

        if (memcmp(found[k], c->e.sha256, SHA256_SIZE) != 0)
            continue;
        r = create_file(x->unpack->tree, &x->unpack->policy, &c->e, b->data.data + at[k],
                        (size_t)c->e.size, why);
        c->same = r == 0;
        if (is_in_the_way(r)) {
            r = 0;
            *why = (struct wp_error){0}; /* of this file; a later one may fail for good */
        }
    }
    return r;
}

/* Copies FROM to TO, unless TO is -1, and takes the digest of what was read: 1 where it is C's; 0;
 * negative errno of writing. One pass: for copy_file_range(2), all would have to be read again. */
static int copy_runs(const struct earlier *x, struct batch *b, const struct copy *c, int from,
                     int to)
{
    struct sha256 *sha = buf_reserve(&b->data, BATCH) < 0 ? NULL : sha256_new();
    unsigned char found[SHA256_SIZE] = {0};
    int r = sha ? 0 : -ENOMEM;

    for (uint64_t at = 0; r == 0 && at < c->e.size;) {
        const size_t part = c->e.size - at < BATCH ? (size_t)(c->e.size - at) : BATCH;

        if (context_stops(x->unpack->a->context))
            r = -EINTR;
        else if (file_read_at(from, b->data.data, part, at) != (ssize_t)part)
            break; /* the digest tells */
        else if (to >= 0)
            r = file_write_at(to, b->data.data, part, at);
        if (r == 0)
            sha256_add(sha, b->data.data, part);
        at += part;
    }
    if (sha)
        sha256_end(sha, found);
    sha256_free(sha);
    return r < 0 ? r : memcmp(found, c->e.sha256, SHA256_SIZE) == 0;
}

/* Makes TO, which is empty, share what FROM has. */
static bool clone_file(struct earlier *x, int from, int to)
{
    if (atomic_load(&x->no_clones))
        return false;
    if (ioctl(to, FICLONE, from) == 0)
        return true;
    atomic_store(&x->no_clones, true);
    return false;
}

/* A clone is ours alone: its digest is taken after it has been made. */
static int copy_large(struct earlier *x, struct batch *b, struct wp_error *why)
{
    struct copy *c = b->files;
    _cleanup_close_ int from = open_same_size(x, c->from, c->e.size);
    _cleanup_close_ int to = -1, again = -1;
    int r;

    if (from < 0)
        return 0;
    to = create_open(x->unpack->tree, &c->e, why);
    if (to < 0)
        return is_in_the_way(to) ? 0 : to;
    buf_clear(&b->data);
    if (clone_file(x, from, to)) {
        again = beneath_open(x->unpack->tree, c->e.path, O_RDONLY, 0);
        r = again < 0 ? again : copy_runs(x, b, c, again, -1);
    } else {
        r = copy_runs(x, b, c, from, to);
    }
    if (r == 1) {
        r = create_close(take_fd(&to), &x->unpack->policy, &c->e, why);
        c->same = r == 0;
        return r;
    }
    if (r == 0)
        r = beneath_remove(x->unpack->tree, c->e.path);
    return r < 0 ? error_set(why, -r, c->e.path, "cannot be copied from %s", x->trees.dir) : 0;
}

/* Begins the next large file, or the next small ones. */
static bool take_batch(struct copying *c, struct batch *b)
{
    uint64_t bytes = 0;

    b->count = 0;
    pthread_mutex_lock(&c->lock);
    b->files = c->all + c->next;
    while (c->status == 0 && c->next < c->count && b->count < MOST_FILES) {
        bytes += c->all[c->next].e.size;
        if (b->count && bytes > BATCH)
            break;
        b->count++;
        if (c->all[c->next++].e.size > SMALL)
            break;
    }
    pthread_mutex_unlock(&c->lock);
    return b->count > 0;
}

struct copier {
    struct pool_job job;
    struct copying *c;
};

static void run_copier(struct pool_job *job)
{
    struct copying *c = ((struct copier *)job)->c;
    struct earlier *x = c->x;
    struct batch b = {0};

    while (take_batch(c, &b)) {
        struct wp_error why = {0};
        int r = context_check(x->unpack->a->context, &why);

        if (r == 0)
            r = b.files->e.size > SMALL ? copy_large(x, &b, &why) : copy_small(x, &b, &why);
        if (r == 0)
            continue;
        pthread_mutex_lock(&c->lock);
        if (c->status == 0) {
            c->status = r;
            c->why = why;
        }
        pthread_mutex_unlock(&c->lock);
    }
    buf_free(&b.data);
}

/* ---- All of the archive's files ---------------------------------------------------------- */

static int run_copiers(struct copying *c, struct wp_error *err)
{
    struct pool *pool = c->x->unpack->a->pool;
    const unsigned threads = pool_threads(pool);
    _cleanup_free_ struct copier *copiers = calloc(threads, sizeof *copiers);

    if (!copiers)
        return error_nomem(err);
    pthread_mutex_init(&c->lock, NULL);
    for (unsigned i = 0; i < threads; i++) {
        copiers[i] = (struct copier){.job.run = run_copier, .c = c};
        pool_submit(pool, &copiers[i].job);
    }
    pool_drain(pool);
    pthread_mutex_destroy(&c->lock);
    if (c->status < 0)
        error_pass(err, &c->why);
    return c->status;
}

static int compare_copies(const void *a, const void *b)
{
    const struct copy *x = a, *y = b;
    const uint64_t p = x->e.size > SMALL ? x->e.size : 0, q = y->e.size > SMALL ? y->e.size : 0;

    return p != q ? (p < q) - (p > q) : (x->number > y->number) - (x->number < y->number);
}

/* Finds what there is to copy, and makes the directories for it. */
static int add_copies(struct copying *c, struct wp_error *err)
{
    const struct unpack *unpack = c->x->unpack;
    const struct manifest *m = &unpack->manifest;
    _cleanup_free_ char *last = NULL;

    for (size_t i = 0; i < m->entry_count; i++) {
        const char *from = c->x->names[i] ? earlier_find(c->x, &m->entries[i]) : NULL;
        struct entry e = m->entries[i];
        _cleanup_free_ char *dir = from ? path_dir(e.path = c->x->names[i]) : NULL;

        if (!from)
            continue;
        if (!dir)
            return error_nomem(err);
        if (!last || strcmp(last, dir) != 0) {
            if (is_in_the_way(create_dir(unpack->tree, dir, 0700, NULL)))
                continue;
            free(last);
            last = take_ptr(dir);
        }
        c->all[c->count++] = (struct copy){.number = i, .e = e, .from = from};
    }
    qsort(c->all, c->count, sizeof *c->all, compare_copies);
    return 0;
}

int earlier_copy_files(struct earlier *x, struct wp_error *err)
{
    struct unpack *unpack = x->unpack;
    _cleanup_free_ struct copy *all = calloc(unpack->manifest.entry_count + 1, sizeof *all);
    struct copying c = {.x = x, .all = all};
    int r;

    x->digests = sha256_many_new();
    if (!all || !x->digests)
        return error_nomem(err);
    r = add_copies(&c, err);
    if (r == 0)
        r = run_copiers(&c, err);
    for (size_t i = 0; i < c.count && r == 0; i++) {
        unpack->earlier.taken[all[i].number] = all[i].same;
        unpack->result->reused += all[i].same;
        if (!all[i].same)
            report(unpack->a->context, WP_DETAIL, all[i].e.path,
                   "is not in %s as its manifest says: it is unpacked", x->trees.dir);
    }
    return r;
}
