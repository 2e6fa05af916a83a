#pragma once
/* What walk.c lends to walk_add.c: the directories that names of items are relative to. */

#include "walk.h"

/* Adds a root; takes FD and NAME (NULL: no memory) over, also on failure. Returns its index. */
int walk_root_add(struct walk *w, int fd, char *name, struct wp_error *err);
/* openat(2) through symlinks, of names of any length; "" is AT itself. */
int walk_root_follow(int at, const char *name, int flags);
/* Opens NAME beneath a root, through symlinks only with FOLLOW. */
int walk_root_open(const struct walk *w, unsigned root, const char *name, bool follow, int flags);
