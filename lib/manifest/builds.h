#pragma once
/* What a manifest says of an archive that was merged: the builds, and which of them each data file
 * came from. */

#include "manifest/json_line.h"
#include "manifest/manifest.h"

/* The numbers of the bits, as the array "cpus". */
void builds_write_cpus(struct json_writer *w, uint32_t cpus);
/* "cpus": numbers of the header's, as bits. 1; 0 where L has none; negative errno. */
int builds_read_cpus(struct json_line *l, uint32_t *cpus);

/* The header's member "builds". */
void builds_write(struct json_writer *w, const struct manifest *m);
/* Fills M->builds, where L has the member. */
int builds_read(struct json_line *l, struct manifest *m);
/* The same of an index's line. */
int builds_read_index(struct json_line *l, struct manifest_index *i);
