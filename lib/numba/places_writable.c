/* Tells whether a user could make a file in a directory that may not be there yet, or read one. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"
#include "numba/places.h"

enum { MAX_LINKS = 40 }; /* as the kernel has it */

static bool in_groups(const struct places_user *u, gid_t gid)
{
    if (u->gid == gid)
        return true;
    for (size_t i = 0; i < u->group_count; i++)
        if (u->groups[i] == gid)
            return true;
    return false;
}

/* Do the mode bits of a directory give U all of WANT (R_OK, W_OK, X_OK)? The first class that U
 * is in decides, even where a later one would give more. */
static bool mode_allows(const struct stat *st, const struct places_user *u, unsigned want)
{
    unsigned shift = 0;
    if (u->uid == 0)
        return true;
    if (u->uid == st->st_uid)
        shift = 6;
    else if (in_groups(u, st->st_gid))
        shift = 3;
    return (st->st_mode >> shift & want) == want;
}

/* Following a path as U would, a component at a time. */
struct route {
    const struct places_user *user;
    bool is_caller;  /* then the kernel is asked */
    struct buf here; /* physical directory reached so far, terminated */
    struct buf rest; /* what is still to be followed, terminated */
    size_t at;       /* where in rest */
    size_t typed;    /* bytes at the end of rest that come from the path as given, not from links */
    unsigned links;  /* followed so far */
    struct stat stat; /* of here */
};

static void route_clear(struct route *r)
{
    buf_free(&r->here);
    buf_free(&r->rest);
}

static int set_text(struct buf *b, const char *text, size_t n)
{
    buf_clear(b);
    return buf_add(b, text, n) < 0 || buf_terminate(b) < 0 ? ENOMEM : 0;
}

/* Goes to directory PATH, which is physical. */
static int go(struct route *r, const char *path, size_t n)
{
    int e = set_text(&r->here, path, n);
    if (e)
        return e;
    if (lstat((const char *)r->here.data, &r->stat) < 0)
        return errno;
    return 0;
}

static int go_up(struct route *r)
{
    const char *here = (const char *)r->here.data;
    const char *slash = strrchr(here, '/');
    _cleanup_free_ char *parent = strndup(here, slash == here ? 1 : (size_t)(slash - here));
    return parent ? go(r, parent, strlen(parent)) : ENOMEM;
}

/* Puts the text of symlink PATH before what is left to follow. */
static int follow_link(struct route *r, const char *path, off_t size)
{
    /* Links of /proc say that they have no size. */
    size_t room = size > 0 ? (size_t)size + 1 : PATH_MAX;
    _cleanup_free_ char *target = malloc(room);
    _cleanup_buf_ struct buf rest = {0};
    if (!target)
        return ENOMEM;
    if (++r->links > MAX_LINKS)
        return ELOOP;
    ssize_t n = readlink(path, target, room);
    if (n < 0)
        return errno;
    size_t left = r->rest.size - r->at;
    if (left < r->typed)
        r->typed = left;
    if (buf_add(&rest, target, (size_t)n) < 0 || buf_add_str(&rest, "/") < 0 ||
        buf_add(&rest, r->rest.data + r->at, left) < 0 || buf_terminate(&rest) < 0)
        return ENOMEM;
    struct buf old = r->rest;
    r->rest = rest;
    rest = old;
    r->at = 0;
    return n > 0 && target[0] == '/' ? go(r, "/", 1) : 0;
}

/* Is the directory that was reached one where the user can make something? */
static int judge_here(const struct route *r)
{
    struct statvfs fs;
    const char *here = (const char *)r->here.data;
    if (r->is_caller)
        return faccessat(AT_FDCWD, here, W_OK | X_OK, AT_EACCESS) < 0 ? errno : 0;
    if (!mode_allows(&r->stat, r->user, W_OK | X_OK))
        return EACCES;
    if (statvfs(here, &fs) < 0)
        return errno;
    return fs.f_flag & ST_RDONLY ? EROFS : 0;
}

/* Takes one component, NAME of N bytes. *MISSING: it is not there. */
static int step(struct route *r, const char *name, size_t n, bool from_link, bool *missing)
{
    _cleanup_buf_ struct buf path = {0};
    struct stat st;
    *missing = false;
    if (!r->is_caller && !mode_allows(&r->stat, r->user, X_OK))
        return EACCES;
    if (n == 1 && name[0] == '.')
        return 0;
    if (n == 2 && name[0] == '.' && name[1] == '.')
        return go_up(r);
    if (buf_add(&path, r->here.data, r->here.size) < 0 ||
        (r->here.size > 1 && buf_add_str(&path, "/") < 0) || buf_add(&path, name, n) < 0 ||
        buf_terminate(&path) < 0)
        return ENOMEM;
    if (lstat((const char *)path.data, &st) < 0) {
        /* What a link points to is not made by mkdir. */
        *missing = error_is_absence(-errno) && !from_link;
        return *missing ? 0 : error_is_absence(-errno) ? ENOTDIR : errno;
    }
    if (S_ISLNK(st.st_mode))
        return follow_link(r, (const char *)path.data, st.st_size);
    if (!S_ISDIR(st.st_mode))
        return ENOTDIR;
    return go(r, (const char *)path.data, path.size);
}

/* Follows the path as far as it exists. */
static int walk_route(struct route *r)
{
    for (;;) {
        bool missing;
        while (r->at < r->rest.size && r->rest.data[r->at] == '/')
            r->at++;
        if (r->at == r->rest.size)
            return 0;
        bool from_link = r->rest.size - r->at > r->typed;
        const char *name = (const char *)r->rest.data + r->at;
        size_t n = strcspn(name, "/");
        r->at += n;
        int e = step(r, name, n, from_link, &missing);
        if (e || missing)
            return e;
    }
}

static bool is_caller(const struct places_user *u)
{
    return u->uid == geteuid() && !u->has_group;
}

bool places_readable(const struct stat *st, const struct places_user *u)
{
    return is_caller(u) || mode_allows(st, u, R_OK);
}

int places_writable(const char *dir, const struct places_user *u)
{
    _cleanup_(route_clear) struct route r = {.user = u, .is_caller = is_caller(u)};
    /* U comes by the absolute path, as Python does, not from where this process happens to be. */
    _cleanup_free_ char *cwd = *dir && *dir != '/' ? getcwd(NULL, 0) : NULL;
    _cleanup_free_ char *path = NULL;
    int e;

    if (*dir == '\0')
        return ENOENT;
    if (*dir != '/' && !cwd)
        return errno;
    path = cwd ? path_join(cwd, dir) : strdup(dir);
    if (!path)
        return ENOMEM;
    r.typed = strlen(path);
    e = set_text(&r.rest, path, r.typed);
    if (!e)
        e = go(&r, "/", 1);
    if (!e)
        e = walk_route(&r);
    return e ? e : judge_here(&r);
}
