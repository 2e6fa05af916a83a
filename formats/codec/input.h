#pragma once
/* The packed bytes of an archive, buffered, with what was read too far given back. One thread at
 * a time. */

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

enum {
    INPUT_CHUNK = 256 * 1024,
    INPUT_LAST = 64, /* bytes: what may point at a manifest is shorter */
};

struct input {
    int fd;                         /* owned */
    struct buf front;               /* bytes given back: they come first */
    size_t front_pos;               /* of them, already taken */
    unsigned char *data;            /* INPUT_CHUNK bytes, owned */
    size_t pos, end;                /* what is in use of DATA */
    uint64_t total;                 /* bytes read so far, from FD and as PREFIX */
    unsigned char last[INPUT_LAST]; /* the last ones, as far as there are so many */
    int ended; /* 0; 1: the end was seen; negative errno: reading failed. Stays. */
    const volatile sig_atomic_t
        *interrupted; /* reading fails with -EINTR once it is set; or NULL */
};

/* Takes FD over, also on failure; copies PREFIX, which comes first. 0 or negative errno. */
int input_init(struct input *in, int fd, const void *prefix, size_t prefix_size);
void input_free(struct input *in);

/* The bytes that are at hand, at least one: their number; 0 at the end; negative errno. Nothing is
 * consumed before input_skip, and they stay valid until the next other call. */
ssize_t input_look(struct input *in, const unsigned char **data);
/* How many bytes have been taken: where the next one stands in the archive. */
uint64_t input_position(const struct input *in);
void input_skip(struct input *in, size_t n); /* N: at most what input_look said */
/* Goes on at OFFSET of the archive, a file, which must not lie before. 0 or negative errno. */
int input_seek(struct input *in, uint64_t offset);

/* Appends N bytes to TO: 1; 0 where the end came first (what there was is appended); negative
 * errno. */
int input_take(struct input *in, struct buf *to, size_t n);

/* Puts BYTES in front of everything that is still to come. Takes them over (BYTES is empty
 * afterwards). 0 or -ENOMEM. */
int input_give_back(struct input *in, struct buf *bytes);

/* Consumes everything: 1 if it was zeros, as tapes pad archives with; 0 at the first byte that is
 * not; negative errno. */
int input_only_zeros(struct input *in);
