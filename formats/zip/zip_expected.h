#pragma once
/* Which parts of an archive are not read where its manifest is known, and what is wanted of it. */

#include <stdbool.h>
#include <stddef.h>

#include "archive/format.h"
#include "zip_archive.h"

struct zip_expected {
    bool *is_left_out;       /* by number of the archive's entries; owned */
    struct source_gap *gaps; /* where these lie, in the order of the file; owned */
    size_t gap_count;
};

/* Plans reading A: 1; 0: all of it has to be; negative errno. Clear *OUT in any case. */
int zip_expected_make(struct zip_expected *out, const struct zip_archive *a,
                      const struct format_expected *x);
void zip_expected_clear(struct zip_expected *p);
