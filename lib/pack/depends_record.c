/* Packing, fourth step: records in the manifest what the code of each index can come from, and
 * finds which indexes are older than that, or name what is not there. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "base/times.h"
#include "depends.h"
#include "judge/judge.h"
#include "judge/named.h"
#include "judge/outdated.h"
#include "manifest/depends.h"
#include "numba/index.h"
#include "tree/behind.h"
#include "tree/beneath.h"

enum {
    LONGEST_SET = 256 << 10
}; /* bytes of names in a line: the others follow in lines of theirs */

/* ---- The sets ----------------------------------------------------------------------------- */

struct recording {
    struct pack *p;
    const struct pack_depends *found;
    uint32_t *number; /* of each set found: its last line; owned */
};

static int add_text(char ***list, size_t *count, const char *text)
{
    char *copy = strdup(text);

    if (!copy || array_add(*list, *count, copy) < 0) {
        free(copy);
        return -ENOMEM;
    }
    /* cppcheck-suppress memleak ; the list has it */
    return 0;
}

static int add_use(struct manifest_set *set, uint32_t number)
{
    return array_add(set->uses, set->use_count, number);
}

/* Files of set FROM, from number *AT on, as far as they fit a line. */
static int add_files(const struct recording *r, const struct depends_set *from, size_t *at,
                     struct manifest_set *set)
{
    const struct walk *w = &r->p->walk;
    size_t size = 0;

    for (; *at < from->file_count && size < LONGEST_SET; ++*at) {
        const char *path = w->items[r->found->items[from->files[*at]]].entry.path;

        size += strlen(path) + 8;
        if (add_text(&set->files, &set->file_count, path) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* "..", of an import that leads out of the top, is no module's name. */
static bool is_name(const char *name)
{
    return *name && *name != '.' && wp_is_utf8(name);
}

static int add_outside(const struct depends_set *from, struct manifest_set *set)
{
    size_t size = 0;

    for (size_t i = 0; i < from->outside_count && size < LONGEST_SET; i++) {
        if (!is_name(from->outside[i]))
            continue;
        size += strlen(from->outside[i]) + 8;
        if (add_text(&set->outside, &set->outside_count, from->outside[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* The files of one set, in as many lines as they need: each uses the one before. */
static int record_set(struct recording *r, size_t number)
{
    const struct depends_set *from = &r->found->sets->sets[number];
    struct manifest *m = &r->p->manifest;
    struct manifest_set *set;
    size_t at = 0;

    for (bool first = true; first || at < from->file_count; first = false) {
        if (array_grow(m->sets, m->set_count) < 0)
            return -ENOMEM;
        set = &m->sets[m->set_count++];
        *set = (struct manifest_set){0};
        if (!first && add_use(set, (uint32_t)(m->set_count - 2)) < 0)
            return -ENOMEM;
        for (size_t i = 0; i < from->use_count && first; i++)
            if (add_use(set, r->number[from->uses[i]]) < 0)
                return -ENOMEM;
        if ((first && add_outside(from, set) < 0) || add_files(r, from, &at, set) < 0)
            return -ENOMEM;
    }
    r->number[number] = (uint32_t)(m->set_count - 1);
    return 0;
}

/* The set of the index that lies at PATH of the archive, by its source. */
static size_t set_of(const struct recording *r, const struct manifest_index *line)
{
    const struct walk_item *source = line->source ? walk_find(&r->p->walk, line->source) : NULL;

    if (line->source && !source)
        source = pack_source(r->p, line->source);
    return source ? pack_depends_of(r->found, (size_t)(source - r->p->walk.items)) : SIZE_MAX;
}

static int record_sets(struct recording *r)
{
    struct manifest *m = &r->p->manifest;

    for (size_t i = 0; i < r->found->sets->count; i++)
        if (record_set(r, i) < 0)
            return -ENOMEM;
    for (size_t i = 0; i < m->index_count; i++) {
        size_t set = set_of(r, &m->indexes[i]);

        m->indexes[i].has_depends = set != SIZE_MAX;
        m->indexes[i].depends = set != SIZE_MAX ? r->number[set] : 0;
    }
    return 0;
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

/* Of a symbolic link also the times of the links and the file that it leads to: each may be what
 * has changed. */
static int mtime_of(void *ctx, const char *path, struct timespec *t)
{
    const struct pack *p = ctx;
    const struct walk_item *item = pack_source(p, path);
    _cleanup_close_ int fd = -1;
    struct stat st;

    if (!item)
        return 0;
    *t = item->entry.mtime;
    if (item->entry.type != ENTRY_SYMLINK || item->spooled)
        return 1;
    if (behind_newest_link(p->walk.root_fds[item->root], item->name ? item->name : item->entry.path,
                           t) < 0)
        return -ENOMEM;
    fd = pack_open_linked(p, item);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && time_is_before(*t, st.st_mtim))
        *t = st.st_mtim;
    return 1;
}

/* When the oldest code of the index ITEM was compiled. 0 or -ENOMEM. */
static int compiled_at(const struct pack *p, const struct packed_index *packed,
                       struct timespec *out)
{
    const struct walk_item *item = &p->walk.items[packed->item];
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_free_ char *dir = path_dir(item->entry.path);

    *out = item->entry.mtime;
    if (!dir)
        return -ENOMEM;
    if (index_read(&index, packed->text.data, packed->text.size, NULL) < 0)
        return 0;
    for (size_t i = 0; i < index.count; i++) {
        _cleanup_free_ char *path = path_join(dir, index.overloads[i].data);
        const struct walk_item *data = path ? pack_source(p, path) : NULL;

        if (!path)
            return -ENOMEM;
        if (data && (i == 0 || time_is_before(data->entry.mtime, *out)))
            *out = data->entry.mtime;
    }
    return 0;
}

/* Has the source PATH had its time since before its code was compiled? */
static bool is_time_kept(const struct pack *p, const char *path, struct timespec compiled)
{
    const struct walk_item *item = pack_source(p, path);
    _cleanup_free_ char *dir = NULL;
    _cleanup_close_ int fd = -1;
    const char *name;
    struct stat st;

    if (!item || item->spooled || item->entry.type != ENTRY_FILE)
        return false;
    name = item->name ? item->name : item->entry.path;
    dir = path_dir(name);
    fd = dir ? beneath_open(p->walk.root_fds[item->root], dir, O_RDONLY | O_DIRECTORY, 0) : -1;
    return fd >= 0 && fstatat(fd, path_base(name), &st, 0) == 0 &&
           outdated_time_is_kept(fd, path_base(name), &st, compiled);
}

static int judge_time(struct pack *p, const struct packed_index *packed,
                      const struct manifest_index *line, const struct manifest_newest *newest,
                      struct wp_index_status *s)
{
    struct timespec compiled, source;

    if (!newest->path || mtime_of(p, line->source, &source) <= 0)
        return 0;
    if (compiled_at(p, packed, &compiled) < 0)
        return -ENOMEM;
    if (!time_is_before(compiled, newest->time) ||
        outdated_by_times(
            &s->stamp, s->stamp.kind == WP_STAMP_CONTENT && is_time_kept(p, line->source, compiled),
            compiled, source, newest->time) != OUTDATED)
        return 0;
    return outdated_set(s, newest->path);
}

static int judge_one(struct pack *p, const struct pack_depends *found, size_t number, size_t i,
                     const struct manifest_newest *newest, struct wp_verify_report *verify)
{
    const struct packed_index *packed = &p->indexes[number];
    const struct named_wrong *wrong = named_wrong_of(&found->from, packed->item);
    struct manifest_index *line = &p->manifest.indexes[i];
    struct wp_index_status *s = &verify->indexes[i];

    if (s->status != WP_VALID)
        return 0;
    if ((wrong ? named_set(s, &found->from, wrong) : judge_time(p, packed, line, newest, s)) < 0)
        return -ENOMEM;
    if (s->status == WP_VALID)
        return 0;
    verify->by_status[WP_VALID]--;
    verify->by_status[s->status]++;
    return pack_take_back(line, s);
}

/* VERIFY and the manifest have the packed indexes that are not gone, in their order. */
static int judge_all(struct pack *p, const struct pack_depends *found,
                     struct wp_verify_report *verify, struct wp_error *err)
{
    _cleanup_free_ struct manifest_newest *newest = NULL;
    size_t at = 0;
    int r = manifest_newest(&p->manifest, mtime_of, p, &newest, err);

    for (size_t i = 0; i < p->index_count && r == 0; i++) {
        if (p->walk.items[p->indexes[i].item].gone)
            continue;
        if (judge_one(p, found, i, at, &newest[at], verify) < 0)
            r = error_nomem(err);
        at++;
    }
    return r;
}

int pack_depends_record(struct pack *p, const struct pack_depends *found,
                        struct wp_verify_report *verify, struct wp_error *err)
{
    struct recording r = {.p = p, .found = found};
    int result;

    if (!found->sets)
        return 0;
    r.number = calloc(found->sets->count + 1, sizeof *r.number);
    result = r.number && record_sets(&r) == 0 ? judge_all(p, found, verify, err) : error_nomem(err);
    free(r.number);
    return result;
}

int pack_depends(struct pack *p, struct wp_verify_report *verify, struct wp_error *err)
{
    _cleanup_(pack_depends_clear) struct pack_depends found = {0};
    int r;

    /* Which sources are read at all was decided by what they imported then. */
    if (p->o->caches_only && atomic_load(&p->has_changed)) {
        error_set(err, 0, p->o->archive, "a source or cache changed while it was packed");
        return -EAGAIN;
    }
    if (p->found)
        return pack_depends_record(p, p->found, verify, err);
    r = pack_depends_find(&found, p, err);
    return r < 0 ? r : pack_depends_record(p, &found, verify, err);
}
