#pragma once
/* --owner=NAME[:UID] and --group=NAME[:GID], as GNU tar understands them. */

#include "warmpack.h"

/* Fills OUT; *NAME is the memory of its name. Says what is wrong; returns 0 or the exit status. */
int owner_parse(const char *text, bool group, struct wp_owner *out, char **name);
