#pragma once
/* A directory of this process alone, in $TMPDIR or /tmp. */

/* Makes one. Says what is wrong; returns 0 or the exit status. *OUT: its path, allocated. */
int scratch_make(char **out);
/* Removes it with all that is in it, and frees DIR, which may be NULL. */
void scratch_remove(char *dir);
