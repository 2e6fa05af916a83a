/* Packing, third step: judges which indexes are valid, by what was really packed. Only a valid
 * index may ever be restamped or grafted: the stamp of a stale one belongs to other code. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "judge/judge.h"
#include "judge/notes.h"
#include "manifest/links.h"
#include "numba/caches.h"
#include "numba/features.h"
#include "numba/key.h"
#include "numba/zipped.h"

enum { LONGEST_VERSION = 4096, MOST_OVERLOADS = 4096 };

struct context {
    const struct pack *p;
    const struct walk_item *source; /* or NULL; the zip of a source that lies in one */
    const char *member;             /* of that zip; NULL: it is no zip */
    const char *dir;                /* the index's directory in the archive */
};

/* A symlink of a tree is an end: what it leads to is looked at on disk. */
static const struct entry *look_up(void *ctx, const char *path, bool *is_end)
{
    const struct walk_item *item = walk_find(&((const struct pack *)ctx)->walk, path);

    *is_end = item && item->entry.type == ENTRY_SYMLINK && !item->spooled;
    return item && !item->gone ? &item->entry : NULL;
}

/* For a look at what is packed alone. */
static const struct entry *look_up_packed(void *ctx, const char *path, bool *is_end)
{
    const struct entry *e = look_up(ctx, path, is_end);

    *is_end = false;
    return e;
}

/* A source that is a link, and what it leads to is not packed: it will not be where the archive
 * goes. */
static bool leads_out(const struct pack *p, const struct walk_item *source)
{
    const struct entry *e;

    return source->entry.type == ENTRY_SYMLINK && !source->spooled &&
           links_follow(look_up_packed, (void *)p, source->entry.path, &e) < 0;
}

const struct walk_item *pack_source(const struct pack *p, const char *path)
{
    const struct entry *e;

    return links_follow(look_up, (void *)p, path, &e) == 0 &&
                   (e->type == ENTRY_FILE || e->type == ENTRY_SYMLINK)
               ? walk_find(&p->walk, e->path)
               : NULL;
}

static bool exists(void *ctx, const char *path)
{
    return pack_source(ctx, path) != NULL;
}

int pack_open_linked(const struct pack *p, const struct walk_item *item)
{
    const char *name = item->name ? item->name : item->entry.path;
    int fd =
        openat(p->walk.root_fds[item->root], name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    return fd < 0 ? -errno : fd;
}

/* Opens the source as it was packed; -EAGAIN where it has changed since. */
static int open_source(const struct context *c, struct stat *st)
{
    const struct walk_item *item = c->source;
    _cleanup_close_ int fd = item->spooled ? -ENOTSUP : pack_open_linked(c->p, item);

    if (fd < 0)
        return fd;
    if (fstat(fd, st) < 0)
        return -errno;
    if (item->entry.type == ENTRY_FILE &&
        ((uint64_t)st->st_size != item->entry.size || !time_is(st->st_mtim, item->entry.mtime)))
        return -EAGAIN;
    return take_fd(&fd);
}

/* Of a source in a zip, or of what a symlink leads to, which may lie outside the tree: others have
 * theirs already. */
static int digest_fact(void *ctx, unsigned char out[32])
{
    struct context *c = ctx;
    struct stat st = {0};
    _cleanup_close_ int fd = -1;

    if (c->member && c->source->spooled)
        return zipped_digest_within(c->p->spool->fd, pack_spooled(c->p, c->source)->at,
                                    c->source->entry.size, c->member, out);
    fd = open_source(c, &st);
    if (fd < 0)
        return fd;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    return c->member ? zipped_digest(fd, c->member, out) : sha256_of_file(fd, out);
}

static int source_fact(void *ctx, struct judge_file *f)
{
    struct context *c = ctx;
    const struct entry *e;
    struct stat st;

    if (!c->source)
        return 0;
    e = &c->source->entry;
    if (e->type == ENTRY_SYMLINK) {
        const char *name = c->source->name ? c->source->name : e->path;

        if (fstatat(c->p->walk.root_fds[c->source->root], name, &st, 0) < 0)
            return error_is_absence(-errno) ? 0 : -errno;
        *f = (struct judge_file){.mtime = st.st_mtim, .size = (uint64_t)st.st_size};
        return 1;
    }
    *f = (struct judge_file){.mtime = e->mtime,
                             .size = e->size,
                             .sha256 = e->has_sha256 && !c->member ? e->sha256 : NULL};
    return 1;
}

static int data_fact(void *ctx, const char *name, struct judge_file *f, bool *whole)
{
    struct context *c = ctx;
    _cleanup_free_ char *path = path_join(c->dir, name);
    const struct walk_item *item = path ? pack_source(c->p, path) : NULL;

    if (!path)
        return -ENOMEM;
    if (!item)
        return 0;
    *f = (struct judge_file){.mtime = item->entry.mtime, .size = item->entry.size};
    *whole = !item->broken;
    return 1;
}

/* Did the index or its data files change since they were read? Numba may be at work. */
static bool is_as_packed(const struct pack *p, const struct walk_item *item)
{
    const char *name = item->name ? item->name : item->entry.path;
    struct stat st;

    if (item->spooled)
        return true;
    return fstatat(p->walk.root_fds[item->root], name, &st,
                   p->o->follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_ino == item->ino && (uint64_t)st.st_size == item->entry.size &&
           time_is(st.st_mtim, item->entry.mtime) && time_is(st.st_ctim, item->ctime);
}

static int check_pair(const struct pack *p, const struct walk_item *item, const char *dir,
                      const struct index *index, struct wp_error *err)
{
    bool same = is_as_packed(p, item);

    for (size_t i = 0; i < index->count && same; i++) {
        _cleanup_free_ char *path = path_join(dir, index->overloads[i].data);
        const struct walk_item *data = path ? walk_find(&p->walk, path) : NULL;

        if (!path)
            return error_nomem(err);
        if (data && data->entry.type == ENTRY_FILE && !data->gone)
            same = is_as_packed(p, data);
    }
    if (same)
        return 0;
    error_set(err, 0, item->entry.path, "the index or its data files change while they are packed");
    return -EAGAIN;
}

static char *copy_or_null(const char *text, bool *failed)
{
    char *copy = text ? strdup(text) : NULL;

    *failed |= text && !copy;
    return copy;
}

/* Which CPUs the code of INDEX is for. Left unsaid where a hostile index would make the manifest
 * large: who wants to know then reads the index. 0 or -ENOMEM. */
static int record_cpus(struct manifest *m, struct manifest_index *line, const struct index *index)
{
    if (index->count > MOST_OVERLOADS)
        return 0;
    for (size_t i = 0; i < index->count; i++) {
        _cleanup_buf_ struct buf text = {0};
        _cleanup_(key_clear) struct wp_overload key = {0};
        bool plain;
        int number;

        if (key_read_cpu(&key, index->overloads[i].key) < 0)
            return -ENOMEM;
        if (!key.cpu)
            continue; /* for another target than a CPU */
        /* No part of such a text holds a space. */
        plain = *key.triple && *key.cpu && features_is_plain(key.triple) &&
                features_is_plain(key.cpu) && features_is_plain(key.features);
        if (!plain)
            return 0;
        if (buf_printf(&text, "%s %s %s", key.triple, key.cpu, key.features) < 0)
            return -ENOMEM;
        number = manifest_add_cpu(m, (char *)text.data);
        if (number < 0)
            return number == -ENOSPC ? 0 : number;
        line->cpus |= UINT32_C(1) << number;
    }
    line->has_cpus = true;
    return 0;
}

/* Of one that was put together from several. */
static int record_builds(struct manifest_index *index, const struct spooled *from)
{
    if (!from->build_count)
        return 0;
    index->builds = reallocarray(NULL, from->build_count, sizeof *index->builds);
    if (!index->builds)
        return -ENOMEM;
    memcpy(index->builds, from->builds, from->build_count * sizeof *index->builds);
    index->build_count = from->build_count;
    return 0;
}

/* Does any code of INDEX, in DIR, call Intel's SVML library? 1, 0 or -ENOMEM. */
static int calls_svml(const struct pack *p, const char *dir, const struct index *index)
{
    for (size_t i = 0; i < index->count; i++) {
        _cleanup_free_ char *path = path_join(dir, index->overloads[i].data);
        const struct walk_item *data = path ? pack_source(p, path) : NULL;

        if (!path || (data && data->svml))
            return path ? 1 : -ENOMEM;
    }
    return 0;
}

static int record_index(struct manifest *m, const struct wp_index_status *s,
                        const struct index *read, const struct spooled *from)
{
    struct manifest_index *index = &m->indexes[m->index_count++];
    /* Whatever else a pickle has there would not fit a line. */
    bool is_version = s->numba && strlen(s->numba) <= LONGEST_VERSION;
    bool failed = false;

    *index = (struct manifest_index){.index = copy_or_null(s->index, &failed),
                                     .source = copy_or_null(s->source, &failed),
                                     .stamp = s->stamp,
                                     .has_stamp = s->has_stamp,
                                     .valid = wp_status_loads(s->status),
                                     .status = copy_or_null(wp_status_name(s->status), &failed),
                                     .reason = copy_or_null(s->reason, &failed),
                                     .numba = copy_or_null(is_version ? s->numba : NULL, &failed)};
    if (failed || (from && record_builds(index, from) < 0))
        return -ENOMEM;
    return index->valid ? record_cpus(m, index, read) : 0;
}

/* Warns where keys of INDEX, in DIR, have a launch configuration and the marker that says so to
 * numba-cuda is not packed. 0 or -ENOMEM. */
static int warn_of_marker(const struct pack *p, const char *path, const char *dir,
                          const struct index *index)
{
    _cleanup_free_ char *name = index_marker_name(path_base(path));
    _cleanup_free_ char *marker = name ? path_join(dir, name) : NULL;
    bool is_launched = false;

    for (size_t i = 0; i < index->count && i < MOST_OVERLOADS && !is_launched; i++) {
        _cleanup_(key_clear) struct wp_overload key = {0};

        if (key_is_for_cpu(index->overloads[i].key))
            continue;
        if (key_read(&key, index->overloads[i].key) < 0)
            return -ENOMEM;
        is_launched = key.launch != NULL;
    }
    if (!marker)
        return -ENOMEM;
    if (is_launched && !walk_find(&p->walk, marker))
        report(p->context, WP_WARNING, path, "%s", NO_MARKER);
    return 0;
}

static int judge_packed(struct pack *p, const struct packed_index *packed,
                        struct wp_verify_report *verify, struct wp_error *err)
{
    const struct walk_item *item = &p->walk.items[packed->item];
    _cleanup_free_ char *dir = path_dir(item->entry.path);
    const char *misplaced = NULL;
    _cleanup_free_ char *sources = dir ? manifest_source_dir(&p->manifest, dir, &misplaced) : NULL;
    struct context c = {.p = p, .dir = dir};
    struct judge_facts facts = {.source = source_fact,
                                .digest = digest_fact,
                                .data = data_fact,
                                .ctx = &c,
                                .index_mtime = &item->entry.mtime};
    _cleanup_(judge_clear) struct wp_index_status s = {0};
    struct wp_error why = {0};
    _cleanup_(index_clear) struct index index = {0};
    bool found;
    int parsed, r, svml;

    if (!sources)
        return error_nomem(err);
    s.index = strdup(item->entry.path);
    s.source = caches_source_of(path_base(item->entry.path), sources, exists, p, &found);
    if (!s.index || !s.source || judge_name(&s, s.index) < 0)
        return error_nomem(err);
    c.source = found ? pack_source(p, s.source) : NULL;
    if (c.source && !walk_find(&p->walk, s.source))
        c.member = s.source + zipped_length(s.source) + 1;
    parsed = index_read(&index, packed->text.data, packed->text.size, &why);
    r = parsed == -ENOMEM ? error_nomem(err)
        : parsed < 0      ? 0
                          : check_pair(p, item, dir, &index, err);
    if (r == 0 &&
        (judge_index(&s, parsed < 0 ? NULL : &index, &why, misplaced, NULL, &facts) < 0 ||
         record_index(&p->manifest, &s, &index, item->spooled ? pack_spooled(p, item) : NULL) < 0 ||
         (parsed == 0 && warn_of_marker(p, item->entry.path, dir, &index) < 0) ||
         (svml = calls_svml(p, dir, &index)) < 0 || judge_add(verify, &s) < 0))
        r = error_nomem(err);
    else if (r == 0)
        p->manifest.indexes[p->manifest.index_count - 1].svml = svml;
    if (r == 0 && wp_status_loads(s.status) && c.source && leads_out(p, c.source)) {
        p->linked = p->linked ? p->linked : c.source->entry.path;
        p->linked_count++;
    }
    return r;
}

/* Says once that valid indexes will not be so elsewhere. */
static void warn_of_linked(const struct pack *p)
{
    bool sealing = p->o->format->home == FORMAT_HOME_DIR;

    if (p->linked_count)
        report(p->context, WP_WARNING, p->linked,
               "the source of %s is a symbolic link to what is not %s: elsewhere Numba compiles "
               "again%s",
               p->linked_count == 1 ? "a valid index" : "valid indexes",
               sealing ? "in the tree" : "packed", sealing ? "" : "; -h packs what links lead to");
}

int pack_take_back(struct manifest_index *line, const struct wp_index_status *s)
{
    line->valid = line->has_cpus = false;
    free(line->status);
    free(line->reason);
    line->status = strdup(wp_status_name(s->status));
    line->reason = strdup(s->reason);
    return line->status && line->reason ? 0 : -ENOMEM;
}

/* The manifest's lines stand as VERIFY's do. */
static int judge_wrappers(struct pack *p, struct wp_verify_report *verify)
{
    int r = judge_gufuncs(verify);

    for (size_t i = 0; i < p->manifest.index_count && r == 0; i++)
        if (p->manifest.indexes[i].valid && !wp_status_loads(verify->indexes[i].status))
            r = pack_take_back(&p->manifest.indexes[i], &verify->indexes[i]);
    return r;
}

int pack_judge(struct pack *p, struct wp_verify_report *verify, struct wp_error *err)
{
    p->manifest.indexes = calloc(p->index_count ? p->index_count : 1, sizeof *p->manifest.indexes);
    if (!p->manifest.indexes)
        return error_nomem(err);
    for (size_t i = 0; i < p->index_count; i++) {
        int r;

        if (p->walk.items[p->indexes[i].item].gone)
            continue;
        r = judge_packed(p, &p->indexes[i], verify, err);
        if (r < 0)
            return r;
    }
    if (judge_wrappers(p, verify) < 0)
        return error_nomem(err);
    warn_of_linked(p);
    return 0;
}
