#pragma once
/* Records of a manifest, read from its lines into a growing list. */

#include "manifest/json_read.h"
#include "manifest/manifest.h"

/* Records of consecutive lines, in their order. Free with manifest_clear(&r->m). */
struct records {
    struct manifest m;  /* entries, caches, sets and indexes only; m.entries is the caller's */
    uint32_t first_set; /* number of the first set */
    size_t entry_room;  /* of m.entries, at least one for RECORDS_LEAST bytes of lines */
};

/* No entry's line is as short as this. */
enum { RECORDS_LEAST = 64 };

/* Takes the line of SIZE bytes at L->text in; L->object is parsed where it has to be. Each line of
 * a known kind adds one record; a line of unknown kind adds none. A record must come behind the
 * last one of its kind. 0 or negative errno. */
int records_add_line(struct records *r, struct json_line *l, size_t size);

/* The first line: fills creator, roots and env. */
int records_read_header(struct manifest *m, const struct json_line *l);
