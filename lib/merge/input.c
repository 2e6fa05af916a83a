/* Merging: reads an archive or a tree into a spool, by its manifest. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "job.h"
#include "manifest/links.h"

static size_t number_of(const struct merge_input *in, const char *path)
{
    const struct entry *e = manifest_find(&in->m, path);

    return e ? (size_t)(e - in->m.entries) : SIZE_MAX;
}

/* Each entry of the manifest must be there exactly once, unless the manifest says that it is
 * absent. */
static int match(struct merge_input *in, struct wp_error *err)
{
    in->items = calloc(in->m.entry_count + 1, sizeof *in->items);
    if (!in->items)
        return error_nomem(err);
    for (size_t i = 0; i < in->spool.count; i++) {
        const char *path = in->spool.items[i].entry.path;
        size_t number = number_of(in, path);

        if (number == SIZE_MAX)
            return error_set(err, EBADMSG, path, "is not in the manifest of %s", in->name);
        if (in->items[number])
            return error_set(err, EBADMSG, path, "stands in %s twice", in->name);
        in->items[number] = i + 1;
    }
    for (size_t i = 0; i < in->m.entry_count; i++) {
        const struct entry *e = &in->m.entries[i];

        if (e->absent)
            in->is_partial = true;
        else if (!in->items[i])
            return error_set(err, EBADMSG, e->path, "is in the manifest of %s, and not there",
                             in->name);
    }
    return 0;
}

static int read_archive(struct merge_input *in, struct wp_archive *archive, struct wp_error *err)
{
    int r = spool_read(&in->spool, archive, &in->m, err);

    if (r == 0 && !in->m.root_count)
        return error_set(err, 0, in->name,
                         "has no manifest of warmpack's: see warmpack create and amend");
    return r;
}

int merge_read_input(struct merge *m, size_t i, struct wp_error *err)
{
    const struct wp_merge_input *from = &m->o->inputs[i];
    struct merge_input *in = &m->inputs[i];
    int r;

    in->spool.fd = -1;
    in->no_memory = &m->no_memory;
    in->name = from->archive ? from->archive->name : from->tree;
    r = from->archive ? read_archive(in, from->archive, err)
                      : merge_read_tree(m, in, from->tree, err);
    return r < 0 ? r : match(in, err);
}

void merge_input_clear(struct merge_input *in)
{
    for (size_t i = 0; i < in->index_count; i++)
        merge_index_clear(&in->indexes[i]);
    free(in->indexes);
    free(in->items);
    spool_clear(&in->spool);
    manifest_clear(&in->m);
}

/* ---- Files ------------------------------------------------------------------------------- */

const struct entry *merge_file(const struct merge_input *in, const char *path)
{
    const struct entry *e;
    int r = links_follow_in(&in->m, path, &e);

    if (r == -ENOMEM)
        *in->no_memory = true;
    return r == 0 && e->type == ENTRY_FILE ? e : NULL;
}

const struct spooled *merge_item(const struct merge_input *in, const struct entry *e)
{
    size_t item = in->items[e - in->m.entries];

    return item && in->spool.items[item - 1].entry.type == ENTRY_FILE ? &in->spool.items[item - 1]
                                                                      : NULL;
}

int merge_content(const struct merge_input *in, const struct spooled *item, size_t most,
                  struct buf *out, struct wp_error *err)
{
    buf_clear(out);
    if (item->entry.size > most)
        return error_set(err, EFBIG, item->entry.path, "cannot be merged");
    return spool_content(&in->spool, item, out, "cannot be read", err);
}

bool merge_is_same(const struct entry *a, const struct entry *b)
{
    return a->type == ENTRY_FILE && b->type == ENTRY_FILE && a->size == b->size && a->has_sha256 &&
           b->has_sha256 && memcmp(a->sha256, b->sha256, SHA256_SIZE) == 0;
}
