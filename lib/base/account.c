/* Looks up users and groups by name or number. */

#include "account.h"
#include "base/error.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "warmpack.h"

void account_clear(struct account *a)
{
    free(a->name);
    free(a->home);
    *a = (struct account){0};
}

int account_of_user(struct account *out, const struct passwd *p)
{
    *out = (struct account){.name = strdup(p->pw_name),
                            .home = strdup(p->pw_dir ? p->pw_dir : ""),
                            .id = p->pw_uid,
                            .gid = p->pw_gid};
    return out->name && out->home ? 1 : -ENOMEM;
}

int account_of_group(struct account *out, const struct group *g)
{
    *out = (struct account){.name = strdup(g->gr_name), .id = g->gr_gid, .gid = g->gr_gid};
    return out->name ? 1 : -ENOMEM;
}

#ifdef WARMPACK_STATIC

int account_find(struct account *out, bool group, const char *name, id_t id)
{
    return account_file_find(group ? "/etc/group" : "/etc/passwd", out, group, name, id);
}

int account_groups(const char *name, gid_t gid, gid_t **list, size_t *count)
{
    return account_file_groups("/etc/group", name, gid, list, count);
}

#else

enum { MOST_RECORD = 16 << 20, MOST_GROUPS = 1 << 20 };

/* With room for a record of SIZE bytes: 1, 0 or negative errno. */
static int ask_user(struct account *out, const char *name, uid_t id, char *room, size_t size)
{
    struct passwd p, *found = NULL;
    int r =
        name ? getpwnam_r(name, &p, room, size, &found) : getpwuid_r(id, &p, room, size, &found);

    return found ? account_of_user(out, found) : -r;
}

static int ask_group(struct account *out, const char *name, gid_t id, char *room, size_t size)
{
    struct group g, *found = NULL;
    int r =
        name ? getgrnam_r(name, &g, room, size, &found) : getgrgid_r(id, &g, room, size, &found);

    return found ? account_of_group(out, found) : -r;
}

int account_find(struct account *out, bool group, const char *name, id_t id)
{
    _cleanup_free_ char *room = NULL;
    size_t size = 1024;

    *out = (struct account){0};
    for (;;) {
        free(room);
        room = malloc(size);
        if (!room)
            return -ENOMEM;
        int r = group ? ask_group(out, name, id, room, size) : ask_user(out, name, id, room, size);

        if (r == -ERANGE && size < MOST_RECORD)
            size *= 2;
        /* Some sources of the database report "no such user" as an error. */
        else if (error_is_absence(r) || r == -ESRCH || r == -EPERM || r == -EBADF)
            return 0;
        else if (r != -EINTR)
            return r;
    }
}

int account_groups(const char *name, gid_t gid, gid_t **list, size_t *count)
{
    int n = 64;

    for (;;) {
        int room = n;
        gid_t *groups = calloc((size_t)room, sizeof(*groups));

        if (!groups)
            return -ENOMEM;
        int r = getgrouplist(name, gid, groups, &n);

        if (r >= 0) {
            *list = groups;
            *count = (size_t)r;
            return 0;
        }
        free(groups);
        if (n <= room)
            n = room * 2;
        if (n > MOST_GROUPS)
            return -ERANGE;
    }
}

#endif

int wp_account_id(const char *name, bool group, uint32_t *id)
{
    struct account a = {0};
    int r = account_find(&a, group, name, 0);

    if (r == 1)
        *id = a.id;
    account_clear(&a);
    return r;
}

char *wp_account_name(uint32_t id, bool group)
{
    struct account a = {0};
    int r = account_find(&a, group, NULL, id);
    char *name = strdup(r == 1 && a.name ? a.name : "");

    account_clear(&a);
    return name;
}
