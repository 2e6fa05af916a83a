#pragma once
/* Zstandard frames (RFC 8878): what reading and writing share. */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/little_endian.h"
#include "pieces.h"

#define FRAME_MAGIC 0xfd2fb528u
/* Sixteen magic numbers begin frames that decoders skip; the last hexadecimal digit is free. */
#define SKIPPABLE_MAGIC 0x184d2a50u
#define SKIPPABLE_MASK 0xfffffff0u

static inline bool is_skippable(uint32_t magic)
{
    return (magic & SKIPPABLE_MASK) == SKIPPABLE_MAGIC;
}

extern const struct piece_ops zstd_pieces;
int zstd_measure(int fd, uint64_t at, uint64_t *size, uint64_t *plain); /* codec.measure */

/* Any zstd data as a stream; see struct piece_ops. */
void *zstd_stream_new(struct input *in, bool had_pieces);
const uint64_t *zstd_stream_place(const void *stream);
int zstd_stream_fill(void *stream, unsigned char *out, size_t room, size_t *n, const char **what);
void zstd_stream_free(void *stream);
