#pragma once
/* What the extra fields of an entry say. */

#include "base/zip_directory.h"
#include "zip_archive.h"

/* Takes time, owner and the numbers that did not fit their places from C's extra fields into E,
 * where those of the record stand. False: they are malformed. */
bool zip_extra_take(struct zip_entry *e, const struct zip_central *c);
