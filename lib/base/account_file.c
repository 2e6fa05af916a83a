/* Reads passwd(5) and group(5) line by line with glibc's parser, which asks nobody else. */

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
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

static int next_user(struct lines *l, struct passwd *p)
{
    struct passwd *found;
    int r;

    do
        r = lines_judge(l, fgetpwent_r(l->file, p, l->room, l->size, &found));
    while (r == -EAGAIN || (r == 1 && !is_entry(p->pw_name)));
    return r;
}

static int next_group(struct lines *l, struct group *g)
{
    struct group *found;
    int r;

    do
        r = lines_judge(l, fgetgrent_r(l->file, g, l->room, l->size, &found));
    while (r == -EAGAIN || (r == 1 && !is_entry(g->gr_name)));
    return r;
}

int account_file_user(const char *passwd, struct account *out, const char *name, uid_t id)
{
    _cleanup_(lines_close) struct lines l = {0};
    struct passwd p;

    *out = (struct account){0};
    int r = lines_open(&l, passwd);
    while (r == 1) {
        r = next_user(&l, &p);
        if (r < 1 || (name ? strcmp(p.pw_name, name) != 0 : p.pw_uid != id))
            continue;
        *out = (struct account){
            .name = strdup(p.pw_name), .home = strdup(p.pw_dir), .id = p.pw_uid, .gid = p.pw_gid};
        return out->name && out->home ? 1 : -ENOMEM;
    }
    return r;
}

int account_file_group(const char *group, struct account *out, const char *name, gid_t id)
{
    _cleanup_(lines_close) struct lines l = {0};
    struct group g;

    *out = (struct account){0};
    int r = lines_open(&l, group);
    while (r == 1) {
        r = next_group(&l, &g);
        if (r < 1 || (name ? strcmp(g.gr_name, name) != 0 : g.gr_gid != id))
            continue;
        *out = (struct account){.name = strdup(g.gr_name), .id = g.gr_gid, .gid = g.gr_gid};
        return out->name ? 1 : -ENOMEM;
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

int account_file_groups(const char *group, const char *name, gid_t gid, gid_t **list, size_t *count)
{
    _cleanup_(lines_close) struct lines l = {0};
    _cleanup_free_ gid_t *groups = malloc(sizeof(*groups));
    struct group g;
    size_t n = 1;

    if (!groups)
        return -ENOMEM;
    groups[0] = gid;
    int r = lines_open(&l, group);
    while (r == 1) {
        r = next_group(&l, &g);
        if (r < 1 || g.gr_gid == gid || !has_member(&g, name))
            continue;
        gid_t *more = reallocarray(groups, n + 1, sizeof(*groups));
        if (!more)
            return -ENOMEM;
        groups = more;
        groups[n++] = g.gr_gid;
    }
    if (r < 0)
        return r;
    *list = take_ptr(groups);
    *count = n;
    return 0;
}
