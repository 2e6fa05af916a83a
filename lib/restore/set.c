/* Repairing, within the commit: sets the times and modes that may be set, and gives those back that
 * were there where the commit fails. */

#include <errno.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/times.h"
#include "job.h"
#include "tree/beneath.h"

bool restore_is_refused(int e)
{
    return e == EPERM || e == EACCES || e == EROFS || e == EINVAL;
}

/* Sets time and mode of one file, as far as nobody has changed it meanwhile. */
static int set_now(struct restore *restore, struct repair *repair, struct restored *f,
                   struct wp_error *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, f->now};
    _cleanup_close_ int fd = beneath_open_read(restore->fd, f->path);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, fd < 0 ? -fd : errno, f->path, "cannot be opened");
    f->mode_before = st.st_mode & 07777;
    /* Another name of it may have been here before, or the layout has a use for the file, too; or
     * something else has been put here. */
    if (!time_is(st.st_mtim, f->before) || st.st_dev != f->dev || st.st_ino != f->ino)
        return 0;
    f->is_set = true;
    if (f->sets_mode && (st.st_mode & 0777) != f->mode) {
        if (fchmod(fd, f->mode) == 0)
            restore->result->modes++;
        else if (errno != EPERM && errno != EROFS)
            return error_set(err, errno, f->path, "cannot set mode");
    }
    if (time_is(f->now, f->before))
        return 0;
    if (futimens(fd, times) < 0 && !restore_is_refused(errno))
        return error_set(err, errno, f->path, "cannot set time");
    if (fstat(fd, &st) < 0)
        return error_set(err, errno, f->path, "cannot stat");
    repair->rounded |= !time_is(st.st_mtim, f->now);
    f->now = st.st_mtim;
    if (time_is(f->now, f->before))
        return 0;
    restore->result->times++;
    report(restore->context, restore_detail(restore), f->path, "its time is set");
    return 0;
}

int restore_set_times(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < repair->t->m.entry_count && r == 0; i++) {
        struct restored *f = &repair->files[i];

        if (f->status == RESTORED_SAME && (f->sets_mode || !time_is(f->now, f->before)))
            r = set_now(restore, repair, f, err);
    }
    return r;
}

void restore_take_back_times(struct restore *restore, struct repair *repair)
{
    for (size_t i = repair->t->m.entry_count; i-- > 0;) {
        const struct restored *f = &repair->files[i];
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, f->before};
        _cleanup_close_ int fd = -1;

        if (!f->is_set)
            continue;
        fd = beneath_open_read(restore->fd, f->path);
        if (fd < 0)
            continue;
        if (f->sets_mode)
            (void)!fchmod(fd, f->mode_before);
        (void)!futimens(fd, times);
    }
}
