#pragma once
/* What the halves of the writer share: zip_write_block.c makes blocks, on pool threads; zip_write.c
 * knows their order, on the job's thread. */

#include "archive/format.h"
#include "zip_write_header.h"

struct libdeflate_compressor;

/* What a block has in it, kept from block to block. */
struct zip_block {
    struct libdeflate_compressor *compressor;
    struct open_deflate *deflate; /* for pieces */
    struct zip_record *records;   /* owned, as are their names */
    size_t count;
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
    const struct buf *script; /* stands before the first entry; NULL: nothing */
    struct buf central;       /* the directory so far */
    uint64_t count;           /* entries in it */
    uint64_t end;             /* of what has been written */
    struct zip_record large;  /* being written in pieces; name owned, NULL: none */
    struct buf patch;         /* its header as it must be */
    uint64_t patch_at;
    bool has_patch;
};

static inline struct zip_writer *zip_writer_of(struct format_writer *w)
{
    return (struct zip_writer *)w;
}

/* As struct format_writer_ops has them. */
int zip_block_begin(struct format_writer *base, struct format_block *b, struct wp_error *err);
int zip_block_add_header(struct format_writer *base, struct format_block *b, const struct entry *e,
                         struct wp_error *err);
int zip_block_add_end(struct format_writer *base, struct format_block *b, const struct entry *e,
                      struct wp_error *err);
int zip_block_seal(struct format_writer *base, struct format_block *b, struct wp_error *err);
