/* Opens the target of an area name by name, and makes it where it is missing. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "staging_private.h"

int staging_error(struct wp_error *err, int errnum, const struct staging_area *a, const char *path,
                  const char *text)
{
    _cleanup_free_ char *whole = path ? path_append(a->target, path) : strdup(a->target);
    return error_set(err, errnum, whole ? whole : a->target, "%s", text);
}

static int remember_made(struct staging_area *a, int parent, const char *name, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    struct staging_made m = {.name = strdup(name), .dev = st.st_dev, .ino = st.st_ino};
    if (!m.name || array_grow(a->made, a->made_count) < 0) {
        free(m.name);
        return -ENOMEM;
    }
    m.parent = fcntl(parent, F_DUPFD_CLOEXEC, 3);
    if (m.parent < 0) {
        int r = -errno;
        free(m.name);
        return r;
    }
    a->made[a->made_count++] = m;
    return 0;
}

/* Opens directory NAME of PARENT. A symlink on a user's ground could lead root anywhere: it is
 * followed only where nobody but root can have made it. */
static int open_dir(const struct staging_area *a, int parent, const char *name)
{
    bool guarded = a->owner && a->owner->guarded;
    struct stat above = {0}, st = {0};
    int fd = openat(parent, name, O_PATH | O_CLOEXEC | (guarded ? O_NOFOLLOW : O_DIRECTORY));
    if (fd < 0 || !guarded)
        return fd < 0 ? -errno : fd;
    int r = fstat(fd, &st) < 0 || fstat(parent, &above) < 0 ? -errno : 0;
    if (r == 0 && S_ISDIR(st.st_mode))
        return fd;
    close(fd);
    if (r < 0 || !S_ISLNK(st.st_mode))
        return r < 0 ? r : -ENOTDIR;
    if (st.st_uid != 0 || above.st_uid != 0 || (above.st_mode & 022))
        return -ELOOP;
    fd = openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Gives the directory FD, just made, to its owner, before anybody else can use it. */
static int give_made(const struct staging_area *a, int fd)
{
    struct stat st;
    if (!a->owner)
        return 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    /* Something else has taken its place: whose ever it is, it is not for us to give. */
    if (st.st_uid != geteuid() || st.st_nlink > 2)
        return 0;
    return fchownat(fd, "", a->owner->uid, a->owner->gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* Makes directory NAME of PARENT as its owner would, so that a kill leaves nothing of root's where
 * that user is at home. Where the user may not, as root: give_made is for that. */
static int make_dir(const struct staging_area *a, int parent, const char *name)
{
    if (a->owner && geteuid() == 0) {
        gid_t gid = (gid_t)setfsgid(a->owner->gid);
        uid_t uid = (uid_t)setfsuid(a->owner->uid);
        int r = mkdirat(parent, name, 0777) < 0 ? -errno : 0;

        setfsuid(uid); /* for this thread alone, and root may */
        setfsgid(gid);
        if (r != -EACCES)
            return r;
    }
    return mkdirat(parent, name, 0777) < 0 ? -errno : 0;
}

/* Opens directory NAME of PARENT, which has just been made, or takes it away again. */
static int enter_made(struct staging_area *a, int parent, const char *name)
{
    _cleanup_close_ int fd = -1;
    int r = staging_step("made");
    if (r == 0)
        r = fd = open_dir(a, parent, name);
    if (r >= 0)
        r = remember_made(a, parent, name, fd);
    if (r == 0)
        r = give_made(a, fd);
    if (r == 0)
        return take_fd(&fd);
    (void)!unlinkat(parent, name, AT_REMOVEDIR);
    return r;
}

/* Opens directory NAME of PARENT, and makes it where it is missing. */
static int enter(struct staging_area *a, int parent, const char *name)
{
    int fd = open_dir(a, parent, name);
    if (!error_is_no_entry(fd))
        return fd;
    int r = make_dir(a, parent, name);
    if (r == -EEXIST) /* by somebody else, meanwhile */
        return open_dir(a, parent, name);
    return r < 0 ? r : enter_made(a, parent, name);
}

static int walk_target(struct staging_area *a, const char *target)
{
    if (*target == '\0')
        return -ENOENT;
    _cleanup_close_ int at = open(*target == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return -errno;
    for (const char *p = target + strspn(target, "/"); *p; p += strspn(p, "/")) {
        char name[NAME_MAX + 1];
        size_t n = strcspn(p, "/");
        if (n > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, p, n);
        name[n] = '\0';
        p += n;
        int fd = enter(a, at, name);
        if (fd < 0)
            return fd;
        cleanup_close(&at);
        at = fd;
    }
    int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int staging_area_open_target(struct staging_area *a, const char *target, struct wp_error *err)
{
    struct stat st;

    a->target = strdup(target);
    if (!a->target)
        return error_nomem(err);
    a->target_fd = walk_target(a, target);
    if (a->target_fd == -ELOOP && a->owner)
        return error_set(err, 0, target,
                         "lies behind a symbolic link of the user's: root does not follow it");
    if (a->target_fd < 0)
        return error_set(err, -a->target_fd, target, "cannot open directory");
    if (fstat(a->target_fd, &st) < 0)
        return error_set(err, errno, target, "cannot stat");
    a->dev = st.st_dev;
    a->ino = st.st_ino;
    a->time_before = st.st_mtim;
    a->physical = realpath(target, NULL);
    if (!a->physical)
        return error_set(err, errno, target, "cannot find the physical path");
    /* A run that is killed is completed by that path. */
    int r = stat(a->physical, &st) < 0 ? -errno : st.st_dev == a->dev && st.st_ino == a->ino;
    if (r < 0 && !error_is_absence(r))
        return error_set(err, -r, target, "cannot stat");
    if (r <= 0)
        return error_set(err, 0, target, "was replaced by another directory meanwhile");
    return 0;
}
