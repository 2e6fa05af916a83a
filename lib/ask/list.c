/* The job of listing: tells the entries, from the manifest alone where it can be found at once,
 * else entry by entry.
 */

#include "archive/patterns.h"
#include "archive/reading.h"
#include "base/cleanup.h"

struct list {
    struct wp_archive *a;
    struct patterns patterns;
    int (*each)(void *ctx, const struct wp_list_entry *e);
    void *ctx;
};

static int show(const struct list *l, const struct entry *e)
{
    static const char types[] = {[ENTRY_FILE] = '-',
                                 [ENTRY_DIR] = 'd',
                                 [ENTRY_SYMLINK] = 'l',
                                 [ENTRY_HARDLINK] = 'h',
                                 [ENTRY_OTHER] = '?'};
    struct wp_list_entry shown = {.path = *e->path ? e->path : ".",
                                  .target = e->target,
                                  .type = types[e->type],
                                  .mode = e->mode,
                                  .uid = e->uid,
                                  .gid = e->gid,
                                  .uname = e->uname,
                                  .gname = e->gname,
                                  .size = e->size,
                                  .mtime_sec = e->mtime.tv_sec,
                                  .mtime_nsec = (int32_t)e->mtime.tv_nsec,
                                  .sha256 = e->has_sha256 ? e->sha256 : NULL};

    if (e->type == ENTRY_OTHER && e->special)
        shown.type = e->special;
    if (shown.type == 'c' || shown.type == 'b') {
        shown.dev_major = e->device.major;
        shown.dev_minor = e->device.minor;
    }

    return patterns_match(&l->patterns, e->path) ? l->each(l->ctx, &shown) : 0;
}

static int list_manifest(const struct list *l, const char *path, struct buf *text,
                         struct wp_error *err)
{
    _cleanup_(manifest_clear) struct manifest m = {0};
    struct entry self = {.path = (char *)path, .mode = 0644, .size = text->size};
    int r = manifest_read_once(&m, text, path, l->a->pool, err);

    for (size_t i = 0; i < m.entry_count && r == 0; i++) {
        r = m.entries[i].absent ? 0 : show(l, &m.entries[i]);
        if (m.entries[i].mtime.tv_sec > self.mtime.tv_sec || i == 0)
            self.mtime.tv_sec = m.entries[i].mtime.tv_sec;
    }
    if (r == 0)
        r = show(l, &self);
    return r;
}

static int list_entries(const struct list *l, struct wp_error *err)
{
    struct archive_reading in = {.a = l->a};
    int r;

    while ((r = archive_next(&in, err)) > 0) {
        r = show(l, in.e);
        if (r)
            return r;
    }
    return r;
}

static int list_all(const struct list *l, struct wp_error *err)
{
    struct format_reader *reader = l->a->reader;
    _cleanup_buf_ struct buf path = {0}, text = {0};
    int r = reader->ops->manifest(reader, &path, &text, err);

    if (r <= 0)
        return r < 0 ? r : list_entries(l, err);
    return buf_terminate(&path) < 0 ? error_nomem(err)
                                    : list_manifest(l, (const char *)path.data, &text, err);
}

int wp_list(struct wp_archive *a, const char *const *patterns,
            int (*each)(void *ctx, const struct wp_list_entry *e), void *ctx, struct wp_error *err)
{
    struct list l = {.a = a, .each = each, .ctx = ctx};
    int r = patterns_begin(&l.patterns, patterns) < 0 ? error_nomem(err) : list_all(&l, err);

    if (r == 0)
        patterns_tell_unused(&l.patterns, a->context);
    patterns_end(&l.patterns);
    return r;
}
