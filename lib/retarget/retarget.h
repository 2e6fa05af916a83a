#pragma once
/* Making code that was compiled for another CPU load here: the CPU part of its keys becomes that
 * of who will run it, where that has every feature the code needs. Nothing else is changed, and an
 * index as it was is kept in state.jsonl. */

#include <sys/stat.h>

#include "base/buf.h"
#include "manifest/manifest.h"
#include "numba/features.h"
#include "warmpack.h"

/* Who will run the code. */
struct retarget_who {
    char *name;            /* as given: an interpreter, or a probe's file; owned */
    struct wp_probe probe; /* owned */
    struct features have;  /* what the machine has and its Numba does not deny */
};
/* NAME: an interpreter, which is asked, or the file of a probe; "here" is the python3 in $PATH.
 * Clear in any case. -EINVAL: it says nothing of Numba or of the machine. */
int retarget_who_ask(struct retarget_who *who, const struct wp_context *context, const char *name,
                     struct wp_error *err);
void retarget_who_clear(struct retarget_who *who);

/* An index that was valid when packed and belongs to what its source is now. */
struct retarget_index {
    int fd;               /* directory below which it lies; borrowed */
    const char *path;     /* from there; borrowed */
    const char *shown;    /* for messages; borrowed */
    const char *archived; /* its path in the archive; borrowed */
    bool has_source;      /* what follows of its source is known */
    struct timespec mtime;
    uint64_t size;
    const unsigned char *sha256; /* or NULL */
    bool is_loaded;              /* it could be read, and fits its source */
    struct stat st;              /* when it was read */
    struct buf text;             /* what it becomes; empty: it stays as it is; owned */
    char **gone;                 /* paths of data files that it names no longer; owned */
    size_t gone_count;
};

struct retarget_job {
    const struct wp_context *context;
    const struct retarget_who *who; /* NULL: undo */
    const struct manifest *m;
    const char *name;               /* of the manifest, for messages */
    struct retarget_index *indexes; /* texts are owned */
    size_t count;
    const struct buf *state; /* state.jsonl as it is */
    bool dry_run;
    bool prune; /* overloads that do not load there go, with their data files */
    struct wp_retarget_result *result;
    /* Replaces state.jsonl by TEXT. */
    int (*put_state)(void *ctx, const struct buf *text, struct wp_error *err);
    void *ctx;
};
/* Retargets the indexes of one tree. state.jsonl is written before the first of them, or after the
 * last where they become what they were: who is killed leaves what the next run completes. */
int retarget_run(struct retarget_job *job, struct wp_error *err);
