/* Finds what dead runs left in a directory, for jobs that may have nothing to stage there. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/lock_file.h"
#include "base/path.h"
#include "staging_private.h"
#include "tree/beneath.h"

/* Is what ST tells of, in a directory that ABOVE tells of, a run's whose journal we may read? With
 * LOOKS that of the directory's owner, too, who can do what he likes there. */
static bool is_ours(const struct stat *st, const struct stat *above, bool looks)
{
    return st->st_uid == geteuid() || (looks && geteuid() == 0 && st->st_uid == above->st_uid);
}

/* Is there, in D, something that such a run has left or is working on? R is from opening it: 1; 0:
 * it is not there; negative errno. Likewise. */
static int listed_leftovers(DIR *d, int r, bool looks)
{
    struct dirent *item;
    struct stat above, st;

    if (r == -EACCES)
        return 0; /* nothing of ours is in there */
    if (r > 0 && fstat(dirfd(d), &above) < 0)
        return -errno;
    while (r > 0 && (r = file_next(d, &item)) > 0) {
        bool is_lock = strcmp(item->d_name, OWN_LOCK) == 0;

        if (!is_lock && !own_is_staging(item->d_name))
            continue;
        r = beneath_look(dirfd(d), item->d_name, &st);
        if (r < 0 ||
            (r > 0 && (is_lock ? lock_file_is_own(&above, &st) : is_ours(&st, &above, looks))))
            return r;
        r = 1;
    }
    return r;
}

/* In DIR, a path. */
static int has_leftovers(const char *dir, bool looks)
{
    _cleanup_closedir_ DIR *d = NULL;
    int r = file_list_path(dir, &d);

    return listed_leftovers(d, r, looks);
}

/* How earlier runs are looked for. */
struct search {
    const struct wp_context *context;
    struct wp_error *err;
    bool waits; /* for who renames there at that moment: what comes now is to come after */
    const char
        *within; /* physical; for who changes something in it, or what it lies in; NULL: all */
};

static int recover_and_wait(const struct search *look, struct staging_area *a)
{
    struct staging s = {.o.context = look->context};
    unsigned waited = 0;
    int r;

    while ((r = staging_recover(&s, a, look->within, look->err)) > 0 && look->waits) {
        r = staging_wait(a, &s.o, &waited, look->err);
        if (r < 0)
            return r;
    }
    return r;
}

/* In the directory DIR, a physical path, that is called SHOWN, where HAS says whether something is
 * left. 1, 0 or negative errno. */
static int recover_at(const struct search *look, const char *dir, const char *shown, int has)
{
    const struct staging none = {0};
    struct staging_area a;
    int r = has;

    if (r == 0)
        return 0;
    staging_area_init(&a);
    if (r > 0)
        r = staging_open_existing(&none, dir, shown, &a);
    r = r < 0 ? error_set(look->err, -r, shown, "cannot look for earlier runs")
              : recover_and_wait(look, &a);
    staging_area_clear(&a);
    return r < 0 ? r : 1;
}

/* Could a run of ours have written to PATH? With LOOKS also before the filesystem came to be read
 * only. 1, 0 or negative errno. */
static int is_writable(const char *path, bool looks)
{
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
        return 1;
    if (errno == EROFS)
        return looks;
    return beneath_is_out_of_reach(-errno) || errno == EPERM ? 0 : -errno;
}

/* Cuts PATH, physical and on device DEV, to the next directory above it that something of ours can
 * be in: one that we may write to, on the same device, since nothing is renamed across. 1; 0: there
 * is none; negative errno. */
static int to_above(char *path, dev_t dev, bool looks)
{
    struct stat st;
    int r;

    do {
        char *slash = strrchr(path, '/');

        if (path[1] == '\0')
            return 0;
        slash[slash == path] = '\0';
        if (stat(path, &st) < 0)
            return error_is_absence(-errno) || errno == EACCES ? 0 : -errno;
        if (st.st_dev != dev)
            return 0;
        r = is_writable(path, looks);
    } while (r == 0);
    return r;
}

static int recover_above(struct search look, const char *dir)
{
    _cleanup_free_ char *at = strdup(dir);
    struct stat st;
    int r = 0, found = 0;

    if (!at)
        return error_nomem(look.err);
    if (stat(dir, &st) < 0)
        return error_set(look.err, errno, dir, "cannot stat");
    look.within = dir;
    while (r >= 0 && (r = to_above(at, st.st_dev, false)) > 0) {
        r = recover_at(&look, at, at, has_leftovers(at, false));
        found |= r > 0;
    }
    return r < 0 ? error_set(look.err, -r, at, "cannot look for earlier runs") : found;
}

int staging_recover_above(const char *dir, const struct wp_context *context, struct wp_error *err)
{
    const struct search look = {.context = context, .err = err, .waits = true};

    return recover_above(look, dir);
}

static int recover_in(const struct search *look, const char *dir, bool above)
{
    _cleanup_free_ char *physical = realpath(dir, NULL);
    int found, r;

    if (!physical)
        return error_is_absence(-errno) || errno == EACCES
                   ? 0
                   : error_set(look->err, errno, dir, "cannot find the physical path");
    found = recover_at(look, physical, dir, has_leftovers(physical, false));
    if (found < 0 || !above)
        return found;
    r = recover_above(*look, physical);
    return r < 0 ? r : found | r;
}

int staging_recover_in(const char *dir, bool above, const struct wp_context *context,
                       struct wp_error *err)
{
    const struct search look = {.context = context, .err = err, .waits = true};

    return recover_in(&look, dir, above);
}

void staging_try_recovery(const char *dir, bool above, const struct wp_context *context)
{
    struct wp_error ignored = {0};
    const struct search look = {.context = context, .err = &ignored};

    (void)recover_in(&look, dir, above);
}

/* ---- Below a directory */

/* In PATH of the directory DIR, which FD is. 1; 0: there is no such directory; negative errno. */
static int recover_beneath(const struct search *look, int fd, const char *dir, const char *path)
{
    _cleanup_free_ char *whole = path_append(dir, path);
    _cleanup_closedir_ DIR *d = NULL;
    int is_there = beneath_list(fd, path, &d);
    int r = whole ? recover_at(look, whole, whole, listed_leftovers(d, is_there, false))
                  : error_nomem(look->err);

    return r < 0 ? r : is_there != 0;
}

/* How many bytes of PATH, whole names, are also the beginning of LAST? */
static size_t common(const char *path, const char *last)
{
    size_t n = 0, i = 0;

    for (; path[i] && path[i] == last[i]; i++)
        if (path[i] == '/')
            n = i;
    return (!path[i] || path[i] == '/') && (!last[i] || last[i] == '/') ? i : n;
}

int staging_recover_below(int fd, const char *dir, struct path_list *paths,
                          const struct wp_context *context, struct wp_error *err)
{
    const struct search look = {.context = context, .err = err, .waits = true};
    const char *last = "";
    int r = 1;

    path_list_sort(paths);
    for (size_t i = 0; i < paths->count && r >= 0; last = paths->v[i++]) {
        const char *path = paths->v[i];
        size_t n = common(path, last);

        for (r = 1; path[n] && r > 0;) {
            _cleanup_free_ char *above = NULL;

            n += strcspn(path + n + 1, "/") + 1;
            above = strndup(path, n);
            r = above ? recover_beneath(&look, fd, dir, above) : error_nomem(err);
        }
    }
    return r < 0 ? r : 0;
}

/* ---- Without changing anything */

/* 1, 0 or negative errno. */
static int is_half_done_from(const char *at, const char *dir)
{
    struct staging s = {0};
    struct staging_area a;
    int r = has_leftovers(at, true);

    if (r <= 0)
        return r;
    staging_area_init(&a);
    r = staging_open_existing(&s, at, at, &a);
    if (r == 0)
        r = staging_changes(&s, &a, dir);
    staging_area_clear(&a);
    return r;
}

/* Asks of PATH, and with ABOVE of each directory above it, until the answer is not 0. */
static int ask_upwards(const char *path, bool above, int (*ask)(const char *at, const char *path))
{
    _cleanup_free_ char *physical = realpath(path, NULL), *at = NULL;
    struct stat st;
    int r;

    if (!physical || stat(physical, &st) < 0)
        return beneath_is_out_of_reach(-errno) ? 0 : -errno; /* whoever reads it tells of that */
    at = strdup(physical);
    if (!at)
        return -ENOMEM;
    do
        r = ask(at, physical);
    while (r == 0 && above && (r = to_above(at, st.st_dev, true)) > 0);
    return r;
}

static int has_leftovers_at(const char *at, const char *path)
{
    (void)path;
    return has_leftovers(at, true);
}

int staging_has_leftovers_above(const char *path)
{
    return ask_upwards(path, true, has_leftovers_at);
}

bool staging_warn_of_unfinished(const char *dir, const struct path_list *staged,
                                const struct wp_context *context)
{
    struct wp_error why = {0};
    int r = staging_check_done(dir, true, &why);

    for (size_t i = 0; i < staged->count && r == 0; i++)
        r = staging_check_done(staged->v[i], false, &why);
    if (r < 0)
        report(context, WP_WARNING, NULL, "%s", why.message);
    return r < 0;
}

int staging_check_done(const char *path, bool above, struct wp_error *err)
{
    int r = ask_upwards(path, above, is_half_done_from);

    if (r < 0)
        return error_set(err, -r, path, "cannot look for earlier runs");
    return r == 0 ? 0
                  : error_set(err, 0, path,
                              "a run that changes it is at work, or was killed: restore, by the "
                              "same user, completes what that has left");
}
