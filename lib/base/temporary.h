#pragma once
/* Files under a temporary name until they take the place of another. Who makes one holds its lock
 * until then, so that a later run can tell what a killed one has left. */

#include <stdbool.h>
#include <sys/types.h>

enum { TEMPORARY_DIGITS = 16 /* hex digits behind the prefix */ };

/* PREFIX and digits: a name that nobody else uses. Allocated; NULL: no memory, or no digits. */
char *temporary_name(const char *prefix);
/* Makes a file in directory DIR, whose name begins with PREFIX and is the caller's in *NAME. A
 * descriptor for reading and writing that holds its lock, or negative errno. */
int temporary_make(int dir, const char *prefix, mode_t mode, char **name);
/* Gives the nameless file FD such a name in DIR, and takes its lock. 0 or negative errno. */
int temporary_link(int dir, const char *prefix, int fd, char **name);
/* Closes FD, and renames NAME in DIR to FINAL, locked until then. On failure NAME is removed. */
int temporary_rename(int dir, char *name, int *fd, const char *final);

/* Is NAME PREFIX and digits? */
bool temporary_is(const char *name, const char *prefix);
/* Removes NAME in DIR, and the file that has TAIL (or NULL) behind that name, where a dead run of
 * this user has made it. What has a TAIL takes the place of another file, to whose owner root gives
 * it: that of anybody goes for root. 0; negative errno: it may still be there. */
int temporary_remove_dead(int dir, const char *name, const char *tail);
/* Likewise all such names in DIR, also behind one that stays; the first error. */
int temporary_sweep(int dir, const char *prefix, const char *tail);
