/* Amending: finds what the source tree and its cache directories hold, judged as packing judges it.
 */

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"
#include "tree/beneath.h"

enum { LARGEST_FILE = 64 << 20 }; /* of sources and indexes */

/* Reads a file of the walk, whose entry then says what was really read: of a link, what it leads
 * to, as Python does. */
static int read_item(struct pack *p, struct walk_item *item, struct buf *text, struct wp_error *err)
{
    const char *name = item->name ? item->name : item->entry.path;
    const int root = p->walk.root_fds[item->root];
    struct stat st;
    int r;

    if (item->entry.type == ENTRY_SYMLINK) {
        _cleanup_free_ char *path = path_join(p->walk.root_names[item->root], name);

        buf_clear(text);
        r = path ? file_read(path, LARGEST_FILE, text, &st) : -ENOMEM;
    } else {
        r = beneath_read(root, name, LARGEST_FILE, text, &st);
    }
    if (r < 0)
        return error_set(err, -r, item->entry.path, "cannot be read");
    item->entry.size = text->size;
    item->entry.mtime = st.st_mtim;
    item->ctime = st.st_ctim;
    item->ino = st.st_ino;
    sha256_of(text->data, text->size, item->entry.sha256);
    item->entry.has_sha256 = true;
    return 0;
}

/* Bytes of the item, or of what it leads to; false where that is no file. */
static bool size_of(const struct pack *p, const struct walk_item *item, uint64_t *size)
{
    const char *name = item->name ? item->name : item->entry.path;
    struct stat st;

    *size = item->entry.size;
    if (item->entry.type == ENTRY_FILE)
        return true;
    if (fstatat(p->walk.root_fds[item->root], name, &st, 0) < 0 || !S_ISREG(st.st_mode))
        return false;
    *size = (uint64_t)st.st_size;
    return true;
}

static int compare_sizes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Digests of the sources that may be the archive's: the others have a size that none has there. */
static int digest_sources(struct amend *a, struct wp_error *err)
{
    struct pack *p = &a->survey.pack;
    const size_t most = a->spool.count;
    _cleanup_free_ uint64_t *sizes = reallocarray(NULL, most ? most : 1, sizeof *sizes);
    _cleanup_buf_ struct buf text = {0};
    size_t count = 0;
    int r = 0;

    if (!sizes)
        return error_nomem(err);
    for (size_t i = 0; i < most; i++)
        if ((a->spool.items[i].entry.type == ENTRY_FILE &&
             amend_is_source(&a->spool.items[i].entry)) ||
            amend_is_zip(&a->spool.items[i].entry))
            sizes[count++] = a->spool.items[i].entry.size;
    array_sort(sizes, count, compare_sizes);
    for (size_t i = 0; i < p->walk.count && r == 0; i++) {
        struct walk_item *item = &p->walk.items[i];
        uint64_t size;

        r = context_check(a->context, err);
        if (r < 0)
            return r;
        if (!(amend_is_source(&item->entry) || amend_is_zip(&item->entry)) ||
            !size_of(p, item, &size) || size > LARGEST_FILE ||
            !array_find(&size, sizes, count, compare_sizes))
            continue;
        r = read_item(p, item, &text, err);
    }
    return r;
}

static int read_indexes(struct pack *p, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < p->index_count && r == 0; i++)
        r = read_item(p, &p->walk.items[p->indexes[i].item], &p->indexes[i].text, err);
    return r;
}

static int count_valid(struct survey *s, struct wp_error *err)
{
    const struct pack *p = &s->pack;

    s->valid = calloc(p->walk.count ? p->walk.count : 1, sizeof *s->valid);
    if (!s->valid)
        return error_nomem(err);
    for (size_t i = 0; i < p->manifest.index_count; i++) {
        const struct manifest_index *index = &p->manifest.indexes[i];
        const struct walk_item *item =
            index->valid && index->source ? pack_source(p, index->source) : NULL;

        if (item)
            s->valid[item - p->walk.items]++;
    }
    return 0;
}

int amend_survey(struct amend *a, struct wp_error *err)
{
    /* Nothing is written in it: it tells how names and links are to be taken. */
    static const struct wp_format none = {.name = "survey", .no_hardlinks = true};
    struct survey *s = &a->survey;
    int r;

    s->member = (struct wp_member){.dir = a->o->source, .path = "."};
    s->options = a->options;
    s->options.archive = ""; /* none that the walk could meet */
    s->options.format = &none;
    s->options.members = &s->member;
    s->options.member_count = 1;
    s->pack = (struct pack){.context = a->context, .o = &s->options};
    r = pack_plan(&s->pack, NULL, err);
    if (r == 0)
        r = digest_sources(a, err);
    if (r == 0)
        r = read_indexes(&s->pack, err);
    if (r == 0)
        r = pack_judge(&s->pack, &s->verify, err);
    if (r == 0)
        r = pack_depends_find(&s->depends, &s->pack, err);
    if (r == 0)
        r = pack_depends_record(&s->pack, &s->depends, &s->verify, err);
    return r < 0 ? r : count_valid(s, err);
}

void amend_survey_clear(struct survey *s)
{
    free(s->valid);
    free(s->same);
    wp_verify_report_clear(&s->verify);
    pack_depends_clear(&s->depends);
    if (s->pack.o)
        pack_clear(&s->pack);
    *s = (struct survey){0};
}
