/* Collects the indexes of an archive while it is read from end to end. */

#include "indexes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "manifest/links.h"
#include "numba/caches.h"
#include "numba/data.h"
#include "numba/index.h"
#include "reading.h"
#include "signed.h"

/* All are held until the last entry has been met. */
enum { LARGEST_SUM = 256 << 20 };
/* Bytes of holes in one file. */
static const uint64_t LARGEST_HOLES = (uint64_t)64 << 30;

int archive_indexes_find(const struct archive_indexes *v, const char *path, const struct entry **e)
{
    int r = links_follow_in(&v->m, path, e);

    if (*e && (*e)->type != ENTRY_FILE)
        *e = NULL;
    return r;
}

const struct entry *archive_indexes_file(const struct archive_indexes *v, const char *path,
                                         bool *outside)
{
    const struct entry *e;
    int r = archive_indexes_find(v, path, &e);

    if (outside)
        *outside = r == -EXDEV;
    return e;
}

static bool exists(void *ctx, const char *path)
{
    bool outside;

    return archive_indexes_file(ctx, path, &outside) != NULL || outside;
}

static int keep_entry(struct archive_indexes *v, const struct entry *e, struct wp_error *err)
{
    struct manifest *m = &v->m;

    if (array_grow(m->entries, m->entry_count) < 0 ||
        entry_copy(&m->entries[m->entry_count], e) < 0)
        return error_nomem(err);
    m->entry_count++;
    return 0;
}

/* The digest of the current entry: of a source, what a stamp may hold. It stays unknown where the
 * holes are larger than any file that is looked at for its content. KEPT, if not NULL, gets the
 * content, as far as it has no holes. */
static int digest_content(struct archive_reading *in, struct entry *e, struct buf *kept,
                          struct wp_error *err)
{
    struct format_reader *reader = in->a->reader;
    struct sha256 *sha = sha256_new();
    uint64_t offset, end = 0, holes = 0;
    const void *data;
    size_t n;
    int r;

    if (!sha)
        return error_nomem(err);
    while ((r = reader->ops->data(reader, &data, &n, &offset, err)) > 0) {
        if (offset < end) {
            r = error_set(err, EBADMSG, e->path, "its parts overlap");
            break;
        }
        holes += offset - end;
        r = holes <= LARGEST_HOLES ? archive_digest_hole(in, sha, offset - end, err) : 0;
        if (r < 0)
            break;
        sha256_add(sha, data, n);
        end = offset + n;
        if (kept && !holes && buf_add(kept, data, n) < 0) {
            r = error_nomem(err);
            break;
        }
    }
    if (r == 0 && end < e->size) {
        holes += e->size - end;
        r = holes <= LARGEST_HOLES ? archive_digest_hole(in, sha, e->size - end, err) : 0;
        end = e->size;
    }
    sha256_end(sha, e->sha256);
    sha256_free(sha);
    e->has_sha256 = r == 0 && holes <= LARGEST_HOLES && end == e->size;
    return r;
}

static int keep_index(struct archive_indexes *v, struct archive_reading *in, struct wp_error *err)
{
    const struct entry *e = in->e;
    struct archive_index *index;
    int r;

    if (array_grow(v->items, v->count) < 0)
        return error_nomem(err);
    index = &v->items[v->count];
    *index = (struct archive_index){.path = strdup(e->path)};
    if (!index->path)
        return error_nomem(err);
    v->count++;
    if (e->size > INDEX_LARGEST) {
        index->unread = "is too large for an index";
        return 0;
    }
    if (e->size > LARGEST_SUM - v->held) {
        index->unread = "the indexes of the archive are too large together";
        return 0;
    }
    v->held += e->size;
    r = archive_content(in, &index->text, err);
    if (r == 0) {
        sha256_of(index->text.data, index->text.size, v->m.entries[v->m.entry_count - 1].sha256);
        v->m.entries[v->m.entry_count - 1].has_sha256 = true;
    }
    return r;
}

/* Whoever unpacks nothing has no other chance to look into code. */
static int look_into_data(struct archive_indexes *v, struct archive_reading *in,
                          struct wp_error *err)
{
    struct entry *e = &v->m.entries[v->m.entry_count - 1];
    _cleanup_buf_ struct buf text = {0};
    struct data_facts facts;
    int r = digest_content(in, e, &text, err);

    if (r < 0)
        return r;
    r = data_read(text.data, text.size, NULL, &facts, NULL);
    if (r == -ENOMEM || (r == 0 && *facts.svml && path_list_add(&v->svml, strdup(e->path)) < 0))
        return error_nomem(err);
    return 0;
}

/* ---- Names that come again --------------------------------------------------------------- */

struct named {
    const char *path;
    size_t number; /* in the order of the archive */
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->path, y->path);

    return order ? order : (x->number > y->number) - (x->number < y->number);
}

static void drop_index(struct archive_index *index)
{
    free(index->path);
    buf_free(&index->text);
    *index = (struct archive_index){0};
}

/* Leaves in LIST those of whose name there is a later one. Their number. */
static size_t find_earlier(struct named *list, size_t count)
{
    size_t earlier = 0;

    array_sort(list, count, compare_named);
    for (size_t i = 0; i + 1 < count; i++)
        if (strcmp(list[i].path, list[i + 1].path) == 0)
            list[earlier++] = list[i];
    return earlier;
}

static void drop_earlier_entries(struct manifest *m, struct named *list)
{
    size_t kept = 0, earlier;

    for (size_t i = 0; i < m->entry_count; i++)
        list[i] = (struct named){m->entries[i].path, i};
    earlier = find_earlier(list, m->entry_count);
    for (size_t i = 0; i < earlier; i++)
        entry_clear(&m->entries[list[i].number]);
    for (size_t i = 0; i < m->entry_count; i++)
        if (m->entries[i].path)
            m->entries[kept++] = m->entries[i];
    m->entry_count = kept;
}

static void drop_earlier_indexes(struct archive_indexes *v, struct named *list)
{
    size_t kept = 0, earlier;

    for (size_t i = 0; i < v->count; i++)
        list[i] = (struct named){v->items[i].path, i};
    earlier = find_earlier(list, v->count);
    for (size_t i = 0; i < earlier; i++)
        drop_index(&v->items[list[i].number]);
    for (size_t i = 0; i < v->count; i++)
        if (v->items[i].path)
            v->items[kept++] = v->items[i];
    v->count = kept;
}

/* Of two entries with one name the later one counts, as in tar. Then all are sorted, to be found.
 */
static int resolve_names(struct archive_indexes *v, struct wp_error *err)
{
    struct manifest *m = &v->m;
    _cleanup_free_ struct named *list = reallocarray(NULL, m->entry_count + 1, sizeof *list);

    if (!list)
        return error_nomem(err);
    drop_earlier_indexes(v, list); /* each of them is an entry, too */
    drop_earlier_entries(m, list);
    array_sort(m->entries, m->entry_count, path_compare);
    return 0;
}

/* ---- The archive ------------------------------------------------------------------------- */

static int meet_entry(struct archive_indexes *v, struct archive_reading *in,
                      enum archive_digests digests, struct wp_error *err)
{
    const struct entry *e = in->e;
    int r = keep_entry(v, e, err);

    if (r < 0 || e->type != ENTRY_FILE)
        return r;
    if (caches_is_index(e->path))
        return keep_index(v, in, err);
    if (caches_is_data(e->path) && e->size <= INDEX_LARGEST)
        return look_into_data(v, in, err);
    if (digests == ARCHIVE_SOURCE_DIGESTS && !caches_is_source(e->path))
        return 0;
    return digest_content(in, &v->m.entries[v->m.entry_count - 1], NULL, err);
}

static int meet_manifest(struct archive_reading *in, struct manifest *recorded,
                         struct archive_signed *s, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    int r;

    if (!s->trust)
        return archive_read_manifest(in, recorded, err);
    r = archive_content(in, &text, err);
    if (r == 0)
        r = manifest_read(recorded, text.data, text.size, in->e->path, in->a->pool, err);
    return r < 0 ? r : archive_signed_meet(s, recorded, in->e->path, &text, err);
}

/* No name stands in an archive of ours twice. */
static int refuse_twice(const struct archive_signed *s, const struct archive_reading *in,
                        size_t before, size_t now, struct wp_error *err)
{
    return s->trust && now < before
               ? error_set(err, EBADMSG, in->a->name, "has entries of one name twice")
               : 0;
}

static int meet_all(struct archive_indexes *v, struct archive_reading *in,
                    struct manifest *recorded, enum archive_digests digests,
                    struct archive_signed *s, struct wp_error *err)
{
    size_t count;
    int r;

    while ((r = archive_next(in, err)) > 0) {
        if (r == ARCHIVE_MANIFEST)
            r = meet_manifest(in, recorded, s, err);
        else if (r == ARCHIVE_ENTRY)
            r = meet_entry(v, in, digests, err);
        if (r < 0)
            return r;
    }
    count = v->m.entry_count;
    if (r == 0)
        r = resolve_names(v, err);
    return r < 0 ? r : refuse_twice(s, in, count, v->m.entry_count, err);
}

/* A format that rounds times has the exact ones in its manifest. */
static int take_exact_times(struct manifest *found, const struct manifest *recorded,
                            struct wp_error *err)
{
    for (size_t i = 0; i < found->entry_count; i++) {
        struct entry *e = &found->entries[i];
        const struct entry *m = manifest_find(recorded, e->path);

        if (m && m->type == e->type && entry_take_attributes(e, m) < 0)
            return error_nomem(err);
    }
    return 0;
}

/* M keeps its entries, and takes over all else: which hashed directory belongs where, only the
 * manifest knows; so it is with sources that are not in the archive. */
static void take_records(struct manifest *m, struct manifest *recorded)
{
    struct manifest own = *m;

    texts_free(&recorded->texts);
    free(recorded->entries);
    *m = *recorded;
    m->is_read = false;
    m->texts = own.texts;
    m->entries = own.entries;
    m->entry_count = own.entry_count;
    *recorded = (struct manifest){0};
}

int archive_indexes_read(struct archive_indexes *out, struct wp_archive *a,
                         enum archive_digests digests, const struct trust *trust,
                         struct wp_error *err)
{
    _cleanup_(archive_signed_clear) struct archive_signed s = {.trust = trust};
    struct archive_reading in = {.a = a};
    struct manifest recorded = {0};
    int r;

    *out = (struct archive_indexes){0};
    r = meet_all(out, &in, &recorded, digests, &s, err);
    path_list_sort(&out->svml);
    if (r == 0 && a->reader->is_rounded)
        r = take_exact_times(&out->m, &recorded, err);
    if (r == 0)
        r = archive_signed_check(&s, &recorded, out->m.entries, out->m.entry_count, a->name, err);
    out->has_manifest = r == 0 && in.has_manifest;
    for (size_t i = 0; i < recorded.entry_count; i++)
        out->caches_only |= recorded.entries[i].absent;
    if (out->has_manifest)
        take_records(&out->m, &recorded);
    manifest_clear(&recorded);
    return r;
}

char *archive_indexes_source(const struct archive_indexes *v, const struct archive_index *i,
                             const char **misplaced, bool *found)
{
    _cleanup_free_ char *dir = path_dir(i->path);
    _cleanup_free_ char *sources = dir ? manifest_source_dir(&v->m, dir, misplaced) : NULL;

    return sources ? caches_source_of(path_base(i->path), sources, exists, (void *)v, found) : NULL;
}

void archive_indexes_clear(struct archive_indexes *v)
{
    for (size_t i = 0; i < v->count; i++)
        drop_index(&v->items[i]);
    free(v->items);
    path_list_clear(&v->svml);
    manifest_clear(&v->m);
    *v = (struct archive_indexes){0};
}
