#pragma once
/* The records at the very end. */

#include "zip_directory.h"

struct zip_end {
    uint64_t count;     /* entries, as it says */
    uint64_t directory; /* where the central directory begins in the file */
    uint64_t size;      /* of it */
    uint64_t shift;     /* bytes that stand in front of the archive */
    bool zip64;
};

/* Fills E and A->mark. */
int zip_end_read(struct zip_archive *a, struct zip_end *e, struct wp_error *err);
