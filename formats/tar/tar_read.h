#pragma once
/* Reading tar: what tar_read.c (headers and entries), tar_read_map.c (sparse files) and
 * tar_read_end.c share. */

#include <stdbool.h>
#include <stdint.h>

#include "archive/format.h"
#include "sparse.h"
#include "tar.h"
#include "tar_entry.h"
#include "tar_plan.h"
#include "tar_stream.h"

/* Where something begins: in the tar, and in the archive that holds it packed. */
struct place {
    uint64_t plain, packed; /* SOURCE_NO_PLACE: not known, or not the beginning of a piece */
};

struct tar_reader {
    struct format_reader base;
    struct tar_stream in;
    char *name;                       /* of the archive */
    const struct wp_context *context; /* borrowed */
    const struct codec *codec;        /* NULL: none that points at a manifest */
    struct pool *pool;                /* borrowed */
    int fd;                           /* the archive, shared with the source; -1: unknown */
    bool is_raw;                      /* nothing is compressed */
    bool is_file; /* fd is a regular file that holds nothing before the archive */

    uint64_t begin;              /* where in the archive the stream begins */
    struct place place;          /* of the current entry, with its extended headers */
    bool has_manifest;           /* under the name that the mark gives it */
    struct place manifest_place; /* of the last one */
    bool says_place;             /* and its comment says where it begins: */
    uint64_t said_place;
    struct tar_plan plan; /* empty: everything is read */
    size_t planned;       /* entries of it that have been given */
    struct pax global;
    struct tar_member member;
    struct entry entry;
    uint64_t stored;   /* bytes of the entry's content still in the stream */
    unsigned padding;  /* behind them */
    uint64_t doubtful; /* bytes that follow in their place where no header does */
    uint64_t offset;   /* in the file, of the next byte of content */
    struct sparse_map map;
    bool sparse;
    size_t run;        /* of the map, the current one */
    uint64_t run_done; /* bytes of it handed out */
    size_t noted;      /* of in.pulls: base.consumed is of then */
    bool ended;
    int failed; /* negative errno: nothing more can be read */
};

/* ---- tar_read.c */

/* The error for something WHAT that is wrong with the archive, AT byte of the tar. */
int tar_damaged(const struct tar_reader *r, uint64_t at, const char *what, struct wp_error *err);
/* Puts a failure RC of the parts that know no archive into words. */
int tar_explain(const struct tar_reader *r, int rc, const char *what, struct wp_error *err);

/* Frees all that R has read, and what it reads from; its name stays. */
void tar_read_clear(struct tar_reader *r);

/* The comment of the manifest, which has been read, says where it begins, and it is there. */
bool tar_manifest_says_its_place(const struct tar_reader *r);

/* ---- tar_read_plan.c: format_reader_ops.expect and rewind, and what they lead to */

int tar_read_expect(struct format_reader *base, const struct format_expected *x,
                    struct wp_error *err);
const struct source_gap *tar_read_left_out(const struct format_reader *base, size_t *count);
int tar_read_rewind(struct format_reader *base, struct wp_error *err);
/* The next entry of the plan: 1, where it is given from there; 0, where it is to be read from here;
 * or negative errno. */
int tar_read_planned(struct tar_reader *r, struct wp_error *err);
/* It has been read: is it what was planned? 1 or -EBADMSG. */
int tar_read_check_planned(struct tar_reader *r, struct wp_error *err);

/* ---- tar_read_map.c */

/* Sparse files only: reads the map and sets the size that it has with its
 * holes. */
int tar_read_map(struct tar_reader *r, struct wp_error *err);

/* ---- tar_read_end.c */

/* The archive ends at the first block of zeros, which has been read, as for GNU tar; there should
 * be two. */
int tar_read_end(struct tar_reader *r, struct wp_error *err);
/* The archive ends without that, where an entry ends: some writers have always left it out. */
int tar_read_missing_end(struct tar_reader *r, struct wp_error *err);
