/* Compares an index and its data with what was packed. */

#include "as_packed.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "tree/behind.h"
#include "tree/beneath.h"

int as_packed_index(const struct index *index, const struct buf *text, const struct manifest *m,
                    const struct manifest_index *line)
{
    const struct entry *packed = m ? manifest_find(m, line->index) : NULL;
    _cleanup_buf_ struct buf back = {0};
    int r;

    if (!packed || !packed->has_sha256 || !line->has_stamp)
        return 0;
    r = index_restamp(index, text->data, text->size, &line->stamp, &back, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    return sha256_is(back.data, back.size, packed->sha256);
}

int as_packed_data(int fd, const char *path, const struct index *index, const struct manifest *m,
                   const struct manifest_index *line)
{
    _cleanup_free_ char *here = path_dir(path), *there = path_dir(line->index);
    int r = here && there ? 1 : -ENOMEM;

    for (size_t i = 0; i < index->count && r > 0; i++) {
        _cleanup_free_ char *data = path_join(here, index->overloads[i].data);
        _cleanup_free_ char *archived = path_join(there, index->overloads[i].data);
        const struct entry *e = archived ? manifest_find(m, archived) : NULL;

        r = !data || !archived ? -ENOMEM : e && e->has_sha256;
        if (r > 0)
            r = behind_has_content(fd, data, e->sha256);
    }
    return beneath_is_out_of_reach(r) ? 0 : r;
}
