/* Keeps all that an archive holds: the entries in memory, their content in a temporary file. */

#include "spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "reading.h"

struct spooling {
    struct spool *spool;
    struct archive_reading in;
    struct sha256 *sha;
    struct manifest recorded;
};

static int check_entry(const struct entry *e, struct wp_error *err)
{
    if (!path_is_safe(e->path))
        return error_set(err, 0, e->path, "is a name that leads outside every directory: refused");
    if (e->type == ENTRY_OTHER)
        return error_set(err, 0, e->path, "is a device or FIFO, which would be lost: refused");
    if (e->type == ENTRY_SYMLINK && (!e->target || !*e->target))
        return error_set(err, 0, e->path, "is a symbolic link to nothing");
    return 0;
}

/* Room in the file for the content of ITEM, all of it a hole at first. */
static int make_room(struct spool *s, struct spooled *item, struct wp_error *err)
{
    uint64_t size;
    bool fits = !__builtin_add_overflow(s->size, item->entry.size, &size) && size <= INT64_MAX;

    if (!fits || ftruncate(s->fd, (off_t)size) < 0)
        return error_set(err, fits ? errno : EFBIG, item->entry.path,
                         "cannot be kept in a temporary file");
    item->at = s->size;
    s->size = size;
    return 0;
}

/* The content of the current entry into the file. A gap is zeros, there and in the digest. */
static int keep_content(struct spooling *f, struct spooled *item, struct wp_error *err)
{
    struct format_reader *reader = f->in.a->reader;
    uint64_t at = 0, offset;
    const void *data;
    size_t n;
    int r = make_room(f->spool, item, err);

    if (r < 0)
        return r;
    while ((r = reader->ops->data(reader, &data, &n, &offset, err)) > 0) {
        if (context_check(f->in.a->context, err) < 0)
            return -EINTR;
        if (offset < at || offset > item->entry.size || n > item->entry.size - offset)
            return error_set(err, EBADMSG, item->entry.path,
                             "has another size than its header says");
        r = archive_digest_hole(&f->in, f->sha, offset - at, err);
        if (r < 0)
            return r;
        sha256_add(f->sha, data, n);
        r = file_temporary_write(f->spool->fd, item->at + offset, data, n, err);
        if (r < 0)
            return r;
        at = offset + n;
    }
    if (r == 0)
        r = archive_digest_hole(&f->in, f->sha, item->entry.size - at, err);
    sha256_end(f->sha, item->entry.sha256);
    item->entry.has_sha256 = true;
    return r;
}

static int keep_entry(struct spooling *f, const struct entry *e, struct wp_error *err)
{
    struct spool *s = f->spool;
    struct spooled *item;

    if (array_grow(s->items, s->count) < 0)
        return error_nomem(err);
    item = &s->items[s->count];
    *item = (struct spooled){.header_time = e->mtime, .file = s->count};
    if (entry_copy(&item->entry, e) < 0)
        return error_nomem(err);
    s->count++;
    return e->type == ENTRY_FILE ? keep_content(f, item, err) : 0;
}

static int read_entries(struct spooling *f, struct wp_error *err)
{
    int r;

    while ((r = archive_next(&f->in, err)) > 0) {
        const int step = r;

        r = step == ARCHIVE_TOP ? 0 : check_entry(f->in.e, err);
        if (r == 0 && step == ARCHIVE_MANIFEST)
            r = archive_read_manifest(&f->in, &f->recorded, err);
        else if (r == 0 && step == ARCHIVE_ENTRY)
            r = keep_entry(f, f->in.e, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* ---- What the manifest says -------------------------------------------------------------- */

/* A format that rounds times and leaves out owners has them in its manifest. */
static int take_recorded(struct spooling *f, struct spooled *item, struct wp_error *err)
{
    const struct entry *m = manifest_find(&f->recorded, item->entry.path);
    struct entry *e = &item->entry;

    if (!m || m->type != e->type)
        return error_set(err, EBADMSG, e->path, "is not what the manifest says");
    if (m->type == ENTRY_FILE && m->has_sha256 && memcmp(m->sha256, e->sha256, SHA256_SIZE) != 0)
        return error_set(err, EBADMSG, e->path,
                         "does not have the content that the manifest says (SHA-256)");
    if (!f->in.a->reader->is_rounded)
        return 0;
    return entry_take_attributes(e, m) < 0 ? error_nomem(err) : 0;
}

bool spool_is_own(const struct entry *e)
{
    _cleanup_free_ char *within = e->type == ENTRY_DIR ? path_join(e->path, MANIFEST_NAME) : NULL;

    return own_home_at(within ? within : e->path) >= 0;
}

/* Caches that lay outside the tree, and older manifests: they are made anew. */
static void drop_own(struct spool *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++) {
        if (spool_is_own(&s->items[i].entry))
            entry_clear(&s->items[i].entry);
        else
            s->items[kept++] = s->items[i];
    }
    s->count = kept;
}

/* ---- Hard links -------------------------------------------------------------------------- */

static int compare_items(const void *a, const void *b, void *items)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    const struct spooled *all = items;
    int order = strcmp(all[x].entry.path, all[y].entry.path);

    return order ? order : (x > y) - (x < y);
}

/* Is item number I one before PATH, or one of that path before number BEFORE? */
static bool is_before(const struct spool *s, size_t i, const char *path, size_t before)
{
    int order = strcmp(s->items[i].entry.path, path);

    return order < 0 || (order == 0 && i < before);
}

/* The last item of that path before number BEFORE, or NULL. */
static struct spooled *find(const struct spool *s, const size_t *order, const char *path,
                            size_t before)
{
    size_t low = array_first(i, s->count, is_before(s, order[i], path, before));

    if (!low || strcmp(s->items[order[low - 1]].entry.path, path) != 0)
        return NULL;
    return &s->items[order[low - 1]];
}

/* The entries will be sorted: a link becomes a second file with the content of the first, and
 * whichever comes first then is the file. */
static int resolve_link(struct spool *s, const size_t *order, size_t i, struct wp_error *err)
{
    struct spooled *item = &s->items[i];
    struct spooled *target = item->entry.target ? find(s, order, item->entry.target, i) : NULL;
    _cleanup_free_ char *path = NULL;

    if (!target || target->entry.type == ENTRY_DIR)
        return error_set(err, EBADMSG, item->entry.path,
                         "is a hard link to what is not in the archive before it");
    path = take_ptr(item->entry.path);
    entry_clear(&item->entry);
    if (entry_copy(&item->entry, &target->entry) < 0)
        return error_nomem(err);
    free(item->entry.path);
    item->entry.path = take_ptr(path);
    item->header_time = target->header_time;
    item->at = target->at;
    item->file = target->file;
    item->linked = target->linked = target->entry.type == ENTRY_FILE;
    return 0;
}

int spool_resolve_links(struct spool *s, struct wp_error *err)
{
    _cleanup_free_ size_t *order = reallocarray(NULL, s->count ? s->count : 1, sizeof *order);
    int r = 0;

    if (!order)
        return error_nomem(err);
    for (size_t i = 0; i < s->count; i++)
        order[i] = i;
    if (s->count)
        qsort_r(order, s->count, sizeof *order, compare_items, s->items);
    for (size_t i = 0; i < s->count && r == 0; i++)
        if (s->items[i].entry.type == ENTRY_HARDLINK)
            r = resolve_link(s, order, i, err);
    return r;
}

/* A script that unpacks or runs the archive finds it again behind itself; another program may know
 * by number where it begins. */
static int take_script(struct spool *s, const struct wp_archive *a, struct wp_error *err)
{
    const struct buf *script = a->reader->script;

    if (a->reader->has_program && !script)
        return error_set(err, 0, a->name,
                         "begins with something else, such as a program that unpacks it, which "
                         "would be lost: refused");
    return script && buf_add(&s->script, script->data, script->size) < 0 ? error_nomem(err) : 0;
}

int spool_read(struct spool *s, struct wp_archive *a, struct manifest *recorded,
               struct wp_error *err)
{
    struct spooling f = {
        .spool = s,
        .in = {.a = a, .tells_progress = true},
        .sha = sha256_new(),
    };
    int r = take_script(s, a, err);

    if (r == 0)
        r = s->fd = f.sha ? file_temporary(err) : error_nomem(err);
    if (r >= 0)
        r = read_entries(&f, err);
    for (size_t i = 0; i < s->count && r == 0 && f.in.has_manifest; i++)
        r = take_recorded(&f, &s->items[i], err);
    if (r == 0)
        r = spool_resolve_links(s, err);
    s->was_signed = f.recorded.signature_count > 0;
    if (r == 0 && recorded)
        *recorded = f.recorded;
    else
        manifest_clear(&f.recorded);
    if (r == 0 && !recorded)
        drop_own(s);
    sha256_free(f.sha);
    return r;
}

int spool_content(const struct spool *s, const struct spooled *item, struct buf *out,
                  const char *wrong, struct wp_error *err)
{
    ssize_t got;

    if (buf_reserve(out, item->entry.size) < 0)
        return error_nomem(err);
    got = file_read_at(s->fd, out->data + out->size, item->entry.size, item->at);
    if (got < 0 || (uint64_t)got < item->entry.size)
        return error_set(err, got < 0 ? (int)-got : EIO, item->entry.path, "%s", wrong);
    out->size += (size_t)got;
    return 0;
}

struct spooled *spool_add(struct spool *s, struct entry *e, struct wp_error *err)
{
    struct spooled *item;

    if (array_grow(s->items, s->count) < 0) {
        entry_clear(e);
        error_nomem(err);
        return NULL;
    }
    item = &s->items[s->count];
    *item = (struct spooled){.entry = *e, .header_time = e->mtime, .file = s->count, .at = s->size};
    item->entry.size = 0;
    *e = (struct entry){0};
    s->count++;
    return item;
}

int spool_append(struct spool *s, struct spooled *item, const void *data, size_t n,
                 struct wp_error *err)
{
    int r = file_temporary_write(s->fd, s->size, data, n, err);

    if (r < 0)
        return r;
    s->size += n;
    item->entry.size += n;
    return 0;
}

void spool_clear(struct spool *s)
{
    for (size_t i = 0; i < s->count; i++) {
        entry_clear(&s->items[i].entry);
        free(s->items[i].builds);
    }
    if (s->fd >= 0)
        close(s->fd);
    free(s->items);
    buf_free(&s->script);
    *s = (struct spool){.fd = -1};
}
