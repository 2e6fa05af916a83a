#pragma once
/* The JSON of an image that is made: configuration, manifest and index. */

#include "archive/format.h"
#include "base.h"

enum { OCI_TIME = 24 };

struct oci_made {
    const struct oci_base *base; /* NULL: the layer is all of it */
    const char *ref;
    const struct format_packed *packed;
    struct oci_platform platform;
    char created[OCI_TIME]; /* RFC 3339 */
    char layer[OCI_DIGEST]; /* of the layer as it lies in the layout */
    char plain[OCI_DIGEST]; /* of its tar */
    uint64_t size;          /* bytes of the layer */
};

/* All return new references; NULL: no memory. */
json_t *oci_describe_config(const struct oci_made *m);
json_t *oci_describe_manifest(const struct oci_made *m, const char *config, size_t size);
json_t *oci_describe_index(const struct oci_made *m, const char *manifest, size_t size);

/* The platforms of the code that was packed, each once. Allocated; NULL: no memory. */
struct oci_platform *oci_packed_platforms(const struct format_packed *packed, size_t *count);
/* SECONDS since the epoch. */
void oci_time_text(int64_t seconds, char out[OCI_TIME]);
