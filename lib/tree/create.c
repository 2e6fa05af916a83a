/* Makes files with their owner, mode and time in a staged tree. */

#include "create.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "beneath.h"
#include "names.h"

/* Every file of an archive asks for the same few owners. What was answered is asked again after a
 * while, for the sake of programs that outlive an account. */
static void look_up_owner(const struct entry *e, uid_t *uid, gid_t *gid)
{
    enum { SECONDS_KEPT = 5 };
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct names names;
    static time_t since;

    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    pthread_mutex_lock(&lock);
    if (now.tv_sec - since > SECONDS_KEPT) {
        names_free(&names);
        since = now.tv_sec;
    }
    id_t id;
    if (e->uname && *e->uname && names_find(&names, NAMES_USER, e->uname, &id))
        *uid = id;
    if (e->gname && *e->gname && names_find(&names, NAMES_GROUP, e->gname, &id))
        *gid = id;
    pthread_mutex_unlock(&lock);
}

void create_owner(const struct create_policy *p, const struct entry *e, uid_t *uid, gid_t *gid)
{
    if (!p->owner) {
        *uid = (uid_t)-1;
        *gid = (gid_t)-1;
        return;
    }
    *uid = e->uid;
    *gid = e->gid;
    if (!p->numeric_owner && (e->uname || e->gname))
        look_up_owner(e, uid, gid);
}

const char *create_owner_error(int e)
{
    return e == EINVAL && geteuid() == 0
               ? "cannot set owner, whom this user namespace does not have (--no-same-owner)"
               : "cannot set owner";
}

mode_t create_mode(const struct create_policy *p, const struct entry *e)
{
    mode_t keep = 0777;

    if (p->permissions)
        return e->mode & 07777;
    /* What makes a shared directory safe to share gives nobody rights that he has not. */
    if (p->superuser && e->type == ENTRY_DIR)
        keep |= S_ISVTX | S_ISGID;
    return e->mode & keep & ~p->umask;
}

struct timespec create_mtime(const struct create_policy *p, const struct entry *e)
{
    return p->mtime ? *p->mtime : e->mtime;
}

static int open_new(int tree, const struct entry *e, mode_t mode, struct wp_error *err)
{
    int fd = beneath_open(tree, e->path, O_WRONLY | O_CREAT | O_EXCL, mode);
    return fd < 0 ? error_set(err, -fd, e->path, "cannot create file") : fd;
}

int create_open(int tree, const struct entry *e, struct wp_error *err)
{
    return open_new(tree, e, 0600, err);
}

/* The mode with which a file can be made so that it has its final one from then on; 0: none. */
static mode_t mode_at_once(const struct create_policy *p, const struct entry *e)
{
    mode_t mode = create_mode(p, e);
    return (mode & ~p->granted) == 0 && (mode & 0600) == 0600 ? mode : 0;
}

/* Is FD to change hands? */
static bool is_others(const struct create_policy *p, uid_t uid, gid_t gid)
{
    if (p->knows_owner)
        return (uid != (uid_t)-1 && uid != p->uid) || (gid != (gid_t)-1 && gid != p->gid);
    return uid != (uid_t)-1 || gid != (gid_t)-1;
}

/* Owner before mode, since a change of owner takes setuid bits away, and time at the end. */
static int set_attributes(int fd, const struct create_policy *p, const struct entry *e,
                          bool has_mode, struct wp_error *err)
{
    uid_t uid;
    gid_t gid;
    create_owner(p, e, &uid, &gid);
    if (is_others(p, uid, gid) && fchown(fd, uid, gid) < 0)
        return error_set(err, errno, e->path, "%s", create_owner_error(errno));
    if (!has_mode && fchmod(fd, create_mode(p, e)) < 0)
        return error_set(err, errno, e->path, "cannot set mode");
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, create_mtime(p, e)};
    if (futimens(fd, times) < 0)
        return error_set(err, errno, e->path, "cannot set time");
    return 0;
}

/* Attributes, and what a close may tell of lost writes. Closes FD always. */
static int finish(int *fd, const struct create_policy *p, const struct entry *e, bool has_mode,
                  struct wp_error *err)
{
    int r = set_attributes(*fd, p, e, has_mode, err);
    if (r < 0)
        return r;
    /* Linux has closed it on EINTR, too. */
    if (close(take_fd(fd)) < 0 && errno != EINTR)
        return error_set(err, errno, e->path, "cannot write");
    return 0;
}

int create_close(int fd, const struct create_policy *p, const struct entry *e, struct wp_error *err)
{
    _cleanup_close_ int held = fd;
    if (e->size > INT64_MAX)
        return error_set(err, EFBIG, e->path, "cannot write");
    int r;
    do
        r = ftruncate(fd, (off_t)e->size);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_set(err, errno, e->path, "cannot write");
    return finish(&held, p, e, false, err);
}

int create_file(int tree, const struct create_policy *p, const struct entry *e, const void *data,
                size_t n, struct wp_error *err)
{
    mode_t mode = mode_at_once(p, e);
    _cleanup_close_ int fd = open_new(tree, e, mode ? mode : 0600, err);
    if (fd < 0)
        return fd;
    int r = file_write(fd, data, n);
    if (r < 0)
        return error_set(err, -r, e->path, "cannot write");
    return finish(&fd, p, e, mode != 0, err);
}

int create_symlink(int tree, const struct create_policy *p, const struct entry *e,
                   struct wp_error *err)
{
    const char *name;
    _cleanup_close_ int dir = beneath_parent(tree, e->path, &name);
    if (dir < 0)
        return error_set(err, -dir, e->path, "cannot create symbolic link");
    if (symlinkat(e->target, dir, name) < 0)
        return error_set(err, errno, e->path, "cannot create symbolic link");
    uid_t uid;
    gid_t gid;
    create_owner(p, e, &uid, &gid);
    if ((uid != (uid_t)-1 || gid != (gid_t)-1) &&
        fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set(err, errno, e->path, "%s", create_owner_error(errno));
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, create_mtime(p, e)};
    /* Not every filesystem keeps times of symlinks, and nothing rests on them. */
    if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 && errno != EOPNOTSUPP &&
        errno != ENOSYS)
        return error_set(err, errno, e->path, "cannot set time");
    return 0;
}

int create_hardlink(int tree, const struct entry *e, struct wp_error *err)
{
    const char *name, *target_name;
    _cleanup_close_ int dir = beneath_parent(tree, e->path, &name);
    if (dir < 0)
        return error_set(err, -dir, e->path, "cannot create hard link");
    _cleanup_close_ int target_dir = beneath_parent(tree, e->target, &target_name);
    int r = target_dir;
    if (target_dir >= 0)
        r = linkat(target_dir, target_name, dir, name, 0) < 0 ? -errno : 0;
    if (r < 0) {
        _cleanup_free_ char *shown = wp_escape(e->target);
        return error_set(err, -r, e->path, "cannot create hard link to %s",
                         shown ? shown : "its target");
    }
    return 0;
}

int create_dir(int tree, const char *path, mode_t mode, struct wp_error *err)
{
    int r = *path ? beneath_mkdirs(tree, path, (mode & 0777) | 0700) : 0;
    return r < 0 ? error_set(err, -r, path, "cannot create directory") : 0;
}
