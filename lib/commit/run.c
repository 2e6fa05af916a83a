/* Carries out a list of operations, or takes them back.
 *
 * Nothing that was in a target is lost before the end: a staged thing and what it replaces change
 * places, so that an error can be answered by changing them back. Each operation finds out from
 * the inodes whether it is done; carried out twice it does nothing the second time, which is what
 * lets another process go on where this one was killed. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "run.h"
#include "tree/beneath.h"

/* A directory that holds a staging directory must stay writable until that is gone, and gets its
 * time again then. */
static bool holds_staging(const struct run *run, const struct stat *st)
{
    for (size_t i = 0; i < run->area_count; i++)
        if (run->areas[i].dev == st->st_dev && run->areas[i].ino == st->st_ino)
            return true;
    return false;
}

static int set_dir(const struct run *run, const struct staging_op *op, bool is_final)
{
    const struct staging_area *a = &run->areas[op->area];
    struct stat st;
    int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;

    _cleanup_close_ int fd = beneath_open(a->target_fd, op->path, flags, 0);
    if (fd == -EACCES && !is_final && beneath_chmod(a->target_fd, op->path, op->mode | 0700) == 0)
        fd = beneath_open(a->target_fd, op->path, flags, 0);
    /* The second time, its final mode or that of one above it may shut us out. */
    if (fd < 0)
        return is_final ? 0 : fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    bool holds = holds_staging(run, &st);
    if (is_final && !holds)
        return 0;
    mode_t for_now = holds && !is_final && geteuid() != 0 ? 0700 : 0;
    uid_t uid = op->uid == st.st_uid ? (uid_t)-1 : op->uid;
    gid_t gid = op->gid == st.st_gid ? (gid_t)-1 : op->gid;
    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) < 0)
        return -errno;
    if (fchmod(fd, op->mode | for_now) < 0)
        return -errno;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, op->mtime};
    return op->mtime.tv_nsec != UTIME_OMIT && futimens(fd, times) < 0 ? -errno : 0;
}

/* As with tar, the others are done all the same. */
static void set_dir_or_report(const struct run *run, const struct staging_op *op, bool is_final)
{
    int r = set_dir(run, op, is_final);
    if (r >= 0)
        return;
    const char *target = run->areas[op->area].target;
    _cleanup_free_ char *whole = path_append(target, op->path);
    report(run->context, WP_FAILED, whole ? whole : op->path,
           "cannot set owner, mode and time of the directory: %s", strerror(-r));
}

/* ---- All of them */

/* Operation I, or what takes it back. */
static int do_one(struct run *run, size_t i, bool undo)
{
    const struct staging_op *op = &run->plan->ops[i];

    if (run->areas[op->area].stage_fd < 0)
        return 0;
    int r = staging_step(undo ? "take back" : "operation");
    if (r < 0)
        return r;
    switch (op->kind) {
    case OP_MODE:
        return commit_change_mode(run, i, undo);
    case OP_REMOVE:
        return commit_take_away(run, i, undo);
    case OP_PUT:
        return undo ? commit_unput(run, i) : commit_put(run, i);
    case OP_DIR:
        if (!undo)
            set_dir_or_report(run, op, false);
    }
    return 0;
}

static int carry_out(struct run *run, size_t i)
{
    static const char *const what[] = {"cannot be made writable", "cannot be moved away",
                                       "cannot be put in place", "cannot be finished"};
    const struct staging_op *op = &run->plan->ops[i];
    int r = do_one(run, i, false);

    if (r >= 0)
        return 0;
    (void)staging_error(run->err, -r, &run->areas[op->area], op->path, what[op->kind]);
    if (r == -EXDEV)
        error_note(run->err, "a directory in a lower layer of an overlay cannot be renamed: remove "
                             "it first, or unpack elsewhere");
    return r;
}

/* Takes back the first COUNT operations; where one cannot be, all the others. */
static int take_back(struct run *run, size_t count)
{
    int first = 0;
    for (size_t i = count; i-- > 0;) {
        int r = do_one(run, i, true);

        if (r < 0 && first == 0)
            first = r;
    }
    return first;
}

int staging_run(struct staging_area *areas, size_t n, const struct staging_plan *plan, bool undo,
                const struct wp_context *context, bool *stuck, struct wp_error *err)
{
    struct wp_error cause = {0};
    _cleanup_(commit_forget_times) struct run run = {.areas = areas,
                                                     .area_count = n,
                                                     .plan = plan,
                                                     .context = context,
                                                     .err = &cause,
                                                     .new_parent = -ENOENT,
                                                     .target_parent = -ENOENT};
    size_t i = undo ? plan->count : 0;
    int r = undo ? -ECANCELED : 0;

    *stuck = false;
    for (; i < plan->count && r == 0; i++)
        r = carry_out(&run, i);
    commit_forget_parents(&run);
    if (r == 0)
        return 0;

    /* From here on another process takes back, too. */
    int dir = areas[0].stage_fd;
    if (!undo)
        (void)!renameat(dir, STAGING_JOURNAL, dir, STAGING_UNDO);
    int back = take_back(&run, i);
    commit_forget_parents(&run);
    if (back < 0) {
        *stuck = true;
        return error_set(err, -back, areas[0].target,
                         "%s%swhat was done cannot be taken back, old data is left in %s",
                         cause.message, cause.code ? "; " : "", areas[0].name);
    }
    if (undo) /* of a dead run: what somebody may have seen since is not what was before */
        return 0;
    commit_give_times_back(&run);
    /* The cause ends with strerror's text already. */
    error_pass(err, &cause);
    return r;
}

int staging_run_end(struct staging_area *areas, bool sync, struct wp_error *err)
{
    int dir = areas[0].stage_fd;
    int r = staging_step("end");
    if (r == 0 && unlinkat(dir, STAGING_JOURNAL, 0) < 0 && !error_is_absence(-errno))
        r = -errno;
    if (r == 0 && unlinkat(dir, STAGING_UNDO, 0) < 0 && !error_is_absence(-errno))
        r = -errno;
    if (r == 0 && sync && fsync(dir) < 0 && errno != EINVAL)
        r = -errno;
    return r < 0 ? error_set(err, -r, areas[0].target, "cannot remove the journal") : 0;
}

void staging_run_finish_dirs(struct staging_area *areas, size_t n, const struct staging_plan *plan,
                             const struct wp_context *context)
{
    struct run run = {.areas = areas, .area_count = n, .plan = plan, .context = context};
    for (size_t i = 0; i < plan->count; i++)
        if (plan->ops[i].kind == OP_DIR && areas[plan->ops[i].area].target_fd >= 0)
            set_dir_or_report(&run, &plan->ops[i], true);
}
