/* Makes an archive that is a directory under a temporary name beside its own, and renames it when
 * all of it is there. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/temporary.h"
#include "output.h"

enum { TRIES = 100, DEEPEST = 4 /* levels of directories in such an archive */ };

/* ---- Removing ---------------------------------------------------------------------------- */

/* All that lies in the directory DIR. It is warmpack's own and of few levels. */
static void empty(int dir, int level)
{
    _cleanup_closedir_ DIR *d = file_list_at(dir, ".");
    struct dirent *item;

    while (d && file_next(d, &item) > 0) {
        _cleanup_close_ int below = -1;

        if (unlinkat(dir, item->d_name, 0) == 0 || level == DEEPEST)
            continue;
        below = openat(dir, item->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0)
            continue;
        empty(below, level + 1);
        (void)!unlinkat(dir, item->d_name, AT_REMOVEDIR);
    }
}

/* The directory NAME in DIR, which FD is, is nobody's any more. */
static void remove_staged(int dir, const char *name, int fd)
{
    empty(fd, 0);
    (void)!unlinkat(dir, name, AT_REMOVEDIR);
}

void output_dir_drop(struct output *o)
{
    remove_staged(o->dir, o->staged, o->staged_fd);
    cleanup_close(&o->staged_fd);
    free(take_ptr(o->staged));
}

/* Removes the directory NAME in DIR if a dead run of this user has made it: nobody holds its lock.
 */
static void remove_dead(int dir, const char *name)
{
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        remove_staged(dir, name, fd);
}

static void sweep(const struct output *o, const char *prefix)
{
    _cleanup_closedir_ DIR *d = file_list_at(o->dir, ".");
    struct dirent *item;

    while (d && file_next(d, &item) > 0)
        if (temporary_is(item->d_name, prefix))
            remove_dead(o->dir, item->d_name);
}

/* ---- Making ------------------------------------------------------------------------------ */

static int refuse_full(const char *name, struct wp_error *err)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    int r = file_list_path(name, &d);

    r = r > 0 ? file_next(d, &item) : r;
    if (r < 0)
        return error_set(err, -r, name, "cannot look into the directory");
    return r ? error_set(err, 0, name,
                         "not made: there is a directory of that name, and it is not "
                         "empty")
             : 0;
}

int output_dir_open(struct output *o, const char *name, const struct wp_context *context,
                    struct wp_error *err)
{
    _cleanup_free_ char *plain = path_normalise(name);
    struct stat st;
    bool exists;

    *o = (struct output){.fd = -1,
                         .dir = -1,
                         .is_dir = true,
                         .name = strdup(name),
                         .interrupted = context_interrupted(context)};
    if (!o->name || !plain)
        return error_nomem(err);
    exists = stat(name, &st) == 0;
    if (!exists && !error_is_absence(-errno))
        return error_set(err, errno, name, "cannot create the archive");
    if (exists && !S_ISDIR(st.st_mode))
        return error_set(err, 0, name,
                         "not made: there is something else than a directory, which "
                         "an archive of this format is unless its name ends in .tar");
    if (!exists && lstat(plain, &st) == 0)
        return error_set(err, 0, name, "is a symbolic link to nothing");
    if (exists) {
        int r = refuse_full(name, err);

        if (r < 0)
            return r;
        o->mode = st.st_mode & 07777;
    }
    o->target = exists ? realpath(plain, NULL) : strdup(plain);
    if (!o->target)
        return error_set(err, errno, name, "cannot be found");
    if (!*path_base(o->target))
        return error_set(err, 0, name, "cannot be replaced");
    return output_begin(o, 0666, err);
}

/* Makes the staged directory, and takes its lock. */
static int make_staged(struct output *o, const char *prefix)
{
    for (int i = 0; i < TRIES; i++) {
        _cleanup_free_ char *name = temporary_name(prefix);
        _cleanup_close_ int fd = -1;

        if (!name)
            return -ENOMEM;
        if (mkdirat(o->dir, name, 0777) < 0 && errno == EEXIST)
            continue;
        fd = openat(o->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return -errno;
        (void)!flock(fd, LOCK_EX | LOCK_NB);
        o->staged = take_ptr(name);
        o->staged_fd = take_fd(&fd);
        return 0;
    }
    return -EEXIST;
}

int output_dir_begin(struct output *o, const char *const *dirs, struct wp_error *err)
{
    _cleanup_free_ char *prefix = output_prefix(o);
    int r = prefix ? 0 : -ENOMEM;

    if (r == 0) {
        sweep(o, prefix);
        r = make_staged(o, prefix);
    }
    for (const char *const *dir = dirs; r == 0 && *dir; dir++)
        if (mkdirat(o->staged_fd, *dir, 0777) < 0)
            r = -errno;
    return r < 0 ? error_set(err, -r, o->name, "cannot create the archive") : 0;
}

int output_dir_take(struct output *o, const char *path, struct wp_error *err)
{
    int r = output_sync_fd(o, o->fd, err);

    if (r < 0)
        return r;
    if (!o->temporary)
        r = file_link(o->fd, o->staged_fd, path);
    else if (renameat(o->dir, o->temporary, o->staged_fd, path) < 0)
        r = -errno;
    if (r < 0)
        return error_set(err, -r, o->name, "cannot give a file of the archive its name");
    free(take_ptr(o->temporary));
    return output_dir_close(o, take_fd(&o->fd), path, err);
}

int output_dir_create(struct output *o, const char *path, struct wp_error *err)
{
    int fd = openat(o->staged_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);

    return fd < 0 ? error_set(err, errno, o->name, "cannot create %s in it", path) : fd;
}

/* Some filesystems tell only on closing that they could not write. */
int output_dir_close(struct output *o, int fd, const char *path, struct wp_error *err)
{
    int r = output_sync_fd(o, fd, err);

    if (close(fd) < 0 && errno != EINTR && r == 0)
        r = error_set(err, errno, o->name, "cannot write %s in it", path);
    return r;
}

/* ---- The commit -------------------------------------------------------------------------- */

/* Names, of all directories that hold some. 0 or negative errno. */
static int sync_names(int dir, int level)
{
    _cleanup_closedir_ DIR *d = file_list_at(dir, ".");
    struct dirent *item;
    int r = d && (fsync(dir) == 0 || errno == EINVAL) ? 0 : -errno;

    while (r == 0 && level < DEEPEST && (r = file_next(d, &item)) > 0) {
        _cleanup_close_ int below =
            openat(dir, item->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        r = below < 0 ? -errno : sync_names(below, level + 1);
        r = error_is_no_directory(r) ? 0 : r;
    }
    return r;
}

int output_dir_commit(struct output *o, struct wp_error *err)
{
    int r = o->sync ? sync_names(o->staged_fd, 0) : 0;

    if (r < 0)
        return error_set(err, -r, o->name, "cannot be written to the disk");
    if (o->mode && fchmod(o->staged_fd, o->mode) < 0)
        return error_set(err, errno, o->name, "cannot set the mode of the directory");
    if (renameat(o->dir, o->staged, o->dir, o->base) < 0)
        return error_set(err, errno, o->name, "cannot give the archive its name");
    cleanup_close(&o->staged_fd);
    free(take_ptr(o->staged));
    return output_sync_parent(o, err);
}
