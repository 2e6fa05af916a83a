/* Unpacking, content that an earlier tree has already: clones or copies it from there.
 *
 * Manifests in that tree tell which file has which content, but they prove nothing: the file may
 * have changed since, and may change now. So the digest is taken of what has been read or cloned,
 * and what is not the content that is wanted comes from the archive. */

#include "earlier.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "stream/pipeline.h"
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
};

struct batch {
    struct copy files[MOST_FILES];
    size_t count;
    uint64_t bytes;
    bool same[MOST_FILES]; /* it is there now */
    struct buf data;
    int status;
    struct wp_error why;
};

/* ---- Copying, on the pool ---------------------------------------------------------------- */

/* Opens FROM, which must be a regular file of SIZE bytes: a descriptor, or -1. */
static int open_same_size(const struct earlier *x, const char *from, uint64_t size)
{
    /* O_NONBLOCK: a FIFO that stands there must not hold us up. */
    _cleanup_close_ int fd = beneath_open(x->trees.fd, from, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
        return -1;
    return take_fd(&fd);
}

/* Failures to make a file that the archive's own entry would meet, too, are left to that. */
static bool is_in_the_way(int r)
{
    return r == -EEXIST || r == -EISDIR || beneath_is_absence(r);
}

static int fail(struct batch *b, int r, const struct wp_error *why)
{
    if (is_in_the_way(r))
        return 0;
    b->why = *why;
    return b->status = r;
}

/* Reads the file whole: a content that is not as wanted is not written at all. */
static bool read_small(const struct earlier *x, struct batch *b, const struct copy *c)
{
    const size_t size = (size_t)c->e.size;
    _cleanup_close_ int fd = open_same_size(x, c->from, c->e.size);

    if (fd < 0 || buf_reserve(&b->data, size) < 0)
        return false;
    return file_read_at(fd, b->data.data + b->data.size, size, 0) == (ssize_t)size;
}

static void copy_small(struct earlier *x, struct batch *b)
{
    unsigned char found[MOST_FILES][SHA256_SIZE];
    struct sha256_text texts[MOST_FILES];
    size_t at[MOST_FILES], which[MOST_FILES], count = 0;

    buf_clear(&b->data);
    if (buf_reserve(&b->data, (size_t)b->bytes) < 0)
        return;
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
    for (size_t k = 0; k < count && b->status == 0; k++) {
        const struct copy *c = &b->files[which[k]];
        struct wp_error why = {0};
        int r;

        if (memcmp(found[k], c->e.sha256, SHA256_SIZE) != 0)
            continue;
        r = create_file(x->unpack->tree, &x->unpack->policy, &c->e, b->data.data + at[k],
                        (size_t)c->e.size, &why);
        b->same[which[k]] = r == 0;
        if (r < 0)
            fail(b, r, &why);
    }
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
static int copy_large(struct earlier *x, struct batch *b, const struct copy *c, bool *same,
                      struct wp_error *why)
{
    _cleanup_close_ int from = open_same_size(x, c->from, c->e.size);
    _cleanup_close_ int to = -1, again = -1;
    int r;

    if (from < 0)
        return 0;
    to = create_open(x->unpack->tree, &c->e, why);
    if (to < 0)
        return to;
    buf_clear(&b->data);
    if (clone_file(x, from, to)) {
        again = beneath_open(x->unpack->tree, c->e.path, O_RDONLY, 0);
        r = again < 0 ? again : copy_runs(x, b, c, again, -1);
    } else {
        r = copy_runs(x, b, c, from, to);
    }
    if (r == 1) {
        *same = true;
        return create_close(take_fd(&to), &x->unpack->policy, &c->e, why);
    }
    if (r == 0)
        r = beneath_remove(x->unpack->tree, c->e.path);
    return r < 0 ? error_set(why, -r, c->e.path, "cannot be copied from %s", x->trees.dir) : 0;
}

static void run_batch(void *slot, void *arg)
{
    struct batch *b = slot;
    struct earlier *x = arg;
    struct wp_error why = {0};
    int r;

    if (b->count > 1 || b->files[0].e.size <= SMALL) {
        copy_small(x, b);
        return;
    }
    r = copy_large(x, b, &b->files[0], &b->same[0], &why);
    if (r < 0)
        fail(b, r, &why);
}

static void drop_batch(void *slot)
{
    buf_free(&((struct batch *)slot)->data);
}

/* ---- All of the archive's files ---------------------------------------------------------- */

struct copying {
    struct earlier *x;
    struct pipeline *line;
    struct batch *filling; /* NULL: none */
    char *dir;             /* the last that was made; NULL: none; owned */
};

static int take_oldest(struct copying *c, struct wp_error *err)
{
    struct unpack *unpack = c->x->unpack;
    struct batch *b = pipeline_wait_oldest(c->line);

    if (!b)
        return 0;
    for (size_t i = 0; i < b->count; i++) {
        unpack->earlier.taken[b->files[i].number] = b->same[i];
        unpack->result->reused += b->same[i];
        if (!b->same[i])
            report(unpack->a->context, WP_DETAIL, b->files[i].e.path,
                   "is not in %s as its manifest says: it is unpacked", c->x->trees.dir);
    }
    if (b->status < 0 && err && !err->code)
        *err = b->why;
    pipeline_release(c->line);
    return b->status < 0 ? b->status : 1;
}

static void submit(struct copying *c)
{
    if (c->filling)
        pipeline_submit(c->line);
    c->filling = NULL;
}

/* Makes room for a file of SIZE bytes in the batch that is being filled. */
static int begin_batch(struct copying *c, uint64_t size, struct wp_error *err)
{
    struct batch *b = c->filling;

    if (b && (b->count == MOST_FILES || size > SMALL || b->bytes + size > BATCH))
        submit(c);
    if (c->filling)
        return 0;
    while (!(b = pipeline_free_slot(c->line))) {
        int r = take_oldest(c, err);

        if (r < 0)
            return r;
    }
    b->count = 0;
    b->bytes = 0;
    b->status = 0;
    memset(b->same, 0, sizeof b->same);
    c->filling = b;
    return 0;
}

static int add_copy(struct copying *c, size_t number, const char *from, struct wp_error *err)
{
    const struct unpack *unpack = c->x->unpack;
    struct entry e = unpack->manifest.entries[number];
    _cleanup_free_ char *dir = path_dir(e.path = c->x->names[number]);
    struct batch *b;
    int r;

    if (!dir)
        return error_nomem(err);
    if (!c->dir || strcmp(c->dir, dir) != 0) {
        if (is_in_the_way(create_dir(unpack->tree, dir, 0700, NULL)))
            return 0;
        free(c->dir);
        c->dir = take_ptr(dir);
    }
    r = begin_batch(c, e.size, err);
    if (r < 0)
        return r;
    b = c->filling;
    b->files[b->count++] = (struct copy){.number = number, .e = e, .from = from};
    b->bytes += e.size;
    if (e.size > SMALL)
        submit(c);
    return 0;
}

int earlier_copy_files(struct earlier *x, struct wp_error *err)
{
    struct unpack *unpack = x->unpack;
    const unsigned threads = pool_threads(unpack->a->pool);
    struct copying c = {.x = x};
    int r = 0, more = 1;

    x->digests = sha256_many_new();
    c.line = pipeline_new(unpack->a->pool, threads > 1 ? 2 * threads + 2 : 1, sizeof(struct batch),
                          run_batch, drop_batch, x);
    if (!x->digests || !c.line)
        r = error_nomem(err);
    for (size_t i = 0; i < unpack->manifest.entry_count && r == 0; i++) {
        const char *from = x->names[i] ? earlier_find(x, &unpack->manifest.entries[i]) : NULL;

        r = context_check(unpack->a->context, err);
        if (r == 0 && from)
            r = add_copy(&c, i, from, err);
    }
    if (r == 0)
        submit(&c);
    while (r == 0 && more > 0)
        more = take_oldest(&c, err);
    pipeline_free(c.line);
    free(c.dir);
    return r < 0 ? r : more;
}
