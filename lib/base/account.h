#pragma once
/* Users and groups, by name or by number. The system is asked, with all the sources that
 * nsswitch.conf names; a program linked statically (WARMPACK_STATIC) reads /etc/passwd and
 * /etc/group itself, since glibc would load the shared libraries of a glibc that may be another. */

#include <stddef.h>
#include <sys/types.h>

struct account {
    char *name;
    char *home; /* of a group: NULL */
    id_t id;
    gid_t gid; /* of a user: the first group */
};

/* These look up NAME, or ID where NAME is NULL, and return 1, 0 where there is none, or negative
 * errno. OUT is to be cleared in any case. */
int account_user(struct account *out, const char *name, uid_t id);
int account_group(struct account *out, const char *name, gid_t id);
void account_clear(struct account *a);

/* The numbers of all groups of user NAME, whose first group is GID: *LIST is allocated.
 * 0 or negative errno. */
int account_groups(const char *name, gid_t gid, gid_t **list, size_t *count);

/* The same from files in the format of passwd(5) and group(5). A file that is not there has no
 * entries. */
int account_file_user(const char *passwd, struct account *out, const char *name, uid_t id);
int account_file_group(const char *group, struct account *out, const char *name, gid_t id);
int account_file_groups(const char *group, const char *name, gid_t gid, gid_t **list,
                        size_t *count);
