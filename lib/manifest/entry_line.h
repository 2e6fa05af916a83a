#pragma once
/* The lines that nearly all of a manifest is made of, read without a tree of JSON values. */

#include <stdbool.h>
#include <stddef.h>

#include "base/entry.h"
#include "base/texts.h"

/* Reads the SIZE bytes of LINE, with its newline, where they are an entry exactly as manifest_write
 * writes one with names in plain ASCII. False: they are anything else, right or wrong, which a real
 * JSON parser has to tell. The entry's texts are T's. BEFORE, or NULL: an entry whose texts are
 * T's, too; its owners' names are shared. */
bool entry_line_read(struct entry *e, const char *line, size_t size, const struct entry *before,
                     struct texts *t);
