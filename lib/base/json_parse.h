#pragma once
/* Parsing JSON, where a lack of memory is told from anything else. */

#include <jansson.h>
#include <stddef.h>

/* As json_loadb(3). -ENOMEM, with *OUT NULL, where any allocation has failed: jansson goes on
 * without some of its own, and returns other texts than were given. Else 0, with *OUT NULL where
 * the text is no JSON, which WRONG (may be NULL) describes. */
int json_parse(json_t **out, const char *text, size_t size, size_t flags, json_error_t *wrong);
/* A copy of the text that is member NAME of O; NULL where that is none. 0 or -ENOMEM. */
int json_copy_text(char **out, const json_t *o, const char *name);
