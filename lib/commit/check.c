/* Finds out what may be done to what is in a target, before anything is touched. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "plan.h"

int plan_look(int at, const char *name, struct found *f)
{
    struct statx x;
    if (statx(at, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &x) < 0)
        return -errno;
    *f = (struct found){.mode = x.stx_mode,
                        .uid = x.stx_uid,
                        .dev = makedev(x.stx_dev_major, x.stx_dev_minor),
                        .ino = x.stx_ino,
                        .mount = x.stx_attributes & x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT};
    return 0;
}

/* The directory gets write permission for a while. RESTORE: it is still there afterwards. */
static int unlock_dir(struct planner *p, unsigned area, const char *path, const struct stat *st,
                      bool restore)
{
    for (size_t i = 0; i < p->plan->count; i++) {
        const struct staging_op *op = &p->plan->ops[i];
        if (op->kind == OP_MODE && op->area == area && strcmp(op->path, path) == 0)
            return 0;
    }
    struct staging_op *op = staging_plan_add(p->plan, OP_MODE, area, path);
    if (!op)
        return error_nomem(p->err);
    op->ino = st->st_ino;
    op->mode = (st->st_mode & 07777) | 0700;
    op->before = st->st_mode & 07777;
    if (!restore || (!p->plan->keep_old && staging_dir_find(&p->s->areas[area], path)))
        return 0;
    return plan_dir(p, area, path, st->st_mode & 07777, NULL);
}

int plan_need_write(struct planner *p, unsigned area, const char *path, int fd, bool restore)
{
    struct stat st;
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0)
        return 0;
    int r = errno;
    if (r == EACCES && fstat(fd, &st) == 0 && st.st_uid == geteuid())
        return unlock_dir(p, area, path, &st, restore);
    return staging_error(p->err, r, &p->s->areas[area], path, "cannot write to this directory");
}

/* Is the target of an area in directory PATH of AREA? 1, 0 or -ENOMEM. */
static int holds_area(const struct planner *p, unsigned area, const char *path)
{
    _cleanup_free_ char *whole = path_join(p->s->areas[area].physical, path);
    for (int i = 0; whole && i < p->s->area_count; i++)
        if (path_is_under(p->s->areas[i].physical, whole))
            return 1;
    return whole ? 0 : -ENOMEM;
}

int plan_check_victim(struct planner *p, unsigned area, const char *path, int fd, const char *name,
                      const struct found *f, const struct stat *dir)
{
    struct staging_area *a = &p->s->areas[area];

    if (f->mount)
        return staging_error(p->err, EBUSY, a, path, "cannot be replaced, it is a mount point");
    if ((dir->st_mode & S_ISVTX) && geteuid() != 0 && f->uid != geteuid() &&
        dir->st_uid != geteuid())
        return staging_error(p->err, EPERM, a, path, "belongs to another user");
    if (!S_ISDIR(f->mode))
        return 0;
    int r = staging_find_mounts(fd, name);
    if (r < 0)
        return staging_error(p->err, -r, a, path,
                             r == -EBUSY ? "cannot be replaced, something is mounted in it"
                                         : "cannot look for mount points");
    r = holds_area(p, area, path);
    if (r != 0)
        return r < 0
                   ? error_nomem(p->err)
                   : staging_error(p->err, EBUSY, a, path, "a cache directory to be kept is in it");
    /* A directory must be writable itself to get another parent. */
    _cleanup_close_ int victim = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (victim < 0)
        return staging_error(p->err, errno, a, path, "cannot open directory");
    return plan_need_write(p, area, path, victim, false);
}

bool plan_is_empty(int at, const char *name)
{
    _cleanup_closedir_ DIR *d = file_list_at(at, name);
    struct dirent *e;
    return d && file_next(d, &e) == 0;
}
