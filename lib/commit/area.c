/* Makes, opens and removes the staging directory of an area, and its lock.
 *
 * Making a staging directory races with another process that cleans up: between mkdir and flock a
 * fresh one looks dead. Both sides therefore follow one rule: who has the lock looks whether the
 * lock file still has a name; who removes does so under the lock, the lock file last. A maker who
 * finds his directory or lock file gone, or the lock taken, starts again under another name. A
 * directory without a lock file is removed only while it is empty. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/times.h"
#include "staging_private.h"
#include "tree/beneath.h"

enum { NAME_TRIES = 100 };

void staging_area_init(struct staging_area *a)
{
    *a = (struct staging_area){
        .target_fd = -1, .stage_fd = -1, .lock_fd = -1, .new_fd = -1, .old_fd = -1};
}

void staging_area_clear(struct staging_area *a)
{
    for (size_t i = 0; i < a->made_count; i++) {
        close(a->made[i].parent);
        free(a->made[i].name);
    }
    free(a->made);
    cleanup_close(&a->new_fd);
    cleanup_close(&a->old_fd);
    cleanup_close(&a->stage_fd);
    cleanup_close(&a->lock_fd);
    cleanup_close(&a->target_fd);
    free(a->target);
    free(a->physical);
    free(a->dirs);
    path_list_clear(&a->remove);
    staging_area_init(a);
}

static int random_name(char name[STAGING_NAME_SIZE])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned char bytes[6];
    ssize_t n;
    do
        n = getrandom(bytes, sizeof bytes, 0);
    while (n < 0 && errno == EINTR);
    if (n != sizeof bytes)
        return n < 0 ? -errno : -EIO;
    char *p = stpcpy(name, STAGING_PREFIX);
    for (size_t i = 0; i < sizeof bytes; i++)
        *p++ = digits[bytes[i] % (sizeof digits - 1)];
    *p = '\0';
    return 0;
}

static bool has_name(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* One try: 0, -EAGAIN where another process was quicker, or an error. */
static int make_locked(struct staging_area *a)
{
    struct stat st;
    int r = random_name(a->name);
    if (r < 0)
        return r;
    if (mkdirat(a->target_fd, a->name, 0700) < 0) {
        r = -errno;
        a->name[0] = '\0';
        return r == -EEXIST ? -EAGAIN : r;
    }
    if (fstat(a->target_fd, &st) < 0)
        return -errno;
    a->time_staged = st.st_mtim;
    a->stage_fd = openat(a->target_fd, a->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (a->stage_fd < 0)
        return error_is_absence(-errno) ? -EAGAIN : -errno;
    a->lock_fd =
        openat(a->stage_fd, "lock", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (a->lock_fd < 0)
        return error_is_absence(-errno) ? -EAGAIN : -errno;
    r = staging_step("lock");
    if (r == 0)
        r = file_lock(a->lock_fd); /* where there are none, nobody takes a staging for dead */
    if (r == -EWOULDBLOCK)
        return -EAGAIN;
    if (r < 0)
        return r;
    return has_name(a->lock_fd) ? 0 : -EAGAIN;
}

static void forget_stage(struct staging_area *a, bool remove)
{
    if (remove && a->stage_fd >= 0 && a->lock_fd >= 0)
        (void)!unlinkat(a->stage_fd, "lock", 0);
    cleanup_close(&a->new_fd);
    cleanup_close(&a->old_fd);
    cleanup_close(&a->lock_fd);
    if (remove && a->name[0])
        (void)!unlinkat(a->target_fd, a->name, AT_REMOVEDIR);
    cleanup_close(&a->stage_fd);
    a->name[0] = '\0';
}

/* new/ and old/, and the modes that an odd umask has taken. */
static int create_subdirs(struct staging_area *a)
{
    struct stat st;

    if (fstat(a->stage_fd, &st) < 0)
        return -errno;
    if (st.st_dev != a->dev)
        return -EXDEV;
    /* On a user's ground, one of his may have taken its place. */
    if (a->owner && a->owner->guarded && st.st_uid != geteuid())
        return -EPERM;
    if ((st.st_mode & 0777) != 0700 && fchmod(a->stage_fd, (st.st_mode & 07000) | 0700) < 0)
        return -errno;
    if (fchmod(a->lock_fd, 0600) < 0)
        return -errno;
    if (mkdirat(a->stage_fd, "new", 0777) < 0 || mkdirat(a->stage_fd, "old", 0700) < 0)
        return -errno;
    if (fstat(a->stage_fd, &st) < 0)
        return -errno;
    a->counts_dirs = st.st_nlink == 4;
    if (fstatat(a->stage_fd, "new", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    /* By whatever rule new/ got its group, what is made in it gets the same or that. */
    a->gives_own = st.st_uid == geteuid() && st.st_gid == getegid();
    a->umask = ~st.st_mode & 0777;
    a->dir_mode = st.st_mode & ~(mode_t)022 & 07777;
    if (fchmodat(a->stage_fd, "new", (st.st_mode & 07000) | 0700, 0) < 0 ||
        fchmodat(a->stage_fd, "old", (st.st_mode & 07000) | 0700, 0) < 0)
        return -errno;
    a->new_fd = openat(a->stage_fd, "new", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    a->old_fd = openat(a->stage_fd, "old", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return a->new_fd < 0 || a->old_fd < 0 ? -errno : 0;
}

/* Has nothing changed in the target since the staging was made? */
static bool is_as_staged(const struct staging_area *a)
{
    struct stat st;

    return a->name[0] && fstat(a->target_fd, &st) == 0 && time_is(st.st_mtim, a->time_staged);
}

static void give_time_back(const struct staging_area *a)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, a->time_before};

    (void)futimens(a->target_fd, times); /* only its owner can */
}

int staging_area_make(struct staging_area *a, struct wp_error *err)
{
    int r = -EAGAIN;
    bool is_ours = false;

    for (int i = 0; i < NAME_TRIES && r == -EAGAIN; i++) {
        r = make_locked(a);
        /* Another process that saw it in between removes what it took for dead. */
        is_ours = is_as_staged(a);
        if (r < 0)
            forget_stage(a, r != -EAGAIN);
    }
    if (r == 0) {
        r = create_subdirs(a);
        if (r < 0) {
            (void)staging_area_remove(a);
            forget_stage(a, false);
        }
    }
    if (r < 0 && is_ours)
        give_time_back(a);
    return r < 0 ? error_set(err, -r, a->target, "cannot make a staging directory here") : 0;
}

/* ABOVE: the owner of the directory that it lies in, where that may be anybody's. */
static bool is_own(const struct stat *st, uid_t above)
{
    return st->st_uid == geteuid() || st->st_uid == 0 || st->st_uid == above;
}

/* Does R, of opening NAME of DIR, say that what has the name is none of our staging, or gone? One
 * of ours that cannot be looked at may hold the only copy of old data. */
static bool is_strange(int dir, const char *name, int r)
{
    struct stat st;

    if (error_is_absence(r) || r == -ELOOP || r == -EISDIR || r == -ENXIO)
        return true;
    if (r != -EACCES && r != -EPERM)
        return false;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_is_absence(-errno);
    return st.st_uid != geteuid();
}

/* Opens the lock file of somebody's staging. Nobody else can have made things in there: it is
 * 0700 and ours. */
static int open_lock(struct staging_area *a, const char *name, enum staging_adoption how,
                     uid_t above)
{
    struct stat st;
    int access = how == STAGING_LOOK ? O_RDONLY : O_RDWR; /* it may be on a read-only filesystem */
    int fd = openat(a->stage_fd, "lock", access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        /* Its maker died before he made the lock, or comes and finds the directory gone. */
        int r = -errno;
        if (error_is_absence(r) && how != STAGING_LOOK)
            (void)!unlinkat(a->target_fd, name, AT_REMOVEDIR);
        return is_strange(a->stage_fd, "lock", r) ? -ENOENT : r;
    }
    a->lock_fd = fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) && is_own(&st, above) ? 0 : -ENOENT;
}

/* Opens directory NAME of a staging; *FD stays -1 where there is none. */
static int open_part(const struct staging_area *a, const char *name, int *fd)
{
    *fd = openat(a->stage_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd < 0 && !error_is_absence(-errno) ? -errno : 0;
}

static int adopt(struct staging_area *a, const char *name, enum staging_adoption how)
{
    struct stat st;
    uid_t above = 0;

    if (how == STAGING_LOOK) {
        if (fstat(a->target_fd, &st) < 0)
            return -errno;
        above = st.st_uid;
    }
    a->stage_fd =
        openat(a->target_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (a->stage_fd < 0) {
        int r = -errno;
        return is_strange(a->target_fd, name, r) ? -ENOENT : r;
    }
    if (fstat(a->stage_fd, &st) < 0)
        return -errno;
    if (!is_own(&st, above) || (st.st_mode & 0777) != 0700 || st.st_dev != a->dev)
        return -ENOENT;
    int r = open_lock(a, name, how, above);
    if (r < 0)
        return r;
    if (how == STAGING_LOCK) {
        r = file_lock(a->lock_fd);
        if (r <= 0)
            return r < 0 ? r : -ENOLCK;
        if (!has_name(a->lock_fd))
            return -ENOENT;
    }
    /* Either is missing where its maker, or a removal, was cut short. */
    r = open_part(a, "new", &a->new_fd);
    return r < 0 ? r : open_part(a, "old", &a->old_fd);
}

int staging_area_adopt(struct staging_area *a, const char *name, enum staging_adoption how)
{
    if (!own_is_staging(name))
        return -ENOENT;
    int r = adopt(a, name, how);
    if (r < 0) {
        forget_stage(a, false);
        return r;
    }
    memcpy(a->name, name, STAGING_NAME_SIZE);
    return 0;
}

void staging_area_undo(struct staging_area *a)
{
    bool is_ours = is_as_staged(a);

    if (staging_area_remove(a) == 0 && is_ours)
        give_time_back(a);
    /* Where one is not empty, somebody else uses it now. */
    for (size_t i = a->made_count; i-- > 0;)
        (void)!unlinkat(a->made[i].parent, a->made[i].name, AT_REMOVEDIR);
}

int staging_area_remove(struct staging_area *a)
{
    static const char *const parts[] = {STAGING_JOURNAL, STAGING_UNDO, STAGING_JOURNAL_TMP,
                                        "new",           "old",        STAGING_JOURNAL_AT};

    if (a->stage_fd < 0)
        return 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int r = beneath_remove(a->stage_fd, parts[i]);
        if (r < 0)
            return r;
        if (staging_step("remove") < 0)
            return -EIO;
    }
    if (unlinkat(a->stage_fd, "lock", 0) < 0 && !error_is_absence(-errno))
        return -errno;
    if (staging_step("remove lock") < 0)
        return -EIO;
    /* NFS and FUSE keep an unlinked file under another name, in here, while it is open. */
    cleanup_close(&a->new_fd);
    cleanup_close(&a->old_fd);
    cleanup_close(&a->lock_fd);
    if (unlinkat(a->target_fd, a->name, AT_REMOVEDIR) < 0 && !error_is_no_entry(-errno))
        return -errno;
    forget_stage(a, false);
    return 0;
}
