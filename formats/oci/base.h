#pragma once
/* The image that another is made on. */

#include "image.h"
#include "warmpack.h"

struct oci_base {
    char *name; /* of the layout, as given; owned */
    struct oci_store store;
    struct oci_image image;
};

/* Opens O's base. Nothing of its layers is read yet. */
int oci_base_open(struct oci_base *out, const struct wp_image_options *o, struct wp_error *err);
void oci_base_close(struct oci_base *b);
