#pragma once
/* The images of a layout: its index and those in it, manifests, configurations. */

#include <jansson.h>

#include "platform.h"
#include "store.h"

#define OCI_MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX_TYPE "application/vnd.oci.image.index.v1+json"
#define OCI_CONFIG_TYPE "application/vnd.oci.image.config.v1+json"
#define OCI_LAYER_TYPE "application/vnd.oci.image.layer.v1.tar"
#define OCI_LAYER_GZIP_TYPE OCI_LAYER_TYPE "+gzip"
#define OCI_REF_NAME "org.opencontainers.image.ref.name"

/* A manifest that an index names. */
struct oci_named {
    char *digest; /* owned */
    uint64_t size;
    struct oci_platform platform;
    bool has_platform;
};
struct oci_names {
    struct oci_named *items; /* owned; each digest once */
    size_t count;
};
/* All manifests of the layout that are called REF, or any (NULL). What has no content for a
 * system, such as an attestation, is left out. */
int oci_names_read(struct oci_names *out, const struct oci_store *s, const char *ref,
                   struct wp_error *err);
void oci_names_clear(struct oci_names *n);

struct oci_image {
    char *digest;                 /* of its manifest; owned */
    json_t *manifest;             /* owned */
    json_t *config;               /* owned; NULL: not asked for */
    struct oci_platform platform; /* with config */
};
/* The image that NAMED names. WITH_CONFIG: and what its configuration says of its layers fits.
 * -EMEDIUMTYPE: it is something else, such as a signature; -ENOENT: it is not in the layout. */
int oci_image_read(struct oci_image *out, const struct oci_store *s, const struct oci_named *named,
                   bool with_config, struct wp_error *err);
void oci_image_clear(struct oci_image *i);
/* Its layers, an array of descriptors with a digest and a size that can be asked for. */
json_t *oci_image_layers(const struct oci_image *i);

/* Members of a descriptor that was read. */
const char *oci_digest(const json_t *descriptor);
uint64_t oci_size(const json_t *descriptor);
/* OCI's name for the type of a layer, which may have that of Docker's; NULL: it is no layer. */
const char *oci_layer_type(const json_t *descriptor);
