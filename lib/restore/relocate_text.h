#pragma once
/* Texts with an environment's old path in them. */

#include "base/buf.h"

/* An absolute path, and the one that takes its place. */
struct relocate_paths {
    const char *from, *to;
};

/* Appends TEXT of N bytes with TO wherever FROM stands as a whole path or begins one. The number
 * replaced, or -ENOMEM. */
int relocate_all(const struct relocate_paths *p, const char *text, size_t n, struct buf *out);
/* Likewise in a text for a shell, where a word that needs quotes gets them, and loses them where it
 * no longer does. -EINVAL: no quotes will do. */
int relocate_shell(const struct relocate_paths *p, const char *text, size_t n, struct buf *out);
/* Likewise in the first lines alone, by which a script's interpreter is found: "#!PATH", or for
 * long paths and those with spaces, as pip and uv write them, "#!/bin/sh" and "'''exec' PATH". Is
 * the new path too long for the first form, or of spaces, the second is written. -EINVAL: the new
 * path cannot be written in either. */
int relocate_script(const struct relocate_paths *p, const char *text, size_t n, struct buf *out);
/* Appends a script of the second form in the first one: 1; 0: it is none; -ENOMEM. */
int relocate_shorten(const char *text, size_t n, struct buf *out);
