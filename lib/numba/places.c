/* Tells the names and roots of Numba's cache directories, and who looks there. */

#include "numba/places.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/account.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/path.h"

enum { SHA1_HEX = 2 * SHA1_SIZE };

char *places_hash_name(const char *dir)
{
    unsigned char digest[SHA1_SIZE];
    char hex[SHA1_HEX + 1], *name;
    size_t n = strlen(dir);
    if (!utf8_valid(dir, n)) {
        errno = EILSEQ;
        return NULL;
    }
    sha1_of(dir, n, digest);
    hex_encode(digest, sizeof(digest), hex);
    if (asprintf(&name, "%s_%s", path_base(dir), hex) < 0) {
        errno = ENOMEM;
        return NULL;
    }
    return name;
}

bool places_is_hash_name(const char *name, size_t *base)
{
    size_t n = strlen(name);
    if (n <= SHA1_HEX || name[n - SHA1_HEX - 1] != '_')
        return false;
    if (strspn(name + n - SHA1_HEX, "0123456789abcdef") != SHA1_HEX)
        return false;
    *base = n - SHA1_HEX - 1;
    return true;
}

/* ---- Users ------------------------------------------------------------------------------- */

/* A user's or group's number in decimal: 0 or -EINVAL. (uid_t)-1 is none. */
static int parse_id(const char *text, id_t *id)
{
    uint64_t n = 0;
    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        n = n * 10 + (uint64_t)(*text - '0');
        if (n >= (id_t)-1)
            return -EINVAL;
    }
    *id = (id_t)n;
    return 0;
}

static int set_groups_of_caller(struct places_user *u)
{
    int n = getgroups(0, NULL);
    if (n < 0)
        return -errno;
    u->groups = calloc((size_t)n + 1, sizeof(*u->groups));
    if (!u->groups)
        return -ENOMEM;
    n = getgroups(n, u->groups);
    if (n < 0)
        return -errno;
    u->group_count = (size_t)n;
    return 0;
}

/* The home and name that the database gives, where there is an entry. */
static int set_names(struct places_user *u, const char *home, const struct account *a)
{
    u->home = strdup(home);
    if (a)
        u->name = strdup(a->name);
    return !u->home || (a && !u->name) ? -ENOMEM : 0;
}

/* As os.path.expanduser: HOME first, then the real user's entry; without either, "~" stays. */
static int fill_caller(struct places_user *u)
{
    _cleanup_(account_clear) struct account a = {0};
    int found = account_find(&a, false, NULL, getuid());
    if (found < 0)
        return found;
    u->uid = geteuid();
    u->gid = getegid();
    const char *home = getenv("HOME");
    if (!home)
        home = found ? a.home : "~";
    int r = set_names(u, home, found ? &a : NULL);
    return r < 0 ? r : set_groups_of_caller(u);
}

/* By name or number, in their groups. 1; 0 where there is no such number: containers run those too,
 * with group 0 and home "/". */
static int fill_named(struct places_user *u, const char *name_or_uid)
{
    _cleanup_(account_clear) struct account a = {0};
    int found = account_find(&a, false, name_or_uid, 0);
    if (found == 0) {
        if (parse_id(name_or_uid, &u->uid) < 0)
            return -ENOENT;
        found = account_find(&a, false, NULL, u->uid);
    }
    if (found < 0)
        return found;
    if (found == 0)
        return set_names(u, "/", NULL);
    u->uid = a.id;
    u->gid = a.gid;
    int r = set_names(u, a.home, &a);
    return r < 0 ? r : account_groups(u->name, u->gid, &u->groups, &u->group_count);
}

/* "USER:GROUP", as chown(1) and what runs containers take it: in that group alone, as there.
 * -ESRCH: there is no such group. */
static int fill_other(struct places_user *u, const char *text)
{
    const char *group = strchr(text, ':');
    if (!group)
        return fill_named(u, text);
    _cleanup_free_ char *user = strndup(text, (size_t)(group++ - text));
    _cleanup_(account_clear) struct account a = {0};
    int r = user ? fill_named(u, user) : -ENOMEM;
    if (r < 0 || !*group) /* "USER:": with the groups of a login */
        return r;
    r = account_find(&a, true, group, 0);
    if (r < 0)
        return r;
    if (r == 0 && parse_id(group, &u->gid) < 0)
        return -ESRCH;
    if (r > 0)
        u->gid = (gid_t)a.id;
    free(u->groups);
    u->groups = NULL;
    u->group_count = 0;
    u->has_group = true;
    return 0;
}

int places_user(struct places_user *out, const char *name_or_uid, struct wp_error *err)
{
    *out = (struct places_user){0};
    int r = name_or_uid ? fill_other(out, name_or_uid) : fill_caller(out);
    if (r < 0) {
        places_user_clear(out);
        if (!name_or_uid)
            return error_set(err, -r, NULL, "cannot look up who calls");
        if (r == -ESRCH) {
            error_set(err, 0, strchr(name_or_uid, ':') + 1, "no such group");
            return -ENOENT;
        }
        if (error_is_absence(r)) {
            error_set(err, 0, name_or_uid, "no such user");
            return -ENOENT;
        }
        return error_set(err, -r, name_or_uid, "cannot look up the user");
    }
    return 0;
}

void places_user_clear(struct places_user *u)
{
    free(u->groups);
    free(u->home);
    free(u->name);
    *u = (struct places_user){0};
}

/* ---- The user-wide root ------------------------------------------------------------------ */

/* PATH made absolute as the kernel reads it: nothing is normalised. */
static char *beneath_cwd(const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    _cleanup_free_ char *cwd = getcwd(NULL, 0);
    return cwd ? path_join(cwd, path) : NULL;
}

char *places_user_wide(const struct places_user *u, bool is_caller)
{
    const char *xdg = is_caller ? getenv("XDG_CACHE_HOME") : NULL;
    if (xdg) {
        _cleanup_free_ char *root = path_join(xdg, "numba");
        return root ? beneath_cwd(root) : NULL;
    }
    /* expanduser takes the slashes off the end of the home, so that "/" gives "/.cache". */
    size_t n = strlen(u->home);
    while (n > 0 && u->home[n - 1] == '/')
        n--;
    _cleanup_free_ char *root = NULL;
    if (asprintf(&root, "%.*s/.cache/numba", (int)n, u->home) < 0) {
        root = NULL;
        errno = ENOMEM;
        return NULL;
    }
    return beneath_cwd(root);
}

char *wp_user_wide_cache_dir(const char *user, struct wp_error *err)
{
    _cleanup_(places_user_clear) struct places_user who = {0};
    char *dir;

    if (places_user(&who, user, err) < 0)
        return NULL;
    dir = places_user_wide(&who, user == NULL);
    if (!dir)
        error_set(err, errno, NULL, "cannot name the user-wide cache directory");
    return dir;
}
