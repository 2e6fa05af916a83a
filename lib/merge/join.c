/* Merging: puts together one index from those of several inputs, with the data files of all. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "numba/index_write.h"
#include "numba/key.h"

enum { RUN = 1 << 20 }; /* bytes that are copied at once */

struct joining {
    struct merge *m;
    const char *to;         /* the directory in the result */
    const char *name;       /* the index's */
    size_t stem;            /* length of what it shares with its data files */
    struct timespec newest; /* of the indexes that it is made of */
    size_t numbers;         /* data files so far */
    uint32_t *builds;       /* of each; owned */
    size_t build_count;
};

/* ---- Files ------------------------------------------------------------------------------- */

/* Files that another input brings get a time that is not older than the first input's sources: they
 * came from the same content, and nobody should take them for older code. */
static struct timespec time_of(const struct merge *m, size_t input, struct timespec t)
{
    return input > 0 && time_is_before(t, m->floor) ? m->floor : t;
}

/* A new item, to be called NAME, with owner and mode of LIKE. */
static struct spooled *add_item(struct joining *j, const struct entry *like, const char *name,
                                struct timespec mtime, struct wp_error *err)
{
    struct entry e;
    const bool copied = entry_copy(&e, like) == 0;

    free(e.path);
    e.path = path_join(j->to, name);
    e.mtime = mtime;
    if (!copied || !e.path) {
        entry_clear(&e);
        error_nomem(err);
        return NULL;
    }
    return spool_add(&j->m->inputs[0].spool, &e, err);
}

/* Copies the file at PATH of an input. */
static int copy_file(struct joining *j, size_t input, const char *path, const char *name,
                     struct wp_error *err)
{
    struct merge_input *in = &j->m->inputs[input];
    const struct entry *e = merge_file(in, path);
    const struct spooled *found = e ? merge_item(in, e) : NULL;
    struct spooled from, *item;
    int r = 0;

    if (!found)
        return error_set(err, 0, path, "is not in %s", in->name);
    from = *found; /* the first input's spool grows, and moves */
    item = add_item(j, e, name, time_of(j->m, input, e->mtime), err);
    if (!item)
        return -ENOMEM;
    if (input == 0) {
        item->at = from.at;
        item->entry.size = from.entry.size;
        return 0;
    }
    for (uint64_t at = 0; at < from.entry.size && r == 0; at += RUN) {
        _cleanup_buf_ struct buf run = {0};
        const uint64_t left = from.entry.size - at;
        struct spooled part = from;

        part.at += at;
        part.entry.size = left < RUN ? left : RUN;
        r = context_check(j->m->context, err);
        if (r == 0)
            r = merge_content(in, &part, RUN, &run, err);
        if (r == 0)
            r = spool_append(&j->m->inputs[0].spool, item, run.data, run.size, err);
    }
    return r;
}

static int copy_data(struct joining *j, const struct merge_member *from, const char *data,
                     const char *name, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(from->index->dir, data);
    uint32_t build = merge_build_of(&j->m->inputs[from->input], from->index, data);

    if (!path || array_add(j->builds, j->build_count, build) < 0)
        return error_nomem(err);
    return copy_file(j, from->input, path, name, err);
}

/* numba-cuda's marker says that keys hold how a kernel is launched: it goes with such code. */
static int copy_marker(struct joining *j, const struct merge_member *from, struct wp_error *err)
{
    _cleanup_free_ char *name = NULL, *path = NULL;

    if (asprintf(&name, "%.*s.lcs", (int)j->stem, j->name) < 0)
        return error_nomem(err);
    path = path_join(from->index->dir, name);
    if (!path)
        return error_nomem(err);
    return merge_file(&j->m->inputs[from->input], path) ? copy_file(j, from->input, path, name, err)
                                                        : 0;
}

/* ---- The index --------------------------------------------------------------------------- */

/* Its stamp is that of the source as the first input has it. */
static int restamp(const struct joining *j, const struct merge_member *base, struct buf *text,
                   struct wp_error *err)
{
    const char *path = base->index->line->source;
    const struct entry *source = path ? merge_file(&j->m->inputs[0], path) : NULL;
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_buf_ struct buf stamped = {0};
    struct wp_stamp want;
    int r;

    if (base->input == 0 || !source)
        return 0;
    r = index_read(&index, text->data, text->size, err);
    if (r < 0 || (index.stamp.kind != WP_STAMP_MTIME && index.stamp.kind != WP_STAMP_SECONDS))
        return r;
    want = stamp_of(index.stamp.kind, source->mtime, source->size, source->sha256);
    if (stamp_equal(&want, &index.stamp))
        return 0;
    r = index_restamp(&index, text->data, text->size, &want, &stamped, err);
    if (r < 0)
        return r;
    buf_free(text);
    *text = stamped;
    stamped = (struct buf){0};
    return 0;
}

static int put_index(struct joining *j, const struct merge_member *base, const struct buf *text,
                     struct wp_error *err)
{
    struct spool *s = &j->m->inputs[0].spool;
    struct spooled *item = add_item(j, base->index->entry, j->name, j->newest, err);
    int r = item ? spool_append(s, item, text->data, text->size, err) : -ENOMEM;
    bool one = true;

    if (r < 0)
        return r;
    for (size_t i = 1; i < j->build_count; i++)
        one &= j->builds[i] == j->builds[0];
    item->build_count = one && j->build_count ? 1 : j->build_count;
    item->builds = take_ptr(j->builds);
    return 0;
}

/* Copies an index of which one input alone has all: byte for byte, but for the stamp. */
static int put_whole(struct joining *j, const struct merge_member *from, struct wp_error *err)
{
    const struct index *index = &from->index->index;
    _cleanup_buf_ struct buf text = {0};
    int r = 0;

    for (size_t i = 0; i < index->count && r == 0; i++) {
        const char *data = index->overloads[i].data;
        bool known = false;

        for (size_t k = 0; k < i && !known; k++)
            known = strcmp(index->overloads[k].data, data) == 0;
        if (!known)
            r = copy_data(j, from, data, data, err);
    }
    if (r == 0 && buf_add(&text, index->text, index->size) < 0)
        r = error_nomem(err);
    if (r == 0)
        r = restamp(j, from, &text, err);
    if (r == 0)
        r = copy_marker(j, from, err);
    return r < 0 ? r : put_index(j, from, &text, err);
}

/* The number of overload WHICH's data file, if an earlier overload of the same index uses that
 * file; 0: none does. */
static size_t known_data(const struct index *index, const size_t *numbers, size_t which)
{
    for (size_t i = 0; i < which; i++)
        if (numbers[i] && strcmp(index->overloads[i].data, index->overloads[which].data) == 0)
            return numbers[i];
    return 0;
}

static int add_overloads(struct joining *j, struct index_writer *w, const struct merge_member *from,
                         struct wp_error *err)
{
    const struct index *index = &from->index->index;
    _cleanup_free_ size_t *numbers = calloc(index->count + 1, sizeof *numbers);
    bool marks = false;
    int r = numbers ? 0 : error_nomem(err);

    for (size_t i = 0; i < index->count && r == 0; i++) {
        _cleanup_free_ char *name = NULL;
        bool known;

        if (from->index->dropped[i])
            continue;
        numbers[i] = known_data(index, numbers, i);
        known = numbers[i] != 0;
        if (!known)
            numbers[i] = ++j->numbers;
        marks |= !key_is_for_cpu(index->overloads[i].key);
        if (asprintf(&name, "%.*s.%zu.nbc", (int)j->stem, j->name, numbers[i]) < 0)
            return error_nomem(err);
        r = index_writer_add(w, index, i, NULL, name, err);
        if (r == 0 && !known)
            r = copy_data(j, from, index->overloads[i].data, name, err);
    }
    return r == 0 && marks ? copy_marker(j, from, err) : r;
}

static int put_joined(struct joining *j, const struct merge_member *members, size_t n,
                      struct wp_error *err)
{
    struct index_writer *w = NULL;
    _cleanup_buf_ struct buf text = {0};
    int r = index_writer_new(&w, &members[0].index->index, err);

    for (size_t i = 0; i < n && r == 0; i++)
        r = add_overloads(j, w, &members[i], err);
    if (r == 0)
        r = index_writer_finish(w, &text, err);
    index_writer_free(w);
    if (r == 0)
        r = restamp(j, &members[0], &text, err);
    return r < 0 ? r : put_index(j, &members[0], &text, err);
}

/* Do its data files have names that belong to this index? Other names could be those of another
 * index's files. */
static bool has_own_names(const struct joining *j, const struct index *index)
{
    for (size_t i = 0; i < index->count; i++) {
        const char *data = index->overloads[i].data;
        size_t stem;

        if (!index_is_data_name(data, &stem) || stem != j->stem ||
            strncmp(data, j->name, stem) != 0)
            return false;
    }
    return true;
}

/* ---- Who takes part ---------------------------------------------------------------------- */

static size_t count_kept(const struct merge_index *i)
{
    size_t n = 0;

    for (size_t k = 0; k < i->index.count; k++)
        n += !i->dropped[k];
    return n;
}

/* Moves the members that bring something new to the front, and returns their number. */
static size_t choose(struct merge_member *members, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (!members[i].index->is_out && count_kept(members[i].index))
            members[kept++] = members[i];
    return kept;
}

static int check_versions(const struct joining *j, const struct merge_member *members, size_t n,
                          struct wp_error *err)
{
    const struct merge_member *first = &members[0];

    for (size_t i = 1; i < n; i++)
        if (strcmp(first->index->index.numba, members[i].index->index.numba) != 0)
            return error_set(err, 0, members[i].index->line->index,
                             "is of Numba %s in %s, and of %s in %s: not merged",
                             first->index->index.numba, j->m->inputs[first->input].name,
                             members[i].index->index.numba, j->m->inputs[members[i].input].name);
    return 0;
}

static int put(struct joining *j, const struct merge_member *members, size_t n,
               struct wp_error *err)
{
    const struct merge_index *first = members[0].index;

    return n == 1 && count_kept(first) == first->index.count && has_own_names(j, &first->index)
               ? put_whole(j, &members[0], err)
               : put_joined(j, members, n, err);
}

int merge_join(struct merge *m, struct merge_member *members, size_t n, const char *to,
               struct wp_error *err)
{
    struct joining j = {.m = m, .to = to, .name = path_base(members[0].index->line->index)};
    struct index_name name;
    struct wp_error why = {0};
    size_t kept = choose(members, n);
    int r;

    if (!kept) /* belongs to no overload: that of the first input stays as it is */
        kept = !members[0].index->is_out;
    if (!kept || index_name_parse(j.name, &name) < 0)
        return 0;
    j.stem = name.stem;
    for (size_t i = 0; i < kept; i++) {
        struct timespec t = time_of(m, members[i].input, members[i].index->entry->mtime);

        if (i == 0 || time_is_before(j.newest, t))
            j.newest = t;
    }
    r = check_versions(&j, members, kept, err);
    if (r == 0)
        r = put(&j, members, kept, &why);
    m->result->joined += kept > 1;
    free(j.builds);
    if (r < 0 && r != -ENOMEM && strncmp(why.message, "index: ", 7) == 0)
        return error_set(err, 0, members[0].index->line->index, "cannot be merged: %s",
                         why.message + 7);
    if (r < 0 && err && !err->code)
        *err = why;
    return r;
}
