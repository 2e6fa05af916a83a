#pragma once
/* Writing the files of an archive: what files.c (small ones, many to a job) and
 * large.c (large ones, in pieces) share. The reader's thread only hands over; creating,
 * writing and digesting happen on the pool. Content that the reader can share is written from
 * where it was unpacked to, the rest is copied once. */

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "job.h"
#include "stream/chunk.h"
#include "stream/pool.h"

enum {
    PIECE = 1 << 20,   /* bytes of a job */
    MOST_FILES = 64,   /* in one job: creating a file costs about as much as writing 16 KiB */
    MOST_CHUNKS = 2,   /* that one job keeps: a hostile archive has few bytes in each */
    SHARED = 32 << 10, /* bytes from which on a run of a large file is not copied */
};

struct large; /* a file that is written in pieces; large.c */

struct small {
    struct unpacked *item;
    const unsigned char *shared; /* its content, in a chunk that the job keeps; NULL: copied */
    size_t at;                   /* where it was copied to: in the job's buffer */
};

struct work {
    struct pool_job job;
    struct unpack_files *f;
    struct work *next_free;
    struct buf copied;
    struct chunk *chunks[MOST_CHUNKS]; /* kept while the job is not done */
    size_t chunk_count;

    struct small files[MOST_FILES]; /* where LARGE is NULL */
    size_t count;
    size_t bytes; /* of all of them */

    struct large *large;
    const unsigned char *shared; /* the piece, SHARED_SIZE bytes; NULL: it is in COPIED */
    size_t shared_size;
    uint64_t offset; /* of the piece, in the file */
    bool last;
};

struct unpack_files {
    struct unpack *unpack;
    struct pool *pool;
    struct sha256_many *digests; /* of small files; owned; NULL: no digests are wanted */
    struct work *works;          /* owned */
    size_t work_count;
    struct large *larges; /* owned; freed by the reader's thread once done */
    struct work *filling; /* the job being filled with small files */
    pthread_mutex_t lock; /* guards what follows */
    struct work *free_list;
    size_t free_count;
    int status; /* of the first failure */
    struct wp_error why;
    atomic_bool failed;
};

/* ---- files.c */

/* The first failure of all jobs stops the others. */
void unpack_files_fail(struct unpack_files *f, int status, const struct wp_error *why);
int unpack_files_status(struct unpack_files *f, struct wp_error *err);
/* An empty job. Works for the pool until one is free. */
struct work *unpack_work_take(struct unpack_files *f);
/* After a job has been submitted. One thread does it at once, while its content is in the cache,
 * and what that lies in can be used for what comes next. */
void unpack_work_begun(struct unpack_files *f);
/* Makes W keep C (which it takes over). False: it keeps as many as it may; C stays the caller's. */
bool unpack_work_keep(struct work *w, struct chunk *c);

/* ---- large.c */

int unpack_large_add(struct unpack_files *f, struct unpacked *item, struct wp_error *err);
void unpack_large_run(struct work *w);
/* Frees the large files that are done. */
void unpack_larges_free(struct unpack_files *f);
