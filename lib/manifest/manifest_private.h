#pragma once
/* What the writer and the reader of manifests agree on, and the steps of reading. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/entry.h"
#include "base/texts.h"
#include "manifest/json_line.h"
#include "manifest/manifest.h"

#define MANIFEST_FORMAT "warmpack-manifest"

enum {
    MANIFEST_VERSION = 1,
    STATE_VERSION = 1,
    /* Bytes of a line. Far more than the longest names need (4,096 bytes of which each may take
     * six in JSON); it bounds what one hostile line can make a JSON parser allocate. */
    MANIFEST_LINE_MAX = 1 << 20
};

/* Names of values, indexed by enum entry_type, enum manifest_cache_kind, enum wp_stamp_kind. */
struct manifest_names {
    const char *const *names;
    size_t count;
};
extern const struct manifest_names manifest_type_names, manifest_place_names, manifest_stamp_names;

/* The number of TEXT, or -1. */
int manifest_name_index(const struct manifest_names *n, const char *text);

/* A safe path without "." components, doubled slashes and a slash at its end: its only spelling,
 * without which sorting and the ban on duplicates would mean nothing. */
bool manifest_path_is_canonical(const char *path);

/* ---- records.c: records, read from lines into a growing list */

/* Records of consecutive lines, in their order. Free with manifest_clear(&r->m). */
struct records {
    struct manifest m;  /* entries, caches, sets and indexes only; m.entries is the caller's */
    uint32_t first_set; /* number of the first set */
    size_t entry_room;  /* of m.entries, at least one for RECORDS_LEAST bytes of lines */
};

/* No entry's line is as short as this. */
enum { RECORDS_LEAST = 64 };

/* Takes the line of SIZE bytes at L->text in; L->object is parsed where it has to be. Each line of
 * a known kind adds one record; a line of unknown kind adds none. A record must come behind the
 * last one of its kind. 0 or negative errno. */
int records_add_line(struct records *r, struct json_line *l, size_t size);

/* The first line: fills creator, roots and env. */
int records_read_header(struct manifest *m, struct json_line *l);

/* ---- entry_line.c: the lines that nearly all of a manifest is made of, read without a tree of
 * JSON values */

/* Reads the SIZE bytes of LINE, with its newline, where they are an entry exactly as manifest_write
 * writes one with names in plain ASCII. False: they are anything else, right or wrong, which a real
 * JSON parser has to tell. The entry's texts are T's. BEFORE, or NULL: an entry whose texts are
 * T's, too; its owners' names are shared. */
bool entry_line_read(struct entry *e, const char *line, size_t size, const struct entry *before,
                     struct texts *t);

/* ---- read_text.c: the text that is being read. It is larger than the records that come of it, so
 * no more of it is held than has to be. */

struct read_text {
    const char *data; /* SIZE bytes; of a file only what has been loaded */
    size_t size;
    int fd;     /* of the file, borrowed; -1: all is in memory */
    bool given; /* what has been read need not stay */
};

/* FD, a file of SIZE bytes, maybe of somebody who changes it meanwhile: it is read, not mapped. 0
 * or -ENOMEM. */
int read_text_open(struct read_text *t, int fd, size_t size);
void read_text_close(struct read_text *t);

/* The N bytes from FROM are wanted now. 0 or negative errno (-ESTALE: the file is shorter now). */
int read_text_load(struct read_text *t, size_t from, size_t n);
/* They are not wanted any more. From any thread. */
void read_text_drop(const struct read_text *t, size_t from, size_t n);

/* ---- pieces.c: what the two halves of reading share, the frame (read.c) and the records */

struct pool;

struct reading {
    const char *name; /* of the manifest, for messages */
    struct read_text text;
    size_t body, end_line; /* offsets of the records and of the end line */
    size_t tail;           /* offset from which on the end has been loaded, to look for that line */
    struct piece *pieces;
    size_t piece_count;
    size_t lines;          /* in and before the pieces */
    struct entry *entries; /* each piece has room here for its own */
    size_t entry_room;     /* of that, what the pieces have */
    size_t most_ahead;     /* pieces */
    bool counts;           /* a wrong last line is to be told by its number */
    atomic_size_t unfinished;
};

/* The line at TEXT, with BEFORE others before it. */
struct json_line reading_line(const struct reading *r, const char *text, size_t before,
                              struct wp_error *err);
size_t reading_count_lines(const char *text, size_t size);
/* Fills ERR for what read_text_load returned. */
int reading_cannot_load(const struct reading *r, int error, struct wp_error *err);
void reading_clear(struct reading *r);

/* All between the header and the end line, and the digest of what stands before the end line, into
 * M. What is wrong with the records is told by pieces_join, after the digest has been compared. */
int pieces_read(struct manifest *m, struct reading *r, struct pool *pool, struct wp_error *err);
/* ---- signatures.c */
/* Adds what stands behind the records to SHA, which has all before, and keeps the signatures. */
struct sha256;
int signatures_read(struct manifest *m, struct reading *r, struct sha256 *sha,
                    struct wp_error *err);

/* ---- pieces.c again */
/* Moves the records into M. */
int pieces_join(struct manifest *m, struct reading *r, struct wp_error *err);
