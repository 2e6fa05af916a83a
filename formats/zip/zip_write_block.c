/* Makes the blocks of a zip archive. One holds whole entries, deflated as they end, so that their
 * sizes stand in the local header. A file that is spread over several blocks is deflated piece by
 * piece. */

#include <errno.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "codec/crc.h"
#include "codec/open_deflate.h"
#include "zip_write.h"

enum { LONGEST_NAME = 65534 }; /* and a directory's slash */

static void drop_records(struct zip_block *z, size_t from)
{
    for (size_t i = from; i < z->count; i++)
        free((char *)z->records[i].name);
    z->count = from;
}

static void free_block(void *codec)
{
    struct zip_block *z = codec;

    drop_records(z, 0);
    free(z->records);
    libdeflate_free_compressor(z->compressor);
    open_deflate_free(z->deflate);
    free(z);
}

int zip_block_begin(struct format_writer *base, struct format_block *b, struct wp_error *err)
{
    struct zip_block *z = b->codec;

    buf_clear(&b->plain);
    buf_clear(&b->packed);
    b->free_codec = free_block;
    if (!z)
        z = b->codec = calloc(1, sizeof(*z));
    if (!z)
        return error_nomem(err);
    drop_records(z, 0);
    z->is_open = z->has_piece = z->ends = false;
    if (!z->compressor)
        z->compressor = libdeflate_alloc_compressor(zip_writer_of(base)->level);
    return z->compressor ? 0 : error_nomem(err);
}

static char *stored_name(const struct entry *e)
{
    char *name = NULL;

    if (e->type != ENTRY_DIR)
        return strdup(e->path);
    return asprintf(&name, "%s/", e->path) < 0 ? NULL : name;
}

int zip_block_add_header(struct format_writer *base, struct format_block *b, const struct entry *e,
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
    if (array_grow(z->records, z->count) < 0 || !(name = stored_name(e)))
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

int zip_block_add_end(struct format_writer *base, struct format_block *b, const struct entry *e,
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
    r = add_entry(zip_writer_of(base), b, &z->records[z->count - 1], data, n, err);
    z->is_open = false;
    b->plain.size = z->content; /* it is packed */
    return r;
}

/* The header of a file whose content goes on in the blocks that follow. */
static int begin_large(const struct zip_writer *w, struct format_block *b, struct zip_record *r,
                       struct wp_error *err)
{
    /* Whoever reads a pipe would not see where stored content ends. */
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
        if (!z->deflate)
            z->deflate = open_deflate_new(w->level);
        r = z->deflate ? open_deflate_add(z->deflate, data, n, &b->packed) : -ENOMEM;
        if (r == 0 && z->ends)
            r = open_deflate_end(&b->packed);
    }
    if (r < 0)
        return r == -ENOMEM ? error_nomem(err) : error_set(err, -r, NULL, "cannot compress");
    z->packed_size = b->packed.size - before;
    return 0;
}

int zip_block_seal(struct format_writer *base, struct format_block *b, struct wp_error *err)
{
    struct zip_writer *w = zip_writer_of(base);
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
