#pragma once
/* What relocate.c and relocate_record.c share. */

#include <sys/stat.h>

#include "base/digest.h"
#include "base/path.h"
#include "relocate.h"
#include "relocate_text.h"

enum { LARGEST_RECORD = 64 << 20 };

enum kind { KIND_NONE, KIND_TEXT, KIND_SHELL, KIND_SCRIPT };

/* A file of the environment whose text is another now. */
struct rewritten {
    const struct entry *e; /* borrowed */
    char *path;            /* in the tree; owned */
    struct buf text;
    struct stat like;
    unsigned char sha256[SHA256_SIZE];
    int status; /* of the rewriting */
};

struct environment {
    const struct relocation *r;
    const char *dir; /* in the archive */
    struct relocate_paths *paths;
    size_t path_count;
    struct path_list kept; /* what PATHS points to */
    struct rewritten *files;
    size_t count;
};

/* ---- relocate.c */
enum kind relocate_kind_of(const struct environment *env, const struct entry *e);
/* 1: read; 0: it is not there, or no file; negative errno. */
int relocate_read(const struct relocation *r, const char *path, size_t most, struct buf *text,
                  struct stat *st);
/* May another file be renamed over the one at PATH? */
bool relocate_may_replace(const struct environment *env, const char *path);

/* ---- relocate_record.c */
bool relocate_is_record(const struct environment *env, const struct entry *e);
/* Gives the RECORD that E became the new digests of ENV's files. 0 or negative errno. */
int relocate_mend_record(struct environment *env, const struct entry *e);
/* Appends TEXT of the RECORD at PATH of the archive with the digests that its files were packed
 * with. The number of lines that are others now, or -ENOMEM. */
int relocate_record_as_packed(const struct environment *env, const char *path,
                              const struct buf *text, struct buf *out);
