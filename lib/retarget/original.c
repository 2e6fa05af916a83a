/* Restores an index as it was before it was retargeted, with what Numba has added since. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"
#include "numba/index_write.h"
#include "tree/beneath.h"

/* Is data file NAME beside ITEM the one that was packed? Numba may have compiled it again for the
 * CPU that stands in the key now. 1, 0 or negative errno. */
static int is_packed_data(const struct retarget_job *job, const struct retarget_index *item,
                          const char *name)
{
    _cleanup_free_ char *here = path_dir(item->path), *there = path_dir(item->archived);
    _cleanup_free_ char *path = here ? path_join(here, name) : NULL;
    _cleanup_free_ char *archived = there ? path_join(there, name) : NULL;
    const struct entry *e = archived ? manifest_find(job->m, archived) : NULL;
    _cleanup_close_ int fd = -1;
    int r;

    if (!here || !there || !path || !archived)
        return -ENOMEM;
    if (!e || e->type != ENTRY_FILE || !e->has_sha256)
        return 0;
    fd = beneath_open_read(item->fd, path);
    r = fd < 0 ? fd : sha256_file_is(fd, e->sha256);
    return error_is_absence(r) || file_is_unfit(r) ? 0 : r;
}

/* Do two keys speak of one function and signature? By their texts: types have numbers in a pickle
 * that are others in each process which writes it. 1, 0 or -ENOMEM. */
static int is_of_same(const struct pickle_value *a, const struct pickle_value *b)
{
    _cleanup_(key_clear) struct wp_overload x = {0}, y = {0};

    if (!key_is_for_cpu(a) || !key_is_for_cpu(b))
        return 0;
    if (key_read(&x, a) < 0 || key_read(&y, b) < 0)
        return -ENOMEM;
    return text_same(x.signature, y.signature) && text_same(x.triple, y.triple) &&
           text_same(x.code, y.code) && text_same(x.cells, y.cells) && text_same(x.other, y.other);
}

/* *OLD: the number of the overload in WAS that number WHICH of NOW has become; WAS->count: none. 0
 * or negative errno. */
static int find_old(const struct retarget_job *job, const struct retarget_index *item,
                    const struct index *was, const struct index *now, size_t which, size_t *old)
{
    const struct index_overload *o = &now->overloads[which];
    int r = 0;

    *old = was->count;
    for (size_t i = 0; i < was->count; i++) {
        const struct index_overload *before = &was->overloads[i];

        if (strcmp(before->data, o->data) != 0)
            continue;
        if (pickle_equal(before->key, o->key) == 1)
            r = 1;
        else if ((r = is_of_same(before->key, o->key)) == 1)
            r = is_packed_data(job, item, o->data);
        if (r < 0)
            return r;
        if (r > 0) {
            *old = i;
            return 0;
        }
    }
    return 0;
}

/* NOW with the overloads of WAS whose numbers are in OLD. */
static int put_back(const struct index *was, const struct index *now, const size_t *old,
                    struct buf *out, struct wp_error *err)
{
    struct index_writer *w;
    int r = index_writer_new(&w, now, err);

    for (size_t i = 0; i < now->count && r == 0; i++) {
        bool is_old = old[i] < was->count;

        r = index_writer_add(w, is_old ? was : now, is_old ? old[i] : i, NULL, NULL, err);
    }
    if (r == 0)
        r = index_writer_finish(w, out, err);
    index_writer_free(w);
    return r;
}

int original_find(const struct retarget_job *job, const struct retarget_index *item,
                  const struct manifest_original *original, const struct index *now,
                  struct buf *out, struct wp_error *err)
{
    _cleanup_(index_clear) struct index was = {0};
    _cleanup_free_ size_t *old = calloc(now->count + 1, sizeof *old);
    bool same;

    if (!old)
        return error_nomem(err);
    if (!original)
        return buf_add(out, now->text, now->size) < 0 ? error_nomem(err) : 0;
    if (index_read(&was, original->text.data, original->text.size, err) < 0)
        return -EINVAL;
    if (strcmp(was.numba, now->numba) != 0) /* another Numba has begun anew here */
        return buf_add(out, now->text, now->size) < 0 ? error_nomem(err) : 0;
    same = was.count == now->count && stamp_equal(&was.stamp, &now->stamp);
    for (size_t i = 0; i < now->count; i++) {
        int r = find_old(job, item, &was, now, i, &old[i]);

        if (r < 0)
            return error_set(err, -r, item->shown, "the file of an overload cannot be read");
        same &= old[i] == i;
    }
    if (same)
        return buf_add(out, original->text.data, original->text.size) < 0 ? error_nomem(err) : 0;
    return put_back(&was, now, old, out, err);
}
