#pragma once
/* Where Numba looks for a source file's cache, and under which name.
 * Source: numba/core/caching.py, get_suitable_cache_subpath and the locators. */

#include <stdbool.h>
#include <sys/types.h>

#include "warmpack.h"

/* The path-hashed directory name of absolute directory DIR: basename + "_" + sha1 hex.
 * Allocated. NULL with errno EILSEQ where DIR is not UTF-8 (Numba raises there), ENOMEM. */
char *places_hash_name(const char *dir);

/* Is NAME of the form BASE_<40 lower-case hex>? Then *BASE is the length of BASE. */
bool places_is_hash_name(const char *name, size_t *base);

/* Who runs Python. */
struct places_user {
    uid_t uid;
    gid_t gid;
    bool has_group; /* the group was named, and is the only one */
    gid_t *groups;  /* owned */
    size_t group_count;
    char *home; /* owned */
    char *name; /* owned; NULL where the UID has no name */
};
/* NAME_OR_UID NULL: the caller (HOME from the environment first, as expanduser does). Behind it may
 * stand ":GROUP", a name or number. -ENOENT where there is no such user or group. A numeric UID
 * without an entry is taken, home "/". */
int places_user(struct places_user *out, const char *name_or_uid, struct wp_error *err);
void places_user_clear(struct places_user *u);

/* The user-wide root: $XDG_CACHE_HOME/numba (for the caller only; set and empty gives "numba"
 * under the working directory, as appdirs does) or HOME/.cache/numba. Allocated. NULL with errno:
 * ENOMEM, or that of a working directory that is gone, where HOME is beneath it. */
char *places_user_wide(const struct places_user *u, bool is_caller);

/* Could the user create a file in DIR, making missing directories on the way as Numba does?
 * Judged for U from modes and ownership (root: always, but for a read-only filesystem; the
 * caller: by access(2)). 0, or a positive errno that says why not (EACCES, ENOTDIR, EROFS). */
int places_writable(const char *dir, const struct places_user *u);

struct stat;
/* Could the user read a file that is like ST, once there? Judged as above, but for the caller, who
 * is told by opening it. */
bool places_readable(const struct stat *st, const struct places_user *u);
