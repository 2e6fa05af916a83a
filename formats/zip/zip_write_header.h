#pragma once
/* The headers that the writer makes. */

#include <stdbool.h>

#include "base/entry.h"
#include "base/zip_format.h"

/* What the headers of one entry say. */
struct zip_record {
    uint64_t at;      /* of the local header: in its block's packed bytes, then in the archive */
    const char *name; /* as stored, NAME_SIZE bytes: directories end with a slash */
    uint16_t name_size;
    uint16_t method, flags;
    uint16_t time, date; /* DOS, local */
    uint32_t crc;
    uint64_t packed_size, size;
    uint32_t attributes; /* external: mode and type */
    int64_t mtime;       /* seconds */
    bool has_mtime;      /* it fits the extra field */
    bool zip64;          /* the local header has the long field */
};

/* Fills in what E says; NAME is what is stored. */
void zip_record_begin(struct zip_record *r, const struct entry *e, const char *name,
                      size_t name_size);

/* Bytes of the local header. */
size_t zip_local_size(const struct zip_record *r);
/* Writes it to OUT, which has room. With ZIP_HAS_DESCRIPTOR, checksum and sizes are left open. */
void zip_put_local(const struct zip_record *r, unsigned char *out);

/* The rest append: 0 or -ENOMEM. */
int zip_add_descriptor(const struct zip_record *r, struct buf *out);
int zip_add_central(const struct zip_record *r, struct buf *out);
/* The end: COUNT entries in SIZE bytes of central directory at OFFSET; COMMENT fits 16 bits. */
int zip_add_end(uint64_t count, uint64_t size, uint64_t offset, const char *comment,
                struct buf *out);
