/* Removes a tree of any depth with a bounded number of descriptors and no recursion. */

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/own_names.h"
#include "base/temporary.h"
#include "beneath.h"

/* Directories that stay open while their subdirectories are removed. Those further up are closed,
 * and found again through "..". */
enum { OPEN_LEVELS = 32 };

struct level {
    char *name; /* in the level above; owned */
    dev_t dev;
    ino_t ino;
    DIR *dir;     /* owned; NULL: closed to save descriptors */
    bool removed; /* something was, since the listing began */
};

struct remover {
    int parent; /* of the top; borrowed */
    struct level *levels;
    size_t depth;
};

static void remover_free(struct remover *r)
{
    while (r->depth > 0) {
        struct level *l = &r->levels[--r->depth];
        free(l->name);
        if (l->dir)
            closedir(l->dir);
    }
    free(r->levels);
}

/* The descriptor of the innermost directory. */
static int here(const struct remover *r)
{
    return r->depth == 0 ? r->parent : dirfd(r->levels[r->depth - 1].dir);
}

static bool is_mount_point(int fd)
{
    struct statx x;
    return statx(fd, "", AT_EMPTY_PATH, 0, &x) == 0 &&
           (x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
           (x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int open_dir(int at, const char *name)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;
    int fd = beneath_open(at, name, flags, 0);
    if (fd != -EACCES)
        return fd;
    int r = beneath_chmod(at, name, 0700);
    return r < 0 ? -EACCES : beneath_open(at, name, flags, 0);
}

/* Opens directory NAME of the innermost one and makes it the innermost. */
static int descend(struct remover *r, const char *name)
{
    _cleanup_close_ int fd = open_dir(here(r), name);
    if (fd < 0)
        return fd;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (is_mount_point(fd) || (r->depth > 0 && st.st_dev != r->levels[r->depth - 1].dev))
        return -EBUSY;
    /* Where this is not allowed, removing what is in there will say so. */
    if ((st.st_mode & 0700) != 0700)
        (void)!fchmod(fd, (st.st_mode & 07777) | 0700);

    if (array_grow(r->levels, r->depth) < 0)
        return -ENOMEM;
    struct level l = {.name = strdup(name), .dev = st.st_dev, .ino = st.st_ino};
    if (!l.name)
        return -ENOMEM;
    l.dir = fdopendir(fd);
    if (!l.dir) {
        free(l.name);
        return -errno;
    }
    take_fd(&fd);
    r->levels[r->depth++] = l;

    if (r->depth > OPEN_LEVELS) {
        struct level *far = &r->levels[r->depth - 1 - OPEN_LEVELS];
        if (far->dir)
            closedir(take_ptr(far->dir));
    }
    return 0;
}

/* The level above the innermost is needed again. */
static int reopen_above(struct remover *r)
{
    struct level *above = &r->levels[r->depth - 2];
    if (above->dir)
        return 0;
    _cleanup_close_ int fd = openat(here(r), "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    /* Someone has moved the directory that we are in: ".." may now be anything. */
    if (st.st_dev != above->dev || st.st_ino != above->ino)
        return -ESTALE;
    above->dir = fdopendir(fd);
    if (!above->dir)
        return -errno;
    take_fd(&fd);
    above->removed = false;
    return 0;
}

/* The innermost directory has been listed to its end: it goes, and we are in the one above. */
static int ascend(struct remover *r)
{
    struct level *l = &r->levels[r->depth - 1];
    if (r->depth > 1) {
        int e = reopen_above(r);
        if (e < 0)
            return e;
    }
    int at = r->depth > 1 ? dirfd(r->levels[r->depth - 2].dir) : r->parent;
    if (unlinkat(at, l->name, AT_REMOVEDIR) < 0 && !error_is_no_entry(-errno)) {
        /* A listing may miss names while others are removed, on some filesystems. */
        if ((errno != ENOTEMPTY && errno != EEXIST) || !l->removed)
            return -errno;
        l->removed = false;
        rewinddir(l->dir);
        return 0;
    }
    free(l->name);
    closedir(l->dir);
    if (--r->depth > 0)
        r->levels[r->depth - 1].removed = true;
    return 0;
}

/* Removes NAME of the innermost directory, or enters it. TYPE is a hint. */
static int remove_or_enter(struct remover *r, const char *name, unsigned char type)
{
    if (type != DT_DIR) {
        if (unlinkat(here(r), name, 0) == 0) {
            if (r->depth > 0)
                r->levels[r->depth - 1].removed = true;
            return 0;
        }
        if (error_is_absence(-errno))
            return 0;
        /* POSIX says EPERM of a directory, Linux EISDIR. */
        if (errno != EISDIR && errno != EPERM)
            return -errno;
        struct stat st;
        int saved = errno;
        if (fstatat(here(r), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
            return -saved;
    }
    int e = descend(r, name);
    return error_is_absence(e) ? 0 : e;
}

int beneath_remove(int dir, const char *path)
{
    const char *name;
    _cleanup_close_ int parent = beneath_parent(dir, path, &name);
    if (parent < 0)
        return error_is_absence(parent) ? 0 : parent;

    _cleanup_(remover_free) struct remover r = {.parent = parent};
    int e = remove_or_enter(&r, name, DT_UNKNOWN);
    while (e == 0 && r.depth > 0) {
        struct dirent *d;
        e = file_next(r.levels[r.depth - 1].dir, &d);
        if (e >= 0)
            e = e ? remove_or_enter(&r, d->d_name, d->d_type) : ascend(&r);
    }
    return e;
}

int beneath_sweep(int fd, const char *dir)
{
    _cleanup_close_ int at = beneath_open(fd, dir, O_RDONLY | O_DIRECTORY, 0);

    if (at < 0)
        return beneath_is_absence(at) ? 0 : at;
    return temporary_sweep(at, OWN_REPLACING, OWN_LINK_TAIL);
}
