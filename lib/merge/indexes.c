/* Merging: reads the indexes of one input that were valid when it was packed, and compares them
 * with the files of that input. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/own_names.h"
#include "base/path.h"
#include "job.h"
#include "numba/caches.h"

void merge_index_clear(struct merge_index *i)
{
    free(i->dir);
    free(i->where);
    free(i->dropped);
    index_clear(&i->index);
    buf_free(&i->text);
}

void merge_leave_out(struct merge *m, const struct merge_input *in, struct merge_index *i,
                     const char *why)
{
    report(m->context, WP_WARNING, i->line->index, "%s: left out of what %s has", why, in->name);
    i->is_out = true;
    m->result->left_out++;
}

/* ---- Where it belongs -------------------------------------------------------------------- */

static const struct manifest_cache *cache_of(const struct manifest *m, const char *dir)
{
    size_t at = array_first(i, m->cache_count, strcmp(m->caches[i].cache, dir) < 0);

    return at < m->cache_count && strcmp(m->caches[at].cache, dir) == 0 ? &m->caches[at] : NULL;
}

/* The part of DIR below the input's home: the home of another archive has another name. */
static const char *behind_home(const struct manifest *m, const char *dir)
{
    return m->home && path_is_under(dir, m->home) ? path_from(dir, m->home) : dir;
}

static int lies(const struct merge_input *in, const struct merge_index *i, const char *what,
                struct wp_error *err)
{
    return error_set(err, EBADMSG, i->line->index, "is called valid in the manifest of %s, but %s",
                     in->name, what);
}

static int find_place(const struct merge_input *in, struct merge_index *i, struct wp_error *err)
{
    const char *misplaced = NULL;

    i->dir = path_dir(i->line->index);
    if (!i->dir)
        return error_nomem(err);
    i->cache = cache_of(&in->m, i->dir);
    i->where = i->line->source ? manifest_source_dir(&in->m, i->dir, &misplaced)
                               : strdup(behind_home(&in->m, i->dir));
    if (!i->where)
        return error_nomem(err);
    return misplaced ? lies(in, i, misplaced, err) : 0;
}

/* ---- Is it valid? ------------------------------------------------------------------------ */

/* A stamp of the content of a source in a zip is judged when everything has been packed. */
static int check_stamp(const struct merge_input *in, const struct merge_index *i,
                       struct wp_error *err)
{
    const struct wp_stamp *stamp = &i->index.stamp;
    const struct entry *source = i->line->source ? merge_file(in, i->line->source) : NULL;

    if (!i->line->source)
        return stamp->kind == WP_STAMP_NONE ? 0 : lies(in, i, "its source is not known", err);
    if (!source)
        return lies(in, i, "its source is not there", err);
    if (stamp->kind == WP_STAMP_CONTENT && !caches_is_source(source->path))
        return 0;
    if (stamp->kind == WP_STAMP_SECONDS) /* whether it is valid depends on the reader */
        return stamp->size == source->size ? 0 : lies(in, i, "its stamp is another source's", err);
    return stamp_matches(stamp, source->mtime, source->size,
                         source->has_sha256 ? source->sha256 : NULL) == 1
               ? 0
               : lies(in, i, "its stamp is not that of its source", err);
}

static int check_data(const struct merge_input *in, const struct merge_index *i,
                      struct wp_error *err)
{
    for (size_t k = 0; k < i->index.count; k++) {
        _cleanup_free_ char *path = path_join(i->dir, i->index.overloads[k].data);
        const struct entry *data = path ? merge_file(in, path) : NULL;

        if (!path)
            return error_nomem(err);
        if (!data || !merge_item(in, data))
            return lies(in, i, "one of its data files is not there", err);
    }
    return 0;
}

static int read_index(const struct merge_input *in, struct merge_index *i, struct wp_error *err)
{
    const struct entry *e = merge_file(in, i->line->index);
    const struct spooled *item = e ? merge_item(in, e) : NULL;
    struct index_name name;
    int r;

    if (!item || index_name_parse(path_base(i->line->index), &name) < 0)
        return lies(in, i, "there is no such index", err);
    i->entry = e;
    r = merge_content(in, item, INDEX_LARGEST, &i->text, err);
    if (r < 0)
        return r;
    r = index_read(&i->index, i->text.data, i->text.size, NULL);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0)
        return lies(in, i, "it cannot be read", err);
    i->dropped = calloc(i->index.count + 1, sizeof *i->dropped);
    if (!i->dropped)
        return error_nomem(err);
    r = find_place(in, i, err);
    if (r == 0)
        r = check_stamp(in, i, err);
    return r < 0 ? r : check_data(in, i, err);
}

int merge_read_indexes(struct merge *m, struct merge_input *in, struct wp_error *err)
{
    int r = 0;

    in->indexes = calloc(in->m.index_count + 1, sizeof *in->indexes);
    if (!in->indexes)
        return error_nomem(err);
    for (size_t i = 0; i < in->m.index_count && r == 0; i++) {
        struct merge_index *new = &in->indexes[in->index_count];

        r = context_check(m->context, err);
        if (r < 0)
            return r;
        new->line = &in->m.indexes[i];
        if (!new->line->valid) {
            merge_leave_out(m, in, new, new->line->status ? new->line->status : "not valid");
            continue;
        }
        in->index_count++;
        r = read_index(in, new, err);
    }
    return r;
}
