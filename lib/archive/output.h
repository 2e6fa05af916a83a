#pragma once
/* The archive being written: under a temporary name until it is whole. */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"

struct output {
    int fd;
    bool direct;     /* standard output or a device: what is written cannot be taken back */
    char *name;      /* as given, for messages; owned */
    char *target;    /* where it goes: NAME with symlinks resolved; owned */
    char *base;      /* its last component; TARGET's */
    int dir;         /* the directory of TARGET; -1: DIRECT */
    char *temporary; /* name in DIR; NULL: not linked into a directory yet; owned */
    bool is_dir;     /* it becomes a directory: output_dir.c */
    char *staged;  /* the directory in DIR that gets the archive's name; NULL: a file does; owned */
    int staged_fd; /* of it, which holds its lock; with STAGED alone */
    int pipe;      /* what the file goes to in the end: output_spool; with IS_SPOOLED alone */
    bool is_spooled;
    mode_t mode;      /* of a directory that exists; 0: there is none */
    bool replaces;    /* a file that has the archive's name */
    bool sync;        /* on the disk, content and name, when the commit returns */
    uint64_t written; /* bytes */
    const volatile sig_atomic_t *interrupted;
};

/* Opens for archive NAME ("-": standard output). Nothing is visible under NAME before
 * output_commit, but where NAME is a device, a FIFO or standard output. Once
 * CONTEXT says so, writing returns -EINTR. */
int output_open(struct output *o, const char *name, const struct wp_context *context,
                struct wp_error *err);
int output_write(struct output *o, const void *data, size_t n, struct wp_error *err);
/* Changes what has been written, at OFFSET; not in a direct output. */
int output_patch(struct output *o, uint64_t offset, const void *data, size_t n,
                 struct wp_error *err);
/* A new file, not one that replaces another, may be run by all who may read it. */
int output_let_run(struct output *o, struct wp_error *err);
/* Starts again from nothing; -EBUSY for a direct output. */
int output_restart(struct output *o, struct wp_error *err);
/* What is written to O, which is direct, goes into a file until the commit: it may be changed. */
int output_spool(struct output *o, struct wp_error *err);
/* Gives the archive its name. */
int output_commit(struct output *o, struct wp_error *err);
/* Without a commit the archive is discarded. */
void output_close(struct output *o);

/* ---- output_dir.c: an archive that is a directory */

/* As output_open, for a directory NAME, which must be empty where it exists. What is written is one
 * of its files, which output_dir_take names. */
int output_dir_open(struct output *o, const char *name, const struct wp_context *context,
                    struct wp_error *err);
/* Makes the directory under a temporary name, as o->staged, with DIRS in it (parents first; ends
 * with NULL). */
int output_dir_begin(struct output *o, const char *const *dirs, struct wp_error *err);
/* What has been written becomes PATH in it. */
int output_dir_take(struct output *o, const char *path, struct wp_error *err);
/* A new file PATH in it, to be closed by output_dir_close. */
int output_dir_create(struct output *o, const char *path, struct wp_error *err);
/* Closes FD, taken over, when PATH is whole. */
int output_dir_close(struct output *o, int fd, const char *path, struct wp_error *err);
/* Private to output.c and output_dir.c. */
int output_begin(struct output *o, mode_t mode, struct wp_error *err);
int output_sync_fd(const struct output *o, int fd, struct wp_error *err);
int output_sync_parent(const struct output *o, struct wp_error *err);
char *output_prefix(const struct output *o);
int output_dir_commit(struct output *o, struct wp_error *err);
void output_dir_drop(struct output *o);
