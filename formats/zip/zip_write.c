/* Writing zip. A block holds whole entries, deflated as they end, so that their sizes stand in the
 * local header. A file that is spread over several blocks is deflated piece by piece; its header
 * is written anew when its end has come or, on a pipe, a descriptor follows. */

#include <errno.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "codec/crc.h"
#include "codec/joint.h"
#include "zip.h"
#include "zip_write_header.h"

enum {
    LEVEL_DEFAULT = 5, /* as small as what zip -6 writes; 6 is 0.8 % smaller, a tenth slower */
    BLOCK_SIZE = 2 << 20,
    /* Joining pieces costs a quarter of the time of deflating them: what memory allows is not cut
     * into pieces. */
    WHOLE_SIZE = 4 << 20,
    LONGEST_NAME = 65534, /* and a directory's slash */
};

/* What a block has in it, kept from block to block. */
struct zip_block {
    struct libdeflate_compressor *compressor;
    struct joint *joint;        /* for pieces */
    struct zip_record *records; /* owned, as are their names */
    size_t count, room;
    bool is_open;   /* the last record has no end in this block */
    size_t content; /* where in the plain bytes its content begins */
    bool has_piece; /* after seal: the block holds a piece of a file that is spread */
    bool ends;      /* and it is the last one */
    uint32_t crc;   /* of the piece */
    uint64_t size, packed_size;
};

struct zip_writer {
    struct format_writer base;
    int level;
    bool can_patch;
    char *mark;
    struct buf central;      /* the directory so far */
    uint64_t count;          /* entries in it */
    uint64_t end;            /* of what has been written */
    struct zip_record large; /* being written in pieces; name owned, NULL: none */
    struct buf patch;        /* its header as it must be */
    uint64_t patch_at;
    bool has_patch;
};

static struct zip_writer *writer_of(struct format_writer *w)
{
    return (struct zip_writer *)w;
}

/* ---- On pool threads --------------------------------------------------------------------- */

static void drop_records(struct zip_block *z, size_t from)
{
    for (size_t i = from; i < z->count; i++)
        free((char *)z->records[i].name);
    z->count = from;
}

static int begin_block(struct format_writer *base, struct format_block *b, struct wp_error *err)
{
    struct zip_block *z = b->codec;

    buf_clear(&b->plain);
    buf_clear(&b->packed);
    if (!z)
        z = b->codec = calloc(1, sizeof(*z));
    if (!z)
        return error_nomem(err);
    drop_records(z, 0);
    z->is_open = z->has_piece = z->ends = false;
    if (!z->compressor)
        z->compressor = libdeflate_alloc_compressor(writer_of(base)->level);
    return z->compressor ? 0 : error_nomem(err);
}

static char *stored_name(const struct entry *e)
{
    char *name = NULL;

    if (e->type != ENTRY_DIR)
        return strdup(e->path);
    return asprintf(&name, "%s/", e->path) < 0 ? NULL : name;
}

static int add_header(struct format_writer *base, struct format_block *b, const struct entry *e,
                      struct wp_error *err)
{
    struct zip_block *z = b->codec;
    char *name;

    (void)base;
    if (e->type == ENTRY_HARDLINK || e->type == ENTRY_OTHER)
        return error_set(err, 0, e->path, "is of a kind that a zip archive cannot hold");
    if (strlen(e->path) > LONGEST_NAME)
        return error_set(err, ENAMETOOLONG, e->path, "cannot be packed into a zip archive");
    /* The job tries again with a file that changed while it was read, or gives it up. */
    if (z->is_open)
        drop_records(z, z->count - 1);
    z->is_open = false;
    if (z->count == z->room) {
        size_t room = z->room ? 2 * z->room : 64;
        struct zip_record *grown = reallocarray(z->records, room, sizeof(*grown));

        if (!grown)
            return error_nomem(err);
        z->records = grown;
        z->room = room;
    }
    name = stored_name(e);
    if (!name)
        return error_nomem(err);
    zip_record_begin(&z->records[z->count++], e, name, strlen(name));
    z->is_open = true;
    z->content = b->plain.size;
    return 0;
}

/* Deflates N bytes of DATA to OUT, which has room for as many, or copies them where that is no
 * gain. Sets method, sizes and checksum. */
static void pack_content(const struct zip_writer *w, struct zip_block *z, struct zip_record *r,
                         const void *data, size_t n, unsigned char *out)
{
    r->size = n;
    r->crc = crc_add(0, data, n);
    r->method = ZIP_DEFLATED;
    r->packed_size = 0;
    if (w->level > 0 && n > 1 && !S_ISLNK(r->attributes >> 16))
        r->packed_size = libdeflate_deflate_compress(z->compressor, data, n, out, n - 1);
    if (r->packed_size > 0)
        return;
    r->method = ZIP_STORED;
    r->packed_size = n;
    if (n)
        memcpy(out, data, n);
}

/* Header and content of a whole entry. */
static int add_entry(const struct zip_writer *w, struct format_block *b, struct zip_record *r,
                     const void *data, size_t n, struct wp_error *err)
{
    size_t header;

    r->zip64 = n >= ZIP_MAX32;
    header = zip_local_size(r);
    if (buf_reserve(&b->packed, header + n) < 0)
        return error_nomem(err);
    r->at = b->packed.size;
    pack_content(w, b->codec, r, data, n, b->packed.data + r->at + header);
    zip_put_local(r, b->packed.data + r->at);
    b->packed.size += header + r->packed_size;
    return 0;
}

static int add_end(struct format_writer *base, struct format_block *b, const struct entry *e,
                   struct wp_error *err)
{
    struct zip_block *z = b->codec;
    const void *data = "";
    size_t n = 0;
    int r;

    if (!z->is_open) { /* its header is in an earlier block */
        z->ends = true;
        return 0;
    }
    if (e->type == ENTRY_SYMLINK && e->target) {
        data = e->target;
        n = strlen(e->target);
    } else if (e->type == ENTRY_FILE) {
        data = b->plain.data + z->content;
        n = b->plain.size - z->content;
    }
    r = add_entry(writer_of(base), b, &z->records[z->count - 1], data, n, err);
    z->is_open = false;
    b->plain.size = z->content; /* it is packed */
    return r;
}

/* The header of a file whose content goes on in the blocks that follow. */
static int begin_large(const struct zip_writer *w, struct format_block *b, struct zip_record *r,
                       struct wp_error *err)
{
    /* Who reads a pipe would not see where stored content ends. */
    r->method = w->level == 0 && w->can_patch ? ZIP_STORED : ZIP_DEFLATED;
    if (!w->can_patch)
        r->flags |= ZIP_HAS_DESCRIPTOR;
    /* Deflating may add to what cannot be deflated: some bytes in 64 KiB, and at the joints. */
    r->zip64 = r->size + r->size / 1024 + 65536 >= ZIP_MAX32;
    if (buf_reserve(&b->packed, zip_local_size(r)) < 0)
        return error_nomem(err);
    r->at = b->packed.size;
    zip_put_local(r, b->packed.data + r->at);
    b->packed.size += zip_local_size(r);
    return 0;
}

static int add_piece(const struct zip_writer *w, struct format_block *b, const void *data, size_t n,
                     struct wp_error *err)
{
    struct zip_block *z = b->codec;
    size_t before = b->packed.size;
    int r;

    z->has_piece = true;
    z->size = n;
    z->crc = crc_add(0, data, n);
    if (w->level == 0 && w->can_patch) {
        r = buf_add(&b->packed, data, n);
    } else {
        if (!z->joint)
            z->joint = joint_new(w->level);
        r = z->joint ? joint_deflate(z->joint, data, n, &b->packed) : -ENOMEM;
        if (r == 0 && z->ends)
            r = joint_end(&b->packed);
    }
    if (r < 0)
        return r == -ENOMEM ? error_nomem(err) : error_set(err, -r, NULL, "cannot compress");
    z->packed_size = b->packed.size - before;
    return 0;
}

static int seal(struct format_writer *base, struct format_block *b, struct wp_error *err)
{
    struct zip_writer *w = writer_of(base);
    struct zip_block *z = b->codec;
    int r;

    if (z->is_open && b->plain.size <= z->content) {
        drop_records(z, z->count - 1); /* it vanished before it was read */
        z->is_open = false;
        return 0;
    }
    if (z->is_open) {
        r = begin_large(w, b, &z->records[z->count - 1], err);
        return r < 0 ? r
                     : add_piece(w, b, b->plain.data + z->content, b->plain.size - z->content, err);
    }
    return b->plain.size || z->ends ? add_piece(w, b, b->plain.data, b->plain.size, err) : 0;
}

static void drop_block(struct format_block *b)
{
    struct zip_block *z = b->codec;

    buf_free(&b->plain);
    buf_free(&b->packed);
    if (!z)
        return;
    drop_records(z, 0);
    free(z->records);
    libdeflate_free_compressor(z->compressor);
    joint_free(z->joint);
    free(z);
    b->codec = NULL;
}

/* ---- On the job's thread ----------------------------------------------------------------- */

static int head(struct format_writer *base, struct format_block *b, struct wp_error *err)
{
    return begin_block(base, b, err); /* nothing stands before the first entry */
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
    struct zip_writer *w = writer_of(base);
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
    struct zip_writer *w = writer_of(base);

    if (!w->has_patch)
        return 0;
    w->has_patch = false;
    *p = (struct format_patch){w->patch_at, w->patch.data, w->patch.size};
    return 1;
}

static int tail(struct format_writer *base, struct format_block *b, uint64_t manifest_offset,
                struct wp_error *err)
{
    struct zip_writer *w = writer_of(base);
    int r = begin_block(base, b, err);

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
    struct zip_writer *w = writer_of(base);

    buf_free(&w->central);
    buf_free(&w->patch);
    free((char *)w->large.name);
    free(w->mark);
    free(w);
}

int zip_open_writer(struct format_writer **out, const struct format_write_options *o,
                    struct wp_error *err)
{
    static const struct format_writer_ops ops = {.begin_block = begin_block,
                                                 .add_header = add_header,
                                                 .add_end = add_end,
                                                 .seal = seal,
                                                 .drop_block = drop_block,
                                                 .head = head,
                                                 .written = written,
                                                 .patch = patch,
                                                 .tail = tail,
                                                 .free = writer_free};
    struct zip_writer *w;

    if (o->level != -1 && (o->level < ZIP_LEVEL_MIN || o->level > ZIP_LEVEL_MAX))
        return error_set(err, 0, NULL, "level %d is not one of zip's, which are %d to %d", o->level,
                         ZIP_LEVEL_MIN, ZIP_LEVEL_MAX);
    if (o->mark && strlen(o->mark) > ZIP_MAX16)
        return error_set(err, ENAMETOOLONG, NULL, "the manifest's name does not fit into a zip");
    w = calloc(1, sizeof(*w));
    if (!w)
        return error_nomem(err);
    w->base =
        (struct format_writer){.ops = &ops, .block_size = BLOCK_SIZE, .whole_size = WHOLE_SIZE};
    w->level = o->level == -1 ? LEVEL_DEFAULT : o->level;
    w->can_patch = o->can_patch;
    if (o->mark && !(w->mark = strdup(o->mark))) {
        writer_free(&w->base);
        return error_nomem(err);
    }
    *out = &w->base;
    return 0;
}
