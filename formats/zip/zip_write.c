/* Writes zip: blocks (zip_write_block.c) in their order, and the central directory after them. The
 * header of a file that is spread over several blocks is written anew when its end has come or, on
 * a pipe, a descriptor follows. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "manifest/manifest.h"
#include "zip.h"
#include "zip_write.h"

enum {
    LEVEL_DEFAULT = 5, /* as small as what zip -6 writes; 6 is 0.8 % smaller, a tenth slower */
    BLOCK_SIZE = 2 << 20,
    /* Joining pieces costs a quarter of the time of deflating them: what memory allows is not cut
     * into pieces. */
    WHOLE_SIZE = 4 << 20,
};

static int head(struct format_writer *base, struct format_block *b, struct wp_error *err)
{
    const struct buf *script = zip_writer_of(base)->script;
    int r = zip_block_begin(base, b, err);

    if (r == 0 && script && buf_add(&b->packed, script->data, script->size) < 0)
        r = error_nomem(err);
    return r;
}

static int add_central(struct zip_writer *w, const struct zip_record *r)
{
    w->count++;
    return zip_add_central(r, &w->central);
}

/* All of the large file is in its blocks, of which B is the last. */
static int finish_large(struct zip_writer *w, struct format_block *b)
{
    struct zip_record *large = &w->large;
    int r = add_central(w, large);

    if (r == 0 && w->can_patch) {
        buf_clear(&w->patch);
        r = buf_add_zeros(&w->patch, zip_local_size(large));
        if (r == 0)
            zip_put_local(large, w->patch.data);
        w->patch_at = large->at;
        w->has_patch = true;
    } else if (r == 0) {
        r = zip_add_descriptor(large, &b->packed);
    }
    free((char *)take_ptr(large->name));
    return r;
}

/* The piece that B holds. */
static int take_piece(struct zip_writer *w, struct format_block *b)
{
    const struct zip_block *z = b->codec;

    w->large.crc = (uint32_t)crc32_combine(w->large.crc, z->crc, (z_off_t)z->size);
    w->large.size += z->size;
    w->large.packed_size += z->packed_size;
    return z->ends ? finish_large(w, b) : 0;
}

static int written(struct format_writer *base, struct format_block *b, uint64_t offset,
                   struct wp_error *err)
{
    struct zip_writer *w = zip_writer_of(base);
    struct zip_block *z = b->codec;
    int r = 0;

    for (size_t i = 0; i < z->count; i++)
        z->records[i].at += offset;
    for (size_t i = 0; i + z->is_open < z->count && r == 0; i++)
        r = add_central(w, &z->records[i]);
    if (z->is_open && r == 0) {
        w->large = z->records[--z->count]; /* with its name */
        w->large.size = w->large.packed_size = w->large.crc = 0;
    }
    if (z->has_piece && r == 0)
        r = take_piece(w, b);
    w->end = offset + b->packed.size;
    return r < 0 ? error_nomem(err) : 0;
}

static int patch(struct format_writer *base, struct format_patch *p)
{
    struct zip_writer *w = zip_writer_of(base);

    if (!w->has_patch)
        return 0;
    w->has_patch = false;
    *p = (struct format_patch){w->patch_at, w->patch.data, w->patch.size};
    return 1;
}

static int tail(struct format_writer *base, struct format_block *b, uint64_t manifest_offset,
                struct wp_error *err)
{
    struct zip_writer *w = zip_writer_of(base);
    int r = zip_block_begin(base, b, err);

    (void)manifest_offset; /* the directory says where everything lies */
    if (r < 0)
        return r;
    buf_free(&b->packed);
    b->packed = w->central; /* it may be large: no copy */
    w->central = (struct buf){0};
    if (zip_add_end(w->count, b->packed.size, w->end, w->mark ? w->mark : "", &b->packed) < 0)
        return error_nomem(err);
    return 0;
}

static void writer_free(struct format_writer *base)
{
    struct zip_writer *w = zip_writer_of(base);

    buf_free(&w->central);
    buf_free(&w->patch);
    free((char *)w->large.name);
    free(w->mark);
    free(w);
}

/* MANIFEST_MARK with the ID alone of the manifest's path ".../ID/manifest.jsonl". Some readers,
 * such as npm's unzipper, look for the end record in the last 80 bytes only, of which it takes 22.
 */
static char *comment_of(const char *mark)
{
    const char *end = strrchr(mark, '/'), *begin = end;
    char *comment = NULL;

    while (begin && begin > mark && begin[-1] != '/')
        begin--;
    if (!begin)
        return strdup(mark);
    return asprintf(&comment, MANIFEST_MARK "%.*s", (int)(end - begin), begin) < 0 ? NULL : comment;
}

int zip_open_writer(struct format_writer **out, const struct wp_format *f,
                    const struct format_write_options *o, struct wp_error *err)
{
    static const struct format_writer_ops ops = {.begin_block = zip_block_begin,
                                                 .add_header = zip_block_add_header,
                                                 .add_end = zip_block_add_end,
                                                 .seal = zip_block_seal,
                                                 .head = head,
                                                 .written = written,
                                                 .patch = patch,
                                                 .tail = tail,
                                                 .free = writer_free};
    struct zip_writer *w;

    (void)f;
    if (o->level != -1 && (o->level < ZIP_LEVEL_MIN || o->level > ZIP_LEVEL_MAX))
        return error_set(err, 0, NULL, "level %d is not one of zip's, which are %d to %d", o->level,
                         ZIP_LEVEL_MIN, ZIP_LEVEL_MAX);
    w = calloc(1, sizeof(*w));
    if (!w)
        return error_nomem(err);
    w->base =
        (struct format_writer){.ops = &ops, .block_size = BLOCK_SIZE, .whole_size = WHOLE_SIZE};
    w->level = o->level == -1 ? LEVEL_DEFAULT : o->level;
    w->can_patch = o->can_patch;
    w->script = o->script;
    if (o->mark && !(w->mark = comment_of(o->mark))) {
        writer_free(&w->base);
        return error_nomem(err);
    }
    *out = &w->base;
    return 0;
}
