#pragma once
/* Records of a manifest, read from its lines into a growing list. */

#include "manifest/json_read.h"
#include "manifest/manifest.h"

/* Records of consecutive lines, in their order. Free with manifest_clear(&r->m). */
struct records {
    struct manifest m; /* entries, caches and indexes only */
    size_t entry_room, cache_room, index_room;
};

/* Each line of LINE's kind adds one record; a line of unknown kind adds none. A record must come
 * behind the last one of its kind. 0 or negative errno. */
int records_add_line(struct records *r, const struct json_line *l);

/* The first line: fills creator, roots and env. */
int records_read_header(struct manifest *m, const struct json_line *l);
