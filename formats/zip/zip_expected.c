/* Plans which entries of an archive are not read: the directory says where they lie, the manifest
 * what they are. */

#include "zip_expected.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"

/* Is nothing read of E, which X has, too? 1, 0 or -ENOMEM. The text of a symbolic link is read, as
 * is what the manifest does not have: itself. */
static int is_unwanted(const struct zip_archive *a, const struct zip_entry *e,
                       const struct format_expected *x)
{
    _cleanup_free_ char *path = path_clean(zip_name(a, e));
    const struct entry *found;

    if (!path)
        return -ENOMEM;
    found = array_find(&path, x->entries, x->count, path_compare);
    if (!found || found->absent)
        return 0;
    return found->type == ENTRY_DIR ||
           (found->type == ENTRY_FILE && !x->wanted[found - x->entries] && e->size == found->size);
}

/* By its first bytes an archive is known for one. */
static struct source_gap gap_of(const struct zip_entry *e)
{
    return (struct source_gap){.at = e->at ? e->at : ZIP_LOCAL_SIZE, .end = e->limit};
}

static int compare_places(const void *a, const void *b)
{
    const uint64_t x = ((const struct source_gap *)a)->at, y = ((const struct source_gap *)b)->at;

    return (x > y) - (x < y);
}

int zip_expected_make(struct zip_expected *out, const struct zip_archive *a,
                      const struct format_expected *x)
{
    *out = (struct zip_expected){.is_left_out = calloc(a->count + 1, sizeof *out->is_left_out),
                                 .gaps = calloc(a->count + 1, sizeof *out->gaps)};
    if (!out->is_left_out || !out->gaps)
        return -ENOMEM;
    for (size_t i = 0; i < a->count; i++) {
        const struct zip_entry *e = &a->entries[i];
        int r = is_unwanted(a, e, x);

        if (r < 0)
            return r;
        out->is_left_out[i] = r;
        if (r)
            out->gaps[out->gap_count++] = gap_of(e);
    }
    array_sort(out->gaps, out->gap_count, compare_places);
    return out->gap_count > 0;
}

void zip_expected_clear(struct zip_expected *p)
{
    free(p->is_left_out);
    free(p->gaps);
    *p = (struct zip_expected){0};
}
