#pragma once
/* What the writer and the reader of manifests agree on. */

#include <stdbool.h>
#include <stddef.h>

#define MANIFEST_FORMAT "warmpack-manifest"

enum {
    MANIFEST_VERSION = 1,
    STATE_VERSION = 1,
    /* Bytes of a line. Far more than the longest names need (4,096 bytes of which each may take
     * six in JSON); it bounds what one hostile line can make a JSON parser allocate. */
    MANIFEST_LINE_MAX = 1 << 20
};

/* Names of values, indexed by enum entry_type, enum manifest_cache_kind, enum wp_stamp_kind. */
struct manifest_names {
    const char *const *names;
    size_t count;
};
extern const struct manifest_names manifest_type_names, manifest_place_names, manifest_stamp_names;

/* The number of TEXT, or -1. */
int manifest_name_index(const struct manifest_names *n, const char *text);

/* A safe path without "." components, doubled slashes and a slash at its end: its only spelling,
 * without which sorting and the ban on duplicates would mean nothing. */
bool manifest_path_is_canonical(const char *path);
