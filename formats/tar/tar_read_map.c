/* Reads the maps of sparse files, in all four of tar's formats. */

#include <errno.h>

#include "tar_read.h"

/* The old format has four runs in the header, then blocks of 21 more. */
static int read_old_map(struct tar_reader *r, uint64_t *real, struct wp_error *err)
{
    char block[TAR_BLOCK];
    const char *header = (const char *)&r->member.header;
    bool more = header[482] != 0;
    int64_t size = 0;
    int rc = sparse_add_old(&r->map, header + 386, 4);

    if (rc == 0 && (tar_get_number(header + 483, 12, &size) < 0 || size < 0))
        rc = -EINVAL;
    while (rc == 0 && more) {
        rc = tar_stream_read(&r->in, block, sizeof(block), err);
        if (rc <= 0)
            return rc < 0 ? rc : tar_stream_cut(&r->in, err);
        more = block[504] != 0;
        rc = sparse_add_old(&r->map, block, 21);
    }
    if (rc < 0)
        return tar_explain(r, rc, "a malformed sparse map", err);
    *real = (uint64_t)size;
    return 0;
}

/* Format 1.0: the map stands before the content and counts as stored. */
static int read_map_text(struct tar_reader *r, struct wp_error *err)
{
    struct sparse_text text;
    char block[TAR_BLOCK];
    int more = 1;

    sparse_text_begin(&text);
    while (more == 1) {
        int rc;

        if (r->stored < TAR_BLOCK)
            return tar_damaged(r, r->in.offset, "a sparse map that does not end", err);
        rc = tar_stream_read(&r->in, block, sizeof(block), err);
        if (rc <= 0)
            return rc < 0 ? rc : tar_stream_cut(&r->in, err);
        r->stored -= TAR_BLOCK;
        more = sparse_text_block(&text, &r->map, block);
    }
    return more < 0 ? tar_explain(r, more, "a malformed sparse map", err) : 0;
}

int tar_read_map(struct tar_reader *r, struct wp_error *err)
{
    struct pax *p = &r->member.pax;
    uint64_t real = 0;
    int rc = 0;

    if (r->entry.type != ENTRY_FILE || (r->member.header.type != TAR_SPARSE && !p->sparse))
        return 0;
    if (p->sparse) {
        r->map = p->map;
        p->map = (struct sparse_map){0};
        real = p->sparse_size;
        if (p->sparse_map_follows)
            rc = read_map_text(r, err);
    } else {
        rc = read_old_map(r, &real, err);
    }
    if (rc < 0)
        return rc;
    if ((p->sparse && !p->has_sparse_size) || !sparse_fits(&r->map, real, r->stored))
        return tar_damaged(r, r->in.offset, "a sparse map that does not fit its file", err);
    r->sparse = true;
    r->entry.size = real;
    return 0;
}
