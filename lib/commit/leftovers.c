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
#include "staging_private.h"
#include "tree/beneath.h"

/* Is there, in DIR, something that a run of this user has left or is working on? 1, 0 or negative
 * errno. */
static int has_leftovers(const char *dir)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    struct stat above, st;
    int r = file_list_path(dir, &d);

    if (r == -EACCES)
        return 0; /* nothing of ours is in there */
    if (r > 0 && fstat(dirfd(d), &above) < 0)
        return -errno;
    while (r > 0 && (r = file_next(d, &item)) > 0) {
        bool is_lock = strcmp(item->d_name, OWN_LOCK) == 0;

        if (!is_lock && !own_is_staging(item->d_name))
            continue;
        r = beneath_look(dirfd(d), item->d_name, &st);
        if (r < 0 || (r > 0 && (is_lock ? lock_file_is_own(&above, &st) : st.st_uid == geteuid())))
            return r;
        r = 1;
    }
    return r;
}

/* In the directory DIR, a physical path, that is called SHOWN. 1, 0 or negative errno. */
static int recover_at(const char *dir, const char *shown, const struct wp_context *context,
                      struct wp_error *err)
{
    struct staging s = {.o.context = context};
    struct staging_area a;
    int r = has_leftovers(dir);

    if (r == 0)
        return 0;
    staging_area_init(&a);
    if (r > 0)
        r = staging_open_existing(&s, dir, shown, &a);
    r = r < 0 ? error_set(err, -r, shown, "cannot look for earlier runs")
              : staging_recover(&s, &a, err);
    staging_area_clear(&a);
    return r < 0 ? r : 1;
}

/* 1, 0 or negative errno. */
static int is_writable(const char *path)
{
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
        return 1;
    return beneath_is_out_of_reach(-errno) || errno == EROFS || errno == EPERM ? 0 : -errno;
}

/* Cuts PATH, physical and on device DEV, to the next directory above it that something of ours can
 * be in: one that we may write to, on the same device, since nothing is renamed across. 1; 0: there
 * is none; negative errno. */
static int to_above(char *path, dev_t dev)
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
        r = is_writable(path);
    } while (r == 0);
    return r;
}

int staging_recover_above(const char *dir, const struct wp_context *context, struct wp_error *err)
{
    _cleanup_free_ char *at = strdup(dir);
    struct stat st;
    int r = 0, found = 0;

    if (!at)
        return error_nomem(err);
    if (stat(dir, &st) < 0)
        return error_set(err, errno, dir, "cannot stat");
    while (r >= 0 && (r = to_above(at, st.st_dev)) > 0) {
        r = recover_at(at, at, context, err);
        found |= r > 0;
    }
    return r < 0 ? error_set(err, -r, at, "cannot look for earlier runs") : found;
}

int staging_recover_in(const char *dir, bool above, const struct wp_context *context,
                       struct wp_error *err)
{
    _cleanup_free_ char *physical = realpath(dir, NULL);
    int found, r;

    if (!physical)
        return error_is_absence(-errno) || errno == EACCES
                   ? 0
                   : error_set(err, errno, dir, "cannot find the physical path");
    found = recover_at(physical, dir, context, err);
    if (found < 0 || !above)
        return found;
    r = staging_recover_above(physical, context, err);
    return r < 0 ? r : found | r;
}

/* ---- Without changing anything */

/* 1, 0 or negative errno. */
static int is_half_done_from(const char *at, const char *dir)
{
    struct staging s = {0};
    struct staging_area a;
    int r = has_leftovers(at);

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
    while (r == 0 && above && (r = to_above(at, st.st_dev)) > 0);
    return r;
}

static int has_leftovers_at(const char *at, const char *path)
{
    (void)path;
    return has_leftovers(at);
}

int staging_has_leftovers_above(const char *path)
{
    return ask_upwards(path, true, has_leftovers_at);
}

int staging_check_done(const char *path, bool above, struct wp_error *err)
{
    int r = ask_upwards(path, above, is_half_done_from);

    if (r < 0)
        return error_set(err, -r, path, "cannot look for earlier runs");
    return r == 0 ? 0
                  : error_set(err, 0, path,
                              "a run that changes it is at work, or was killed: restore completes "
                              "what that has left");
}
