#pragma once
/* The text of a manifest that is being read. It is larger than the records that come of it, so no
 * more of it is held than has to be. */

#include <stdbool.h>
#include <stddef.h>

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
