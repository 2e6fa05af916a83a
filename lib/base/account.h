#pragma once
/* Users and groups, by name or by number. The system is asked, with all the sources that
 * nsswitch.conf names; a program linked statically (WARMPACK_STATIC) reads /etc/passwd and
 * /etc/group itself, since glibc would load the shared libraries of a glibc that may be another. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct account {
    char *name;
    char *home; /* of a group: NULL */
    id_t id;
    gid_t gid; /* of a user: the first group */
};

/* Looks up the user, or with GROUP the group, of that NAME, or of that ID where NAME is NULL: 1, 0
 * where there is none, or negative errno. OUT is to be cleared in any case. */
int account_find(struct account *out, bool group, const char *name, id_t id);
void account_clear(struct account *a);

/* The numbers of all groups of user NAME, whose first group is GID: *LIST is allocated.
 * 0 or negative errno. */
int account_groups(const char *name, gid_t gid, gid_t **list, size_t *count);

/* The same from files in the format of passwd(5) and group(5). A file that is not there has no
 * entries. */
int account_file_find(const char *path, struct account *out, bool group, const char *name, id_t id);
int account_file_groups(const char *path, const char *name, gid_t gid, gid_t **list, size_t *count);

/* Private to account.c and account_file.c. What a record says: 1 or -ENOMEM. */
struct passwd;
struct group;
int account_of_user(struct account *out, const struct passwd *p);
int account_of_group(struct account *out, const struct group *g);
