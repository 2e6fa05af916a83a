#pragma once
/* What formats/tar offers to the registry. */

#include "archive/format.h"
#include "codec/codec.h"

/* Writes a pax archive, compressed by CODEC. */
int tar_open_writer(struct format_writer **out, const struct codec *codec,
                    const struct format_write_options *o, struct wp_error *err);

struct tar_input {
    struct source *plain;      /* the decompressed stream */
    const struct codec *codec; /* what decompresses it; NULL: something that has no pointer */
    int fd;                    /* the archive itself, for its manifest and position; -1: unknown */
    bool is_file;              /* fd is a regular file and the archive begins at its first byte */
    const char *mark;          /* the end alone of an archive with this mark; else NULL; borrowed */
    uint64_t offset;           /* of such an end in the archive */
    bool is_raw;               /* nothing is compressed: `plain` reads on from where fd stands */
};

/* Reads tar in all its forms: v7, ustar, pax, GNU with its long names and sparse files. Takes
 * IN->plain and IN->fd over, also on failure. */
int tar_open_reader(struct format_reader **out, const struct tar_input *in,
                    const struct format_open_options *o, struct wp_error *err);

/* Decompresses bzip2 or xz, whichever BELOW holds (taken over, also on failure). */
int tar_filter_source(struct source **out, struct source *below, const char *name,
                      struct wp_error *err);
