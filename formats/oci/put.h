#pragma once
/* Puts the files of a layout where they belong: into a directory, or into a tar. */

#include <jansson.h>

#include "archive/output.h"
#include "describe.h"

/* Bytes of a tar before the first byte of the layer: headers of its directories, and its own. */
enum { OCI_LAYER_AT = 3 * 512 };

struct oci_put {
    struct output *out;
    json_t *known; /* digests of the blobs that are there, as keys; owned */
    int64_t time;  /* of all in a tar */
};

/* Begins with the layer MADE->layer, which OUT holds. */
int oci_put_begin(struct oci_put *p, struct output *out, const struct oci_made *made, int64_t time,
                  struct wp_error *err);
/* A blob of the text of JSON, whose digest and size are told. */
int oci_put_json(struct oci_put *p, const json_t *json, char digest[OCI_DIGEST], size_t *size,
                 struct wp_error *err);
/* All layers of the base, as they are. */
int oci_put_base(struct oci_put *p, const struct oci_base *base, struct wp_error *err);
/* The file PATH, and no more. */
int oci_put_file(struct oci_put *p, const char *path, const json_t *json, struct wp_error *err);
/* The end of a tar. */
int oci_put_end(struct oci_put *p, const struct oci_made *made, struct wp_error *err);
void oci_put_clear(struct oci_put *p);
