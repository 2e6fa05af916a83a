/* Packing: a file too large for one block is read piece by piece, on any thread, and digested in
 * order. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/digest.h"
#include "base/file.h"
#include "blocks.h"

/* A piece that was read before its turn. */
struct parked {
    uint64_t offset;
    const unsigned char *data; /* in a block that lives until the piece is digested */
    size_t size;
};

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

/* Takes the piece at OFFSET into the digest, or leaves it for the thread that reads the piece
 * before it. The digest goes strictly forward. */
static int digest_piece(struct large *l, uint64_t offset, const unsigned char *data, size_t size)
{
    int r;

    pthread_mutex_lock(&l->lock);
    r = array_add(l->parked, l->parked_count, (struct parked){offset, data, size});
    for (size_t i = 0; r == 0 && !l->hashing && i < l->parked_count;) {
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
    return r;
}

int pack_large_add(struct blocks *b, struct slot *s, const struct segment *g, struct wp_error *err)
{
    struct walk_item *item = &b->p->walk.items[g->item];
    struct buf *plain = &s->block.plain;
    ssize_t got;
    int r = 0;

    if (g->first)
        r = pack_add_header(b, s, item, err);
    if (r < 0)
        return r;
    /* Room for what add_end may append, so that the piece stays where it is. */
    if (buf_reserve(plain, g->size + 4096) < 0)
        return error_nomem(err);
    got =
        file_read_at(g->large->fd, plain->data + plain->size, g->size, g->large->base + g->offset);
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

void pack_large_free(struct large *l)
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

int pack_large_finish(struct blocks *b, const struct segment *g, struct wp_error *err)
{
    struct walk_item *item = &b->p->walk.items[g->item];
    struct stat after;

    sha256_end(g->large->sha, item->entry.sha256);
    item->entry.has_sha256 = true;
    if (item->spooled)
        return 0;
    if (fstat(g->large->fd, &after) < 0)
        return error_set(err, errno, item->entry.path, "cannot stat");
    if (pack_same_file(&g->large->before, &after))
        return 0;
    if (pack_is_source_or_cache(item->entry.path)) {
        error_set(err, 0, item->entry.path, "changed while it was packed");
        return -EAGAIN;
    }
    report(b->p->context, WP_CHANGED, item->entry.path, "changed while it was read");
    b->changed = true;
    return 0;
}

int pack_large_open(struct blocks *b, struct walk_item *item, struct large **out,
                    struct wp_error *err)
{
    struct large *l = calloc(1, sizeof *l);

    if (!l)
        return error_nomem(err);
    pthread_mutex_init(&l->lock, NULL);
    l->sha = sha256_new();
    l->base = item->spooled ? pack_spooled(b->p, item)->at : 0;
    l->fd = item->spooled ? fcntl(b->p->spool->fd, F_DUPFD_CLOEXEC, 0)
                          : pack_open_item(b->p, item, &l->before, err);
    if (l->fd < 0 && item->spooled)
        l->fd = error_set(err, errno, item->entry.path, "cannot open");
    if (l->fd < 0 || !l->sha) {
        int r = l->fd < 0 ? l->fd : error_nomem(err);

        pack_large_free(l);
        return r;
    }
    posix_fadvise(l->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (!item->spooled)
        pack_take_stat(b->p, item, &l->before);
    *out = l;
    return 0;
}
