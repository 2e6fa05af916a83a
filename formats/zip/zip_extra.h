#pragma once
/* What the extra fields of an entry say. */

#include "base/zip_directory.h"
#include "zip_archive.h"

struct zip_text {
    const unsigned char *data; /* borrowed; NULL: there is none */
    size_t size;
};

/* Takes time, owner and the numbers that did not fit their places from C's extra fields into E,
 * where those of the record stand. False: they are malformed.
 * *UNICODE: the name in Info-ZIP's Unicode Path field, where that belongs to the record's. */
bool zip_extra_take(struct zip_entry *e, const struct zip_central *c, struct zip_text *unicode);
