/* Writes tar: blocks of headers and content, each packed by the codec on its own. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/little_endian.h"
#include "manifest/manifest.h"
#include "tar.h"
#include "tar_header.h"
#include "tar_look_back.h"
#include "tar_write_header.h"

struct tar_writer {
    struct format_writer base;
    const struct codec *codec;
    int level;
    char *mark;   /* NULL: no manifest */
    char *first;  /* the entry whose header has the mark; NULL: one before all entries */
    uint64_t end; /* of what has been written */
    bool is_one;  /* a single gzip member: */
    struct gzip_one one;
    _Atomic uint64_t plain; /* bytes of tar sealed so far, by any thread */
    struct buf map;         /* of the pieces written, for the codec's add_map */
};

static struct tar_writer *writer_of(struct format_writer *w)
{
    return (struct tar_writer *)w;
}

/* ---- On pool threads --------------------------------------------------------------------- */

static int begin_block(struct format_writer *w, struct format_block *b, struct wp_error *err)
{
    (void)w;
    (void)err;
    buf_clear(&b->plain);
    buf_clear(&b->packed);
    return 0;
}

/* Is E the manifest, in an archive without a last piece that says where it begins? */
static bool is_manifest(const struct tar_writer *w, const struct entry *e)
{
    static const char mark[] = MANIFEST_MARK;

    return w->codec == &codec_none && w->mark && strncmp(w->mark, mark, sizeof(mark) - 1) == 0 &&
           strcmp(w->mark + sizeof(mark) - 1, e->path) == 0;
}

static int add_header(struct format_writer *w, struct format_block *b, const struct entry *e,
                      struct wp_error *err)
{
    const struct tar_writer *writer = writer_of(w);
    char comment[64];

    if (writer->first && strcmp(writer->first, e->path) == 0)
        return tar_add_header(&b->plain, e, writer->mark, err);
    if (!is_manifest(writer, e))
        return tar_add_header(&b->plain, e, NULL, err);
    /* It begins its block, on the job's thread, and all before it have been written. */
    snprintf(comment, sizeof(comment), TAR_OFFSET_COMMENT "%llu",
             (unsigned long long)(writer->end + b->plain.size));
    return tar_add_header(&b->plain, e, comment, err);
}

static int add_end(struct format_writer *w, struct format_block *b, const struct entry *e,
                   struct wp_error *err)
{
    (void)w;
    if (buf_add_zeros(&b->plain, tar_padding(e->size)) < 0)
        return error_nomem(err);
    return 0;
}

static int seal(struct format_writer *base, struct format_block *b, struct wp_error *err)
{
    struct tar_writer *w = writer_of(base);

    atomic_fetch_add_explicit(&w->plain, b->plain.size, memory_order_relaxed);
    buf_clear(&b->packed);
    return w->codec->pack(b, w->level, err);
}

/* ---- On the job's thread ----------------------------------------------------------------- */

/* No block is as long as these numbers can say. */
static int note_piece(struct tar_writer *w, const struct format_block *b)
{
    unsigned char item[CODEC_MAP_ITEM];

    if (!w->codec->add_map || !w->mark)
        return 0;
    put_le(item, 4, (uint32_t)b->packed.size);
    put_le(item + 4, 4, (uint32_t)b->plain.size);
    return buf_add(&w->map, item, sizeof(item));
}

static int head(struct format_writer *base, struct format_block *b, struct wp_error *err)
{
    struct tar_writer *w = writer_of(base);
    const bool has_global = w->mark && !w->first;
    _cleanup_buf_ struct buf start = {0};
    int rc;

    begin_block(base, b, err);
    if (has_global) {
        if (tar_add_global(&b->plain, w->mark) < 0)
            return error_nomem(err);
        rc = seal(base, b, err);
        if (rc == 0 && note_piece(w, b) < 0)
            return error_nomem(err);
        if (rc < 0)
            return rc;
    }
    if (!w->is_one)
        return 0;
    if ((has_global && gzip_one_add(&w->one, b) < 0) || gzip_one_head(&start) < 0 ||
        buf_add(&start, b->packed.data, b->packed.size) < 0)
        return error_nomem(err);
    buf_free(&b->packed);
    b->packed = start;
    start = (struct buf){0};
    return 0;
}

static int written(struct format_writer *base, struct format_block *b, uint64_t offset,
                   struct wp_error *err)
{
    struct tar_writer *w = writer_of(base);

    w->end = offset + b->packed.size;
    if (note_piece(w, b) < 0)
        return error_nomem(err);
    /* At the start stands the head, which has been counted when it was made. */
    if (w->is_one && offset > 0 && gzip_one_add(&w->one, b) < 0)
        return error_nomem(err);
    return 0;
}

/* How many pieces stand before OFFSET. */
static size_t pieces_before(const struct tar_writer *w, uint64_t offset)
{
    size_t i = 0;

    for (uint64_t at = 0; at < offset && i < w->map.size; i += CODEC_MAP_ITEM)
        at += get_le32(w->map.data + i);
    return i / CODEC_MAP_ITEM;
}

static int tail(struct format_writer *base, struct format_block *b, uint64_t manifest_offset,
                struct wp_error *err)
{
    struct tar_writer *w = writer_of(base);
    uint64_t size = atomic_load(&w->plain);
    int rc;

    begin_block(base, b, err);
    size = (size + TAR_END) % TAR_RECORD;
    if (buf_add_zeros(&b->plain, TAR_END + (size ? TAR_RECORD - size : 0)) < 0)
        return error_nomem(err);
    rc = seal(base, b, err);
    if (rc < 0)
        return rc;
    if (w->is_one) {
        if (gzip_one_add(&w->one, b) < 0 || gzip_one_tail(&w->one, &b->packed) < 0)
            return error_nomem(err);
        return 0;
    }
    if (!w->mark || !w->codec->pointer)
        return 0;
    if (w->codec->add_map)
        rc = w->codec->add_map(&b->packed, w->map.data, pieces_before(w, manifest_offset), err);
    return rc < 0 ? rc : w->codec->pointer(&b->packed, manifest_offset, err);
}

static void writer_free(struct format_writer *base)
{
    struct tar_writer *w = writer_of(base);

    buf_free(&w->map);
    free(w->mark);
    free(w->first);
    free(w);
}

int tar_open_writer(struct format_writer **out, const struct codec *codec,
                    const struct format_write_options *o, struct wp_error *err)
{
    static const struct format_writer_ops ops = {.begin_block = begin_block,
                                                 .add_header = add_header,
                                                 .add_end = add_end,
                                                 .seal = seal,
                                                 .head = head,
                                                 .written = written,
                                                 .tail = tail,
                                                 .free = writer_free};
    struct tar_writer *w;
    int level = o->level, r = codec_level(codec, &level, err);

    if (r < 0)
        return r;
    w = calloc(1, sizeof(*w));
    if (!w)
        return error_nomem(err);
    bool large = codec->large_block_size && o->content >= CODEC_LARGE;
    w->base = (struct format_writer){
        .ops = &ops, .block_size = large ? codec->large_block_size : codec->block_size};
    w->codec = codec;
    w->level = level;
    if (o->mark)
        w->mark = strdup(o->mark);
    if (o->mark && o->mark_in_first)
        w->first = strdup(o->first);
    w->is_one = codec == &codec_gzip_one;
    if (o->mark && (!w->mark || (o->mark_in_first && !w->first))) {
        writer_free(&w->base);
        return error_nomem(err);
    }
    *out = &w->base;
    return 0;
}
