#pragma once
/* The one interface between the jobs and the archive formats. lib declares it, formats/
 * implements it, cmd/ hands a job the format it found in the registry.
 *
 * Writing. The job groups entries into blocks of about `block_size` bytes. For each block a
 * pool thread calls begin_block, then add_header / (content is appended to block->plain by the
 * job) / add_end for each entry, then seal. Blocks do not know one another, so the bytes are
 * the same for any number of threads. The job's thread writes the sealed blocks in their order.
 * A file larger than a block is spread over several: the first has its header and its first
 * piece, the last its end.
 *
 * Reading. next() steps to an entry, data() hands out its content; both on the job's thread.
 * A format that can decompress in parallel does so behind this face. */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/entry.h"
#include "base/error.h"
#include "stream/pool.h"
#include "stream/source.h"

struct output;
struct manifest;

struct format_block {
    struct buf plain;  /* the uncompressed stream of this block; the job appends content here */
    struct buf packed; /* after seal: what is written (a codec that changes nothing swaps) */
    void *codec;       /* what the writer or its codec keeps with it (a compressor), reused */
    void (*free_codec)(void *codec); /* set with CODEC */
};
static inline void format_block_free(struct format_block *b)
{
    buf_free(&b->plain);
    buf_free(&b->packed);
    if (b->codec)
        b->free_codec(b->codec);
    b->codec = NULL;
}

struct format_write_options {
    int level;          /* compression level; -1: the format's default */
    bool one_member;    /* gzip: one member for the whole archive */
    const char *mark;   /* what the first header says: MANIFEST_MARK and the manifest's path */
    const char *first;  /* the path of the first entry that will be written */
    bool mark_in_first; /* tar: the mark stands in FIRST's header, for readers that refuse one that
                           is about all of an archive */
    uint64_t content;   /* bytes of content that will be written, about */
    bool can_patch;     /* what has been written can be changed: the output is a file */
    bool is_dir;        /* the archive becomes a directory */
    const struct buf *script; /* what is to stand before all entries: takes_script; NULL: nothing */
    const struct wp_image_options *image; /* what an image is to be like */
};

/* What has been packed, when all of it has been. */
struct format_packed {
    const struct manifest *manifest;
    int64_t newest;   /* seconds since the epoch: the newest time of an entry */
    uint64_t entries; /* of the tree */
};

/* Bytes to be changed in what has been written. */
struct format_patch {
    uint64_t offset;
    const void *data; /* the writer's, until its next call */
    size_t size;
};

struct format_writer {
    const struct format_writer_ops *ops;
    size_t block_size; /* bytes of plain stream at which the job closes a block */
    size_t whole_size; /* files up to this stay in one block; 0: up to a quarter of a block */
};

struct format_writer_ops {
    /* On pool threads, for different blocks at once. */
    int (*begin_block)(struct format_writer *w, struct format_block *b, struct wp_error *err);
    int (*add_header)(struct format_writer *w, struct format_block *b, const struct entry *e,
                      struct wp_error *err);
    int (*add_end)(struct format_writer *w, struct format_block *b, const struct entry *e,
                   struct wp_error *err); /* behind the last byte of e's content */
    int (*seal)(struct format_writer *w, struct format_block *b, struct wp_error *err);

    /* On the job's thread, in order. */
    int (*head)(struct format_writer *w, struct format_block *b,
                struct wp_error *err); /* fills b->packed with what stands before all entries */
    int (*written)(struct format_writer *w, struct format_block *b, uint64_t offset,
                   struct wp_error *err); /* b->packed goes to OFFSET of the archive; may patch
                                             it or note it (a central directory) */
    /* May be NULL. Asked with can_patch after a block has been written: 1 and *P; 0: nothing. */
    int (*patch)(struct format_writer *w, struct format_patch *p);
    int (*tail)(struct format_writer *w, struct format_block *b, uint64_t manifest_offset,
                struct wp_error *err); /* fills b->packed with the end of the archive.
                                          MANIFEST_OFFSET: where the manifest's block stands */
    /* May be NULL. Behind the tail: puts around what OUT holds the rest of what gets the archive's
     * name. */
    int (*wrap)(struct format_writer *w, struct output *out, const struct format_packed *packed,
                struct wp_error *err);
    void (*free)(struct format_writer *w);
};

/* What a caller knows who has read the manifest: the archive's entries, apart from the manifest
 * itself, bytewise by path, which is the order of archives of ours, and whose content he is going
 * to ask for. */
struct format_expected {
    const struct entry *entries; /* those that are `absent` are not in the archive; borrowed */
    const bool *wanted;          /* by number; borrowed */
    size_t count;
};

struct format_reader {
    const struct format_reader_ops *ops;
    char *mark;       /* after the first next(): the path of the manifest that the archive says
                         follows; NULL: none; the format's */
    bool is_rounded;  /* times are rounded and owners left out: where there is a manifest, they
                         are taken from there */
    bool has_program; /* zip: something stands before the archive, such as what unpacks it */
    const struct buf *script; /* that, where it is a script (#!) of no unusual size; else NULL;
                                 the format's */
    bool has_comment;         /* zip: one that is not ours */
    bool is_layer;            /* of an image, whose file or directory the caller has named */
    bool misled;              /* after a failure: the archive is not as was expected (`expect`) */
    uint64_t consumed;        /* bytes of the archive read so far, for progress */
};

struct format_reader_ops {
    /* The next entry, the reader's until the next call: 1; 0 at the end; negative errno. Names
     * are clean but not yet judged safe. A warning of the format goes to the report that the
     * reader was opened with. */
    int (*next)(struct format_reader *r, const struct entry **e, struct wp_error *err);
    /* The next run of the current entry's content, valid until the next call: 1; 0 at its end;
     * negative errno. OFFSET is where it stands in the file: a gap before it is zeros. */
    int (*data)(struct format_reader *r, const void **data, size_t *n, uint64_t *offset,
                struct wp_error *err);
    /* May be NULL. The chunk in which the run lies that data() gave last, kept for the caller
     * (chunk_drop), also when the reader is freed; NULL: it is lent only. */
    struct chunk *(*share)(struct format_reader *r);
    /* May be NULL. The content of all entries is going to be asked for: begin. */
    void (*expect_all)(struct format_reader *r);
    /* The manifest alone, without reading what stands before it, where the archive is seekable
     * and says where it lies: 1 with PATH (its name in the archive) and TEXT filled; 0 where
     * this cannot be done, and nothing was consumed; negative errno. Call before next(). */
    int (*manifest)(struct format_reader *r, struct buf *path, struct buf *text,
                    struct wp_error *err);
    /* May be NULL. Before the first next(): parts of the archive that hold no content which is
     * wanted are not read from now on, and their entries are given as they are expected. X lives as
     * long as the reader. 1; 0: this cannot be done; negative errno. */
    int (*expect)(struct format_reader *r, const struct format_expected *x, struct wp_error *err);
    /* With `expect`, may be NULL: what is not going to be read, *COUNT parts; the reader's. */
    const struct source_gap *(*left_out)(const struct format_reader *r, size_t *count);
    /* Of a reader that sets `misled`: back to the beginning, and nothing is expected any more. */
    int (*rewind)(struct format_reader *r, struct wp_error *err);
    void (*free)(struct format_reader *r);
};

/* Where the manifest lies in an archive of this format. */
enum format_home {
    FORMAT_HOME_TREE,  /* [TOP/].warmpack/ID */
    FORMAT_HOME_EGG,   /* EGG-INFO/warmpack/ID */
    FORMAT_HOME_WHEEL, /* NAME.dist-info/warmpack/ID */
    FORMAT_HOME_DIR,   /* .warmpack/ID: no archive is made, the directory itself gets it */
};

struct codec; /* of formats/ */

/* A format of the registry. Public as an opaque `struct wp_format`. */
struct wp_format {
    const char *name;            /* "tgz" */
    const char *const *suffixes; /* ".tgz", ".tar.gz", NULL */
    int min_level, max_level;    /* 0, 0: has no levels */
    bool writes;                 /* false: read only (bzip2, xz) */
    bool no_hardlinks;           /* further names of a file are packed as copies */
    bool no_symlinks;            /* refused */
    bool takes_script;           /* one may stand before the archive, which Python runs so */
    bool is_rounded;             /* its times are rounded; the manifest has the exact ones */
    bool is_wrapped;             /* is changed when all has been written: through a pipe, it goes
                                    into a file first */
    bool may_be_directory;       /* is a directory where its name does not end in ".tar" */
    enum format_home home;
    const struct codec *codec; /* of a tar: what formats/ compresses it by */
    int (*open_writer)(struct format_writer **out, const struct wp_format *f,
                       const struct format_write_options *o, struct wp_error *err);
};

/* What opening an archive for reading takes (formats_open_reader, which recognises the format by
 * content; the jobs are handed the reader). */
struct format_open_options {
    const char *name;  /* of the archive, for messages */
    struct pool *pool; /* for parallel decompression; outlives the reader */
    /* Outlives the reader. Once it says so, reading the archive fails with -EINTR. */
    const struct wp_context *context;
};
