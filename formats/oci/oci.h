#pragma once
/* What formats/oci offers to the registry. */

#include "archive/format.h"

/* Writes an OCI image layout: a directory, or a tar of one. */
int oci_open_writer(struct format_writer **out, const struct wp_format *f,
                    const struct format_write_options *o, struct wp_error *err);

/* Could a tar that starts with these bytes be one of a layout? Its first entry tells, or the second
 * where that is the directory that was packed as "."; SIZE should be enough for both. */
bool oci_may_begin(const unsigned char *start, size_t size);
/* The layer of warmpack's in the layout FD, a directory or the tar of one in a file, whose position
 * stays: 1 and *LAYER, a file to be closed; 0: there is no layout, or no such layer in it; negative
 * errno. */
int oci_find_layer(int fd, int *layer, const struct format_open_options *o, struct wp_error *err);
