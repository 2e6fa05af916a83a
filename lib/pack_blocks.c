/* Packing, second step: one job of the pool makes one block. It reads the files, takes their
 * digests, lays them out in the format and compresses, all while the bytes are in the cache. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "caches.h"
#include "numba/index.h"
#include "pack.h"
#include "stream/pipeline.h"

enum {
    HEADER_ESTIMATE = 1536, /* bytes that an entry's headers take in the stream */
    WHOLE_LIMIT = 64 << 20, /* sources and cache files up to this are read whole */
    LEAST_PIECE = 64 << 10, /* a block with less room than this is closed instead */
};

/* A file too large for one block, read piece by piece. */
struct large {
    int fd;
    uint64_t base;      /* where in the descriptor its content begins */
    struct stat before; /* when it was opened: what its header says */
    pthread_mutex_t lock;
    struct sha256 *sha;
    uint64_t hashed;       /* bytes digested so far */
    bool hashing;          /* a thread is digesting */
    struct parked *parked; /* pieces read before their turn */
    size_t parked_count;
};

struct parked {
    uint64_t offset;
    const unsigned char *data; /* in a block that lives until the piece is digested */
    size_t size;
};

struct segment {
    size_t item;
    uint64_t offset, size; /* of the content; planned */
    bool first, last;
    struct large *large; /* NULL: read whole */
};

struct slot {
    struct format_block block;
    const struct format_writer_ops *ops; /* to drop the block */
    struct segment *segments;
    size_t count, room;
    size_t estimate; /* bytes of the plain stream */
    uint64_t content;
    bool changed;
    int status;
    struct wp_error err;
};

struct blocks {
    struct pack *p;
    struct format_writer *w;
    struct pipeline *line;
    struct output *out;
    struct slot *open; /* being filled, or NULL */
    uint64_t done;
    bool changed;
    pthread_mutex_t lock;
    pthread_cond_t settled; /* a block's files are: what waits may look at its own */
    bool *is_settled;       /* by item, for those that may have further names: read, or gone */
};

static bool is_source_or_cache(const char *path)
{
    size_t n = strlen(path);

    return (n > 3 && strcmp(path + n - 3, ".py") == 0) || caches_is_index(path) ||
           caches_is_data(path);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && same_time(a->st_mtim, b->st_mtim) &&
           same_time(a->st_ctim, b->st_ctim);
}

/* Only what no other thread changes is looked at before it is known that LINK waits for FIRST. */
static bool leads_to(const struct walk_item *link, const struct walk_item *first)
{
    return link->entry.target && strcmp(link->entry.target, first->entry.path) == 0 &&
           link->entry.type == ENTRY_HARDLINK && link->dev == first->dev && link->ino == first->ino;
}

/* Opens a file, by a further name of it where the first is gone. */
static int open_by_any_name(const struct pack *p, const struct walk_item *item)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = walk_open(&p->walk, item, flags);

    for (size_t i = 0; fd == -ENOENT && item->linked && i < p->walk.count; i++) {
        struct stat st;

        if (!leads_to(&p->walk.items[i], item))
            continue;
        fd = walk_open(&p->walk, &p->walk.items[i], flags);
        if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_dev != item->dev || st.st_ino != item->ino)) {
            close(fd);
            fd = -ENOENT;
        }
    }
    return fd;
}

/* Opens what the walk saw as a regular file. -ENOENT without a message: it is gone. */
static int open_item(const struct pack *p, const struct walk_item *item, struct stat *st,
                     struct wp_error *err)
{
    _cleanup_close_ int fd = open_by_any_name(p, item);

    if (fd == -ENOENT)
        return -ENOENT;
    if (fd < 0)
        return error_set(err, -fd, item->entry.path, "cannot open");
    if (fstat(fd, st) < 0)
        return error_set(err, errno, item->entry.path, "cannot stat");
    if (!S_ISREG(st->st_mode))
        return error_set(err, 0, item->entry.path, "is no regular file any more");
    return take_fd(&fd);
}

/* What the header says: all that the manifest says, but for the time of some. */
static int add_header(struct blocks *b, struct slot *s, const struct walk_item *item,
                      struct wp_error *err)
{
    struct entry e = item->entry;

    if (item->has_header_time)
        e.mtime = item->header_time;
    return b->w->ops->add_header(b->w, &s->block, &e, err);
}

/* Reads up to SIZE bytes at OFFSET; how many there were. */
static ssize_t read_at(int fd, void *out, size_t size, uint64_t offset)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = pread(fd, (char *)out + got, size - got, (off_t)(offset + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static struct packed_index *index_of(const struct pack *p, size_t item)
{
    size_t low = 0, high = p->index_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (p->indexes[middle].item == item)
            return &p->indexes[middle];
        if (p->indexes[middle].item < item)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* What the header and the manifest say is what was really read. */
static void take_stat(struct walk_item *item, const struct stat *st)
{
    item->entry.size = (uint64_t)st->st_size;
    item->entry.mtime = st->st_mtim;
    item->ctime = st->st_ctim;
    item->ino = st->st_ino;
}

/* One try at a whole file: 1 whole, 0 changed while it was read. */
static int read_once(struct blocks *b, struct slot *s, struct walk_item *item, int fd,
                     struct stat *st, size_t *content, struct wp_error *err)
{
    struct buf *plain = &s->block.plain;
    struct stat after;
    ssize_t got;
    int r;

    if (st->st_size > WHOLE_LIMIT && (uint64_t)st->st_size > 2 * item->entry.size)
        return error_set(err, 0, item->entry.path, "grew beyond all bounds while it was packed");
    take_stat(item, st);
    r = item->entry.absent ? 0 : add_header(b, s, item, err);
    if (r < 0)
        return r;
    *content = plain->size;
    if (buf_reserve(plain, item->entry.size + 1) < 0)
        return error_nomem(err);
    /* One byte more than there should be, to see whether it grew. */
    got = read_at(fd, plain->data + plain->size, item->entry.size + 1, 0);
    if (got < 0)
        return error_set(err, (int)-got, item->entry.path, "cannot read");
    if (fstat(fd, &after) < 0)
        return error_set(err, errno, item->entry.path, "cannot stat");
    if ((uint64_t)got < item->entry.size)
        memset(plain->data + plain->size + got, 0, item->entry.size - (uint64_t)got);
    plain->size += item->entry.size;
    return (uint64_t)got == item->entry.size && same_file(st, &after);
}

/* Leaves an item out of the archive. */
static void drop_item(struct blocks *b, struct walk_item *item)
{
    report(b->p->o->report, WP_CHANGED, item->entry.path, "was removed before it was read");
    item->entry.type = ENTRY_OTHER;
}

/* All of a file of a tree: 0; 1: it is gone, and nothing of it is in the block. */
static int read_file(struct blocks *b, struct slot *s, struct walk_item *item, size_t *content,
                     struct wp_error *err)
{
    const size_t start = s->block.plain.size;
    int r = 0;

    for (int attempt = 0; attempt < 2 && r == 0; attempt++) {
        struct stat st = {0};
        _cleanup_close_ int fd = open_item(b->p, item, &st, err);

        s->block.plain.size = start;
        if (fd == -ENOENT) {
            drop_item(b, item);
            s->changed = true;
            return 1;
        }
        if (fd < 0)
            return fd;
        r = read_once(b, s, item, fd, &st, content, err);
        if (r < 0)
            return r;
    }
    if (r == 0 && is_source_or_cache(item->entry.path)) {
        error_set(err, 0, item->entry.path, "keeps changing while it is packed");
        return -EAGAIN;
    }
    if (r == 0) {
        report(b->p->o->report, WP_CHANGED, item->entry.path, "changed while it was read");
        s->changed = true;
    }
    return 0;
}

/* All of what was in an archive before. */
static int read_spooled(struct blocks *b, struct slot *s, struct walk_item *item, size_t *content,
                        struct wp_error *err)
{
    struct buf *plain = &s->block.plain;
    int r = add_header(b, s, item, err);
    ssize_t got;

    if (r < 0)
        return r;
    *content = plain->size;
    if (buf_reserve(plain, item->entry.size) < 0)
        return error_nomem(err);
    got = read_at(b->p->spool, plain->data + plain->size, item->entry.size, item->spool_at);
    if (got < 0 || (uint64_t)got < item->entry.size)
        return error_set(err, got < 0 ? (int)-got : EIO, item->entry.path,
                         "cannot read from the temporary file");
    plain->size += item->entry.size;
    return 0;
}

static int add_whole(struct blocks *b, struct slot *s, const struct segment *g,
                     struct wp_error *err)
{
    struct walk_item *item = &b->p->walk.items[g->item];
    const size_t start = s->block.plain.size;
    size_t content = 0;
    struct packed_index *index;
    int r = item->spooled ? read_spooled(b, s, item, &content, err)
                          : read_file(b, s, item, &content, err);

    if (r != 0)
        return r < 0 ? r : 0;
    sha256_of(s->block.plain.data + content, item->entry.size, item->entry.sha256);
    item->entry.has_sha256 = true;
    item->broken = caches_is_data(item->entry.path) &&
                   index_check_data(s->block.plain.data + content, item->entry.size, NULL) < 0;
    index = index_of(b->p, g->item);
    if (index) {
        buf_clear(&index->text);
        if (buf_add(&index->text, s->block.plain.data + content, item->entry.size) < 0)
            return error_nomem(err);
    }
    s->content += item->entry.size;
    if (item->entry.absent) {
        s->block.plain.size = start;
        return 0;
    }
    return b->w->ops->add_end(b->w, &s->block, &item->entry, err);
}

/* Takes the piece at OFFSET into the digest, or leaves it for the thread that reads the piece
 * before it. The digest goes strictly forward. */
static int digest_piece(struct large *l, uint64_t offset, const unsigned char *data, size_t size)
{
    struct parked *grown;

    pthread_mutex_lock(&l->lock);
    grown = realloc(l->parked, (l->parked_count + 1) * sizeof *grown);
    if (!grown) {
        pthread_mutex_unlock(&l->lock);
        return -ENOMEM;
    }
    l->parked = grown;
    grown[l->parked_count++] = (struct parked){offset, data, size};
    for (size_t i = 0; !l->hashing && i < l->parked_count;) {
        struct parked now = l->parked[i];

        if (now.offset != l->hashed) {
            i++;
            continue;
        }
        l->parked[i] = l->parked[--l->parked_count];
        l->hashing = true;
        pthread_mutex_unlock(&l->lock);
        sha256_add(l->sha, now.data, now.size);
        pthread_mutex_lock(&l->lock);
        l->hashing = false;
        l->hashed += now.size;
        i = 0;
    }
    pthread_mutex_unlock(&l->lock);
    return 0;
}

static int add_piece(struct blocks *b, struct slot *s, const struct segment *g,
                     struct wp_error *err)
{
    struct walk_item *item = &b->p->walk.items[g->item];
    struct buf *plain = &s->block.plain;
    ssize_t got;
    int r = 0;

    if (g->first)
        r = add_header(b, s, item, err);
    if (r < 0)
        return r;
    /* Room for what add_end may append, so that the piece stays where it is. */
    if (buf_reserve(plain, g->size + 4096) < 0)
        return error_nomem(err);
    got = read_at(g->large->fd, plain->data + plain->size, g->size, g->large->base + g->offset);
    if (got < 0)
        return error_set(err, (int)-got, item->entry.path, "cannot read");
    if ((uint64_t)got < g->size) {
        memset(plain->data + plain->size + got, 0, g->size - (uint64_t)got);
        s->changed = true;
    }
    r = digest_piece(g->large, g->offset, plain->data + plain->size, g->size);
    if (r < 0)
        return error_nomem(err);
    plain->size += g->size;
    s->content += g->size;
    return g->last ? b->w->ops->add_end(b->w, &s->block, &item->entry, err) : 0;
}

/* Other blocks may wait for this item. */
static void settle(struct blocks *b, size_t item)
{
    if (!b->p->walk.items[item].linked)
        return;
    pthread_mutex_lock(&b->lock);
    b->is_settled[item] = true;
    pthread_cond_broadcast(&b->settled);
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
    while (!b->is_settled[first - b->p->walk.items])
        pthread_cond_wait(&b->settled, &b->lock);
    pthread_mutex_unlock(&b->lock);
    return first->entry.type != ENTRY_OTHER;
}

static int add_segment(struct blocks *b, struct slot *s, const struct segment *g,
                       struct wp_error *err)
{
    struct walk_item *item = &b->p->walk.items[g->item];
    int r;

    if (g->large)
        return add_piece(b, s, g, err);
    if (item->entry.type == ENTRY_FILE)
        return add_whole(b, s, g, err);
    if (item->entry.type == ENTRY_HARDLINK && !has_target(b, &item->entry)) {
        drop_item(b, item);
        s->changed = true;
        return 0;
    }
    if (item->entry.absent)
        return 0;
    r = add_header(b, s, item, err);
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
        settle(b, s->segments[i].item);
    }
    if (s->status == 0)
        s->status = b->w->ops->seal(b->w, &s->block, &s->err);
}

static void large_free(struct large *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    pthread_mutex_destroy(&l->lock);
    sha256_free(l->sha);
    free(l->parked);
    free(l);
}

/* The last piece has been written: was the file the same all the time? */
static int finish_large(struct blocks *b, const struct segment *g, struct wp_error *err)
{
    struct walk_item *item = &b->p->walk.items[g->item];
    struct stat after;

    sha256_end(g->large->sha, item->entry.sha256);
    item->entry.has_sha256 = true;
    if (item->spooled)
        return 0;
    if (fstat(g->large->fd, &after) < 0)
        return error_set(err, errno, item->entry.path, "cannot stat");
    if (same_file(&g->large->before, &after))
        return 0;
    if (is_source_or_cache(item->entry.path)) {
        error_set(err, 0, item->entry.path, "changed while it was packed");
        return -EAGAIN;
    }
    report(b->p->o->report, WP_CHANGED, item->entry.path, "changed while it was read");
    b->changed = true;
    return 0;
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
            r = finish_large(b, g, err);
        large_free(g->large);
    }
    b->changed |= s->changed;
    b->done += s->content;
    s->count = 0;
    pipeline_release(b->line);
    report_progress(b->p->o->report, b->done, b->p->total);
    return r;
}

static int close_block(struct blocks *b)
{
    if (b->open)
        pipeline_submit(b->line);
    b->open = NULL;
    return 0;
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
    if (!b->open->count) {
        struct slot *s = b->open;

        buf_clear(&s->block.plain);
        buf_clear(&s->block.packed);
        s->ops = b->w->ops;
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

    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 32;
        struct segment *grown = realloc(s->segments, room * sizeof *grown);

        if (!grown)
            return error_nomem(err);
        s->segments = grown;
        s->room = room;
    }
    s->segments[s->count++] = g;
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

/* -ENOENT without a message: it is gone. */
static int open_large(struct blocks *b, struct walk_item *item, struct large **out,
                      struct wp_error *err)
{
    struct large *l = calloc(1, sizeof *l);

    if (!l)
        return error_nomem(err);
    pthread_mutex_init(&l->lock, NULL);
    l->sha = sha256_new();
    l->base = item->spooled ? item->spool_at : 0;
    l->fd = item->spooled ? fcntl(b->p->spool, F_DUPFD_CLOEXEC, 0)
                          : open_item(b->p, item, &l->before, err);
    if (l->fd < 0 && item->spooled)
        l->fd = error_set(err, errno, item->entry.path, "cannot open");
    if (l->fd < 0 || !l->sha) {
        int r = l->fd < 0 ? l->fd : error_nomem(err);

        large_free(l);
        return r;
    }
    posix_fadvise(l->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (!item->spooled)
        take_stat(item, &l->before);
    *out = l;
    return 0;
}

/* Spreads a large file over blocks. A piece is always the last thing in its block: its bytes are
 * digested, maybe by another thread, where they lie. */
static int put_large(struct blocks *b, size_t number, struct wp_error *err)
{
    struct walk_item *item = &b->p->walk.items[number];
    struct large *l = NULL;
    uint64_t offset = 0;
    int r = open_large(b, item, &l, err);

    if (r == -ENOENT) {
        drop_item(b, item);
        b->changed = true;
        settle(b, number);
        return 0;
    }
    if (r < 0)
        return r;
    if (item->entry.size == 0) { /* cut to nothing since it was seen */
        large_free(l);
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
        large_free(l);
    }
    return r;
}

static int put_item(struct blocks *b, size_t number, struct wp_error *err)
{
    const struct entry *e = &b->p->walk.items[number].entry;
    const size_t whole = b->w->whole_size ? b->w->whole_size : b->w->block_size / 4;

    if (!e->absent)
        report(b->p->o->report, WP_DETAIL, e->path, NULL);
    if (e->type == ENTRY_FILE && !e->absent && e->size > whole &&
        !(is_source_or_cache(e->path) && e->size <= WHOLE_LIMIT))
        return put_large(b, number, err);
    return put_whole(b, number, e->type == ENTRY_FILE ? e->size : 0, err);
}

static void drop_slot(void *slot)
{
    struct slot *s = slot;

    for (size_t i = 0; i < s->count; i++) /* left over after an error */
        if (s->segments[i].large && s->segments[i].last)
            large_free(s->segments[i].large);
    free(s->segments);
    if (s->ops)
        s->ops->drop_block(&s->block);
}

int pack_blocks(struct pack *p, struct format_writer *w, struct pool *pool, struct output *out,
                bool *changed, struct wp_error *err)
{
    _cleanup_free_ bool *is_settled = calloc(p->walk.count + 1, sizeof *is_settled);
    struct blocks b = {.p = p,
                       .w = w,
                       .out = out,
                       .lock = PTHREAD_MUTEX_INITIALIZER,
                       .settled = PTHREAD_COND_INITIALIZER,
                       .is_settled = is_settled};
    unsigned threads = pool_threads(pool);
    unsigned slots = w->block_size > (4u << 20) ? threads + 1 : 2 * threads + 2;
    int r = 0;

    if (!is_settled)
        return error_nomem(err);
    b.line = pipeline_new(pool, slots, sizeof(struct slot), make_block, drop_slot, &b);
    if (!b.line)
        return error_set(err, errno, NULL, "cannot start packing");
    for (size_t i = 0; i < p->walk.count && r == 0; i++) {
        if (p->o->interrupted && *p->o->interrupted)
            r = error_set(err, EINTR, NULL, "interrupted");
        else if (p->walk.items[i].entry.type != ENTRY_OTHER)
            r = put_item(&b, i, err);
    }
    if (r == 0)
        r = close_block(&b);
    while (r == 0 && pipeline_wait_oldest(b.line))
        r = retire(&b, err);
    pipeline_free(b.line);
    pthread_cond_destroy(&b.settled);
    pthread_mutex_destroy(&b.lock);
    *changed = b.changed;
    return r;
}
