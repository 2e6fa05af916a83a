/* Packing: reads a file whole into a block, and sees whether it changed meanwhile. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/times.h"
#include "blocks.h"
#include "numba/caches.h"
#include "numba/data.h"
#include "numba/index.h"

bool pack_is_source_or_cache(const char *path)
{
    return caches_is_source(path) || caches_is_index(path) || caches_is_data(path);
}

bool pack_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && time_is(a->st_mtim, b->st_mtim) &&
           time_is(a->st_ctim, b->st_ctim);
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

    for (size_t i = 0; error_is_absence(fd) && item->linked && i < p->walk.count; i++) {
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

int pack_open_item(const struct pack *p, const struct walk_item *item, struct stat *st,
                   struct wp_error *err)
{
    _cleanup_close_ int fd = open_by_any_name(p, item);

    if (error_is_absence(fd))
        return -ENOENT;
    if (fd < 0)
        return error_set(err, -fd, item->entry.path, "cannot open");
    if (fstat(fd, st) < 0)
        return error_set(err, errno, item->entry.path, "cannot stat");
    if (!S_ISREG(st->st_mode))
        return error_set(err, 0, item->entry.path, "is no longer a regular file");
    return take_fd(&fd);
}

/* What the header says: all that the manifest says, but for the time of some. */
int pack_add_header(struct blocks *b, struct slot *s, const struct walk_item *item,
                    struct wp_error *err)
{
    struct entry e = item->entry;

    if (item->spooled && b->p->header_times)
        e.mtime = b->p->header_times[item->spooled - 1];
    return b->w->ops->add_header(b->w, &s->block, &e, err);
}

static struct packed_index *index_of(const struct pack *p, size_t item)
{
    size_t at = array_first(i, p->index_count, p->indexes[i].item < item);

    return at < p->index_count && p->indexes[at].item == item ? &p->indexes[at] : NULL;
}

void pack_take_stat(struct pack *p, struct walk_item *item, const struct stat *st)
{
    if (item->entry.size != (uint64_t)st->st_size || !time_is(item->entry.mtime, st->st_mtim) ||
        !time_is(item->ctime, st->st_ctim))
        atomic_store(&p->has_changed, true);
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

    if (st->st_size > PACK_WHOLE_LIMIT && (uint64_t)st->st_size > 2 * item->entry.size)
        return error_set(err, 0, item->entry.path, "grew beyond all bounds while it was packed");
    pack_take_stat(b->p, item, st);
    r = item->entry.absent ? 0 : pack_add_header(b, s, item, err);
    if (r < 0)
        return r;
    *content = plain->size;
    if (buf_reserve(plain, item->entry.size + 1) < 0)
        return error_nomem(err);
    /* One byte more than there should be, to see whether it grew. */
    got = file_read_at(fd, plain->data + plain->size, item->entry.size + 1, 0);
    if (got < 0)
        return error_set(err, (int)-got, item->entry.path, "cannot read");
    if (fstat(fd, &after) < 0)
        return error_set(err, errno, item->entry.path, "cannot stat");
    if ((uint64_t)got < item->entry.size)
        memset(plain->data + plain->size + got, 0, item->entry.size - (uint64_t)got);
    plain->size += item->entry.size;
    return (uint64_t)got == item->entry.size && pack_same_file(st, &after);
}

void pack_drop_item(struct blocks *b, struct walk_item *item)
{
    report(b->p->context, WP_CHANGED, item->entry.path, "was removed before it was read");
    item->gone = true;
    atomic_store(&b->p->has_changed, true);
}

/* All of a file of a tree: 0; 1: it is gone, and nothing of it is in the block. */
static int read_file(struct blocks *b, struct slot *s, struct walk_item *item, size_t *content,
                     struct wp_error *err)
{
    const size_t start = s->block.plain.size;
    int r = 0;

    for (int attempt = 0; attempt < 2 && r == 0; attempt++) {
        struct stat st = {0};
        _cleanup_close_ int fd = pack_open_item(b->p, item, &st, err);

        s->block.plain.size = start;
        if (error_is_absence(fd)) {
            pack_drop_item(b, item);
            s->changed = true;
            return 1;
        }
        if (fd < 0)
            return fd;
        r = read_once(b, s, item, fd, &st, content, err);
        if (r < 0)
            return r;
    }
    if (r == 0 && pack_is_source_or_cache(item->entry.path)) {
        error_set(err, 0, item->entry.path, "keeps changing while it is packed");
        return -EAGAIN;
    }
    if (r == 0) {
        report(b->p->context, WP_CHANGED, item->entry.path, "changed while it was read");
        s->changed = true;
    }
    return 0;
}

/* All of what was in an archive before. */
static int read_spooled(struct blocks *b, struct slot *s, struct walk_item *item, size_t *content,
                        struct wp_error *err)
{
    struct buf *plain = &s->block.plain;
    int r = pack_add_header(b, s, item, err);

    *content = plain->size;
    return r < 0 ? r
                 : spool_content(b->p->spool, pack_spooled(b->p, item), plain,
                                 "cannot read from the temporary file", err);
}

/* Of a data file whose content is DATA. 0 or -ENOMEM. */
static int look_into_data(struct walk_item *item, const unsigned char *data)
{
    struct data_facts facts;
    int r = data_read(data, item->entry.size, NULL, &facts, NULL);

    item->broken = r < 0 || !facts.whole;
    item->svml = r == 0 && *facts.svml;
    return r == -ENOMEM ? r : 0;
}

int pack_add_whole(struct blocks *b, struct slot *s, const struct segment *g, struct wp_error *err)
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
    if (pack_imports_scan(b->p, g->item, s->block.plain.data + content) < 0)
        return error_nomem(err);
    if (caches_is_data(item->entry.path) && look_into_data(item, s->block.plain.data + content) < 0)
        return error_nomem(err);
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
