/* Reads passwd(5) and group(5) line by line with glibc's parser, which asks nobody else. */

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "array.h"
#include "base/error.h"
#include "cleanup.h"

enum { MOST_RECORD = 16 << 20 };

struct lines {
    FILE *file;
    char *room; /* a record's text; owned */
    size_t size;
};

static void lines_close(struct lines *l)
{
    cleanup_fclose(&l->file);
    free(l->room);
}

/* 1; 0 where there is no such file; negative errno. */
static int lines_open(struct lines *l, const char *path)
{
    l->size = 1024;
    l->room = malloc(l->size);
    if (!l->room)
        return -ENOMEM;
    l->file = fopen(path, "re");
    if (!l->file)
        return error_is_absence(-errno) ? 0 : -errno;
    return 1;
}

/* What a read that ended with R means: 1 to use it, -EAGAIN to try again, 0 at the end, negative
 * errno. glibc goes back to a line that was longer than the room. */
static int lines_judge(struct lines *l, int r)
{
    char *room;

    if (r == 0)
        return 1;
    if (r == EINTR)
        return -EAGAIN;
    if (r != ERANGE)
        return error_is_absence(-r) ? 0 : -r;
    if (l->size >= MOST_RECORD)
        return -ERANGE;
    room = realloc(l->room, l->size * 2);
    if (!room)
        return -ENOMEM;
    l->room = room;
    l->size *= 2;
    return -EAGAIN;
}

/* Lines such as "+" and "-user" are for NIS, and nobody's entries. */
static bool is_entry(const char *name)
{
    return name[0] && name[0] != '+' && name[0] != '-';
}

/* Is the entry of NAME and ID the one for SOUGHT or, where that is NULL, for SOUGHT_ID? */
static bool is_sought(const char *name, id_t id, const char *sought, id_t sought_id)
{
    return is_entry(name) && (sought ? strcmp(name, sought) == 0 : id == sought_id);
}

static int next_user(struct lines *l, struct passwd *p)
{
    struct passwd *found;

    return lines_judge(l, fgetpwent_r(l->file, p, l->room, l->size, &found));
}

static int next_group(struct lines *l, struct group *g)
{
    struct group *found;

    return lines_judge(l, fgetgrent_r(l->file, g, l->room, l->size, &found));
}

int account_file_find(const char *path, struct account *out, bool group, const char *name, id_t id)
{
    _cleanup_(lines_close) struct lines l = {0};
    struct passwd p;
    struct group g;

    *out = (struct account){0};
    int r = lines_open(&l, path);
    while (r == 1 || r == -EAGAIN) {
        r = group ? next_group(&l, &g) : next_user(&l, &p);
        if (r == 1 &&
            is_sought(group ? g.gr_name : p.pw_name, group ? g.gr_gid : p.pw_uid, name, id))
            return group ? account_of_group(out, &g) : account_of_user(out, &p);
    }
    return r;
}

static bool has_member(const struct group *g, const char *name)
{
    for (char **member = g->gr_mem; *member; member++) {
        if (strcmp(*member, name) == 0)
            return true;
    }
    return false;
}

int account_file_groups(const char *path, const char *name, gid_t gid, gid_t **list, size_t *count)
{
    _cleanup_(lines_close) struct lines l = {0};
    _cleanup_free_ gid_t *groups = malloc(sizeof(*groups));
    struct group g;
    size_t n = 1;

    if (!groups)
        return -ENOMEM;
    groups[0] = gid;
    int r = lines_open(&l, path);
    while (r == 1 || r == -EAGAIN) {
        r = next_group(&l, &g);
        if (r < 1 || !is_entry(g.gr_name) || g.gr_gid == gid || !has_member(&g, name))
            continue;
        if (array_add(groups, n, g.gr_gid) < 0)
            return -ENOMEM;
    }
    if (r < 0)
        return r;
    *list = take_ptr(groups);
    *count = n;
    return 0;
}
