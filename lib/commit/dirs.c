/* Looks after directories: what the caller set for them, a look for mount points in those that are
 * to go, and the group that those staged elsewhere would have got. Trees may be deep: no recursion,
 * and few descriptors. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "staging_private.h"
#include "tree/beneath.h"

/* ---- What the caller set */

static int by_path(const void *a, const void *b)
{
    const struct staging_named *x = a, *y = b;
    int c = strcmp(x->d.path, y->d.path);
    return c ? c : x->seq < y->seq ? -1 : x->seq > y->seq;
}

void staging_dirs_sort(struct staging_area *a)
{
    array_sort(a->dirs, a->dir_count, by_path);
}

const struct staging_dir *staging_dir_find(const struct staging_area *a, const char *path)
{
    /* The first one behind PATH; before it the last one set for PATH. */
    size_t low = array_first(i, a->dir_count, strcmp(a->dirs[i].d.path, path) <= 0);

    return low > 0 && strcmp(a->dirs[low - 1].d.path, path) == 0 ? &a->dirs[low - 1].d : NULL;
}

void staging_dir_set_mode(struct staging_area *a, const char *path, mode_t mode)
{
    size_t n = array_first(i, a->dir_count, strcmp(a->dirs[i].d.path, path) <= 0);

    if (n > 0 && strcmp(a->dirs[n - 1].d.path, path) == 0)
        a->dirs[n - 1].d.mode = (a->dirs[n - 1].d.mode & 07000) | mode;
}

/* ---- Walking directories from the top down */

static int is_mount(int at, const char *name, int flags, bool *mount)
{
    struct statx x;
    if (statx(at, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &x) < 0)
        return -errno;
    *mount = x.stx_attributes & x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT;
    return S_ISDIR(x.stx_mode) ? 1 : 0;
}

int staging_add_dirs(struct path_list *p, int fd, const char *path, bool mounts)
{
    _cleanup_closedir_ DIR *d = file_list(fd);
    if (!d)
        return -errno;
    int more;
    for (struct dirent *e; (more = file_next(d, &e)) > 0;) {
        bool mount = false;
        int is_dir = e->d_type == DT_DIR;
        if (mounts || e->d_type == DT_UNKNOWN)
            is_dir = is_mount(dirfd(d), e->d_name, 0, &mount);
        if (error_is_absence(is_dir))
            continue;
        if (mounts && mount)
            return -EBUSY;
        int r = is_dir > 0 ? path_list_add(p, path_join(path, e->d_name)) : is_dir;
        if (r < 0)
            return r;
    }
    return more;
}

/* Can something be mounted below what is called NAME? The list of mounts has paths, with escapes.
 */
static bool may_have_mounts(const char *name)
{
    enum { LARGEST = 64 << 20 };
    _cleanup_buf_ struct buf list = {0};
    const size_t size = strlen(name);
    int r = file_read("/proc/self/mountinfo", LARGEST, &list, NULL);
    const char *text = NULL;

    if (r < 0 || buf_add(&list, "", 1) < 0 || strpbrk(name, " \t\n\\"))
        return true;
    for (text = strchr((const char *)list.data, '/'); text; text = strchr(text + 1, '/'))
        if (strncmp(text + 1, name, size) == 0 && strchr("/ ", text[1 + size]))
            return true;
    return false;
}

int staging_find_mounts(int at, const char *name)
{
    _cleanup_(path_list_clear) struct path_list p = {0};
    int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;

    if (!may_have_mounts(name))
        return 0;
    int r = path_list_add(&p, strdup(name));
    for (size_t i = 0; i < p.count && r == 0; i++) {
        int fd = beneath_open(at, p.v[i], flags, 0);
        if (fd >= 0)
            r = staging_add_dirs(&p, fd, p.v[i], true);
        else if (!error_is_absence(fd) && fd != -EACCES)
            r = fd;
        /* A directory that may not be read can be moved all the same, and removing what is left
         * of it stops at mount points. */
    }
    return r;
}

/* ---- The group of what is staged */

/* Gives NAME of AT group GID, and directories the setgid bit. Adds directories to P. */
static int inherit(struct path_list *p, int at, const char *name, const char *path, gid_t gid)
{
    struct stat st;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    /* The kernel gives a group to what is made there; its members alone may give it themselves,
     * and nobody one that the user namespace does not have. */
    if (fchownat(at, name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == EPERM || errno == EINVAL ? 0 : -errno;
    if (!S_ISDIR(st.st_mode))
        return 0;
    if (fchmodat(at, name, (st.st_mode & 07777) | S_ISGID, 0) < 0)
        return -errno;
    return path_list_add(p, strdup(path));
}

static int inherit_in(struct path_list *p, int at, const char *dir, gid_t gid)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *e;
    int r = beneath_list(at, dir, &d);

    if (r == -EACCES) /* packed so; it has got the group itself */
        return 0;
    while (r > 0 && (r = file_next(d, &e)) > 0) {
        _cleanup_free_ char *path = path_join(dir, e->d_name);

        r = path ? inherit(p, dirfd(d), e->d_name, path, gid) : -ENOMEM;
        if (r < 0)
            return r;
        r = 1;
    }
    return r;
}

int staging_dirs_inherit(int at, const char *name, gid_t gid)
{
    _cleanup_(path_list_clear) struct path_list p = {0};
    int r = inherit(&p, at, name, name, gid);

    for (size_t i = 0; i < p.count && r == 0; i++)
        r = inherit_in(&p, at, p.v[i], gid);
    return r;
}
