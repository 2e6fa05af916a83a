#pragma once
/* The archive being written: under a temporary name until it is whole. */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"

struct output {
    int fd;
    bool direct;      /* standard output or a device: what is written cannot be taken back */
    char *name;       /* as given, for messages; owned */
    char *target;     /* where it goes: NAME with symlinks resolved; owned */
    char *base;       /* its last component; TARGET's */
    int dir;          /* the directory of TARGET; -1: DIRECT */
    char *temporary;  /* name in DIR; NULL: not linked into a directory yet; owned */
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
/* Starts again from nothing; -EBUSY for a direct output. */
int output_restart(struct output *o, struct wp_error *err);
/* Gives the archive its name. */
int output_commit(struct output *o, struct wp_error *err);
/* Without a commit the archive is discarded. */
void output_close(struct output *o);
