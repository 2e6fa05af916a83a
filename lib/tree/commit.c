/* Carrying out a list of operations, or taking them back.
 *
 * Nothing that was in a target is lost before the end: a staged thing and what it replaces change
 * places, so that an error can be answered by changing them back. Each operation finds out from
 * the inodes whether it is done; carried out twice it does nothing the second time, which is what
 * lets another process go on where this one was killed. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "beneath.h"
#include "staging_private.h"

enum { TRIES = 8 };

struct run {
    struct staging_area *areas; /* one without a staging directory is passed over */
    size_t area_count;
    const struct staging_plan *plan;
    const struct wp_report *rep;
    struct wp_error *err;

    /* Where the last path lay: operations come directory by directory. */
    unsigned area;
    char *dir;                     /* owned; NULL: nothing kept */
    int new_parent, target_parent; /* or negative errno */
};

static void forget_parents(struct run *run)
{
    free(run->dir);
    run->dir = NULL;
    cleanup_close(&run->new_parent);
    cleanup_close(&run->target_parent);
    run->new_parent = run->target_parent = -ENOENT;
}

/* Opens the directories that hold PATH in the staged tree and in the target. */
static int find_parents(struct run *run, const struct staging_op *op, const char **name)
{
    const struct staging_area *a = &run->areas[op->area];
    *name = path_base(op->path);
    size_t n = (size_t)(*name - op->path);

    if (run->dir && run->area == op->area && strlen(run->dir) == n &&
        strncmp(run->dir, op->path, n) == 0)
        return 0;
    forget_parents(run);
    run->dir = strndup(op->path, n);
    if (!run->dir)
        return -ENOMEM;
    run->area = op->area;
    run->new_parent = beneath_parent(a->new_fd, op->path, name);
    run->target_parent = beneath_parent(a->target_fd, op->path, name);
    /* What is missing now may come with a later operation. */
    if (run->new_parent < 0 || run->target_parent < 0) {
        free(run->dir);
        run->dir = NULL;
    }
    return 0;
}

/* What operation I sets aside has this name in old/. */
static void old_name(size_t i, char out[24])
{
    snprintf(out, 24, "%zu", i);
}

static bool there(int at, const char *name, struct stat *st)
{
    return at >= 0 && fstatat(at, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int rename_flags(int from, const char *a, int to, const char *b, unsigned flags)
{
    if (staging_plain_renames)
        return -EINVAL;
    return renameat2(from, a, to, b, flags) < 0 ? -errno : 0;
}

static bool no_such_flags(int r)
{
    return r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP;
}

/* Moves to a name that is free; -EEXIST. */
static int move(int from, const char *a, int to, const char *b)
{
    struct stat st;
    int r = rename_flags(from, a, to, b, RENAME_NOREPLACE);
    if (!no_such_flags(r))
        return r;
    if (there(to, b, &st))
        return -EEXIST;
    return renameat(from, a, to, b) < 0 ? -errno : 0;
}

/* ---- PUT */

static int kept(const struct run *run, const struct staging_op *op)
{
    _cleanup_free_ char *whole = path_join(run->areas[op->area].target, op->path);
    report(run->rep, WP_FAILED, whole ? whole : op->path, "exists already, kept");
    return 0;
}

/* Something has appeared there since the commit was planned. */
static int check_newcomer(const struct run *run, const struct staging_op *op,
                          const struct stat *staged, const struct stat *newcomer)
{
    if (run->plan->keep_old)
        return 1;
    if (!op->replaces && (S_ISDIR(staged->st_mode) || S_ISDIR(newcomer->st_mode)))
        return -EEXIST;
    return 0;
}

/* Without exchange: what is there is set aside first. A file gets a second name there, so that
 * there is no moment without it; a directory cannot. */
static int put_plain(struct run *run, size_t i, const struct stat *staged, const char *name)
{
    const struct staging_op *op = &run->plan->ops[i];
    const struct staging_area *a = &run->areas[op->area];
    int from = run->new_parent, to = run->target_parent;
    struct stat st;
    char aside[24];

    old_name(i, aside);
    if (there(to, name, &st)) {
        int r = check_newcomer(run, op, staged, &st);
        if (r != 0)
            return r < 0 ? r : kept(run, op);
        bool linked = !S_ISDIR(st.st_mode) && !S_ISDIR(staged->st_mode) &&
                      (linkat(to, name, a->old_fd, aside, 0) == 0 || errno == EEXIST);
        if (!linked && renameat(to, name, a->old_fd, aside) < 0)
            return -errno;
        r = staging_step("put aside");
        if (r < 0)
            return r;
    }
    return renameat(from, name, to, name) < 0 ? -errno : 0;
}

static int put(struct run *run, size_t i)
{
    const struct staging_op *op = &run->plan->ops[i];
    struct stat staged, st;
    const char *name;

    int r = find_parents(run, op, &name);
    if (r < 0)
        return r;
    if (run->new_parent < 0)
        return run->new_parent == -ENOENT ? 0 : run->new_parent;
    if (!there(run->new_parent, name, &staged) || staged.st_ino != op->ino)
        return 0; /* done: what lies there is what was replaced */
    if (run->target_parent < 0)
        return run->target_parent;

    bool exchange = op->replaces;
    for (int tries = 0; tries < TRIES; tries++) {
        r = rename_flags(run->new_parent, name, run->target_parent, name,
                         exchange ? RENAME_EXCHANGE : RENAME_NOREPLACE);
        if (no_such_flags(r))
            return put_plain(run, i, &staged, name);
        if (r == -ENOENT && exchange) {
            exchange = false;
            continue;
        }
        if (r != -EEXIST || exchange)
            return r;
        if (!there(run->target_parent, name, &st))
            continue;
        r = check_newcomer(run, op, &staged, &st);
        if (r != 0)
            return r < 0 ? r : kept(run, op);
        exchange = true;
    }
    return -EBUSY;
}

static int unput(struct run *run, size_t i)
{
    const struct staging_op *op = &run->plan->ops[i];
    const struct staging_area *a = &run->areas[op->area];
    struct stat st, other;
    const char *name;
    char aside[24];

    int r = find_parents(run, op, &name);
    if (r < 0)
        return r;
    int from = run->target_parent, to = run->new_parent;
    if (from < 0)
        return from == -ENOENT ? 0 : from;
    old_name(i, aside);
    if (there(from, name, &st)) {
        if (st.st_ino != op->ino)
            return 0;
        if (to < 0)
            return to;
        if (there(to, name, &other))
            return rename_flags(from, name, to, name, RENAME_EXCHANGE);
        r = move(from, name, to, name);
        if (r < 0)
            return r;
    }
    return there(a->old_fd, aside, &other) ? move(a->old_fd, aside, from, name) : 0;
}

/* ---- REMOVE and MODE */

static int take_away(struct run *run, size_t i, bool undo)
{
    const struct staging_op *op = &run->plan->ops[i];
    const struct staging_area *a = &run->areas[op->area];
    struct stat st;
    const char *name;
    char aside[24];

    int r = find_parents(run, op, &name);
    if (r < 0)
        return r;
    old_name(i, aside);
    bool done = there(a->old_fd, aside, &st);
    if (done != undo)
        return 0;
    if (run->target_parent < 0)
        return run->target_parent == -ENOENT && !undo ? 0 : run->target_parent;
    if (undo)
        return move(a->old_fd, aside, run->target_parent, name);
    r = move(run->target_parent, name, a->old_fd, aside);
    return r == -ENOENT ? 0 : r;
}

static int change_mode(struct run *run, size_t i, bool undo)
{
    const struct staging_op *op = &run->plan->ops[i];
    int at = run->areas[op->area].target_fd;
    struct stat st;

    int r = beneath_stat(at, op->path, &st);
    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
        return 0;
    if (r < 0 || st.st_ino != op->ino || !S_ISDIR(st.st_mode))
        return r;
    return beneath_chmod(at, op->path, undo ? op->before : op->mode);
}

/* ---- DIR */

/* A directory that holds a staging directory must stay writable until that is gone, and gets its
 * time again then. */
static bool holds_staging(const struct run *run, const struct stat *st)
{
    for (size_t i = 0; i < run->area_count; i++)
        if (run->areas[i].dev == st->st_dev && run->areas[i].ino == st->st_ino)
            return true;
    return false;
}

static int set_dir(const struct run *run, const struct staging_op *op, bool settle)
{
    const struct staging_area *a = &run->areas[op->area];
    struct stat st;
    int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;

    _cleanup_close_ int fd = beneath_open(a->target_fd, op->path, flags, 0);
    if (fd == -EACCES && !settle && beneath_chmod(a->target_fd, op->path, op->mode | 0700) == 0)
        fd = beneath_open(a->target_fd, op->path, flags, 0);
    /* The second time, its final mode or that of one above it may shut us out. */
    if (fd < 0)
        return settle ? 0 : fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    bool holds = holds_staging(run, &st);
    if (settle && !holds)
        return 0;
    mode_t for_now = holds && !settle && geteuid() != 0 ? 0700 : 0;
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
static void set_dir_or_report(const struct run *run, const struct staging_op *op, bool settle)
{
    int r = set_dir(run, op, settle);
    if (r >= 0)
        return;
    const char *target = run->areas[op->area].target;
    _cleanup_free_ char *whole = *op->path ? path_join(target, op->path) : strdup(target);
    report(run->rep, WP_FAILED, whole ? whole : op->path,
           "cannot set owner, mode and time of the directory: %s", strerror(-r));
}

/* ---- All of them */

static int carry_out(struct run *run, size_t i)
{
    static const char *const what[] = {"cannot be made writable", "cannot be moved away",
                                       "cannot be put in place", "cannot be finished"};
    const struct staging_op *op = &run->plan->ops[i];

    if (run->areas[op->area].stage_fd < 0)
        return 0;
    int r = staging_step("operation");
    if (r == 0 && op->kind == OP_MODE)
        r = change_mode(run, i, false);
    else if (r == 0 && op->kind == OP_REMOVE)
        r = take_away(run, i, false);
    else if (r == 0 && op->kind == OP_PUT)
        r = put(run, i);
    else if (r == 0)
        set_dir_or_report(run, op, false);
    return r < 0 ? staging_error(run->err, -r, &run->areas[op->area], op->path, what[op->kind]) : 0;
}

/* Takes back the first COUNT operations: all that can be, even where one cannot. */
static int take_back(struct run *run, size_t count)
{
    int first = 0;
    for (size_t i = count; i-- > 0;) {
        const struct staging_op *op = &run->plan->ops[i];
        if (run->areas[op->area].stage_fd < 0)
            continue;
        int r = staging_step("take back");
        if (r == 0 && op->kind == OP_MODE)
            r = change_mode(run, i, true);
        else if (r == 0 && op->kind == OP_REMOVE)
            r = take_away(run, i, true);
        else if (r == 0 && op->kind == OP_PUT)
            r = unput(run, i);
        if (r < 0 && first == 0)
            first = r;
    }
    return first;
}

int staging_run(struct staging_area *areas, size_t n, const struct staging_plan *plan, bool undo,
                const struct wp_report *rep, bool *stuck, struct wp_error *err)
{
    struct wp_error cause = {0};
    struct run run = {.areas = areas,
                      .area_count = n,
                      .plan = plan,
                      .rep = rep,
                      .err = &cause,
                      .new_parent = -ENOENT,
                      .target_parent = -ENOENT};
    size_t i = undo ? plan->count : 0;
    int r = undo ? -ECANCELED : 0;

    *stuck = false;
    for (; i < plan->count && r == 0; i++)
        r = carry_out(&run, i);
    forget_parents(&run);
    if (r == 0)
        return 0;

    /* From here on another process takes back, too. */
    int dir = areas[0].stage_fd;
    if (!undo)
        (void)!renameat(dir, STAGING_JOURNAL, dir, STAGING_UNDO);
    int back = take_back(&run, i);
    forget_parents(&run);
    if (back < 0) {
        *stuck = true;
        return error_set(err, -back, areas[0].target,
                         "%s%swhat was done cannot be taken back, old data is left in %s",
                         cause.message, cause.code ? "; " : "", areas[0].name);
    }
    if (undo)
        return 0;
    /* The cause ends with strerror's text already. */
    if (err && !err->code)
        *err = cause;
    return r;
}

int staging_run_end(struct staging_area *areas, bool sync, struct wp_error *err)
{
    int dir = areas[0].stage_fd;
    int r = staging_step("end");
    if (r == 0 && unlinkat(dir, STAGING_JOURNAL, 0) < 0 && errno != ENOENT)
        r = -errno;
    if (r == 0 && unlinkat(dir, STAGING_UNDO, 0) < 0 && errno != ENOENT)
        r = -errno;
    if (r == 0 && sync && fsync(dir) < 0 && errno != EINVAL)
        r = -errno;
    return r < 0 ? error_set(err, -r, areas[0].target, "cannot remove the journal") : 0;
}

void staging_run_settle(struct staging_area *areas, size_t n, const struct staging_plan *plan,
                        const struct wp_report *rep)
{
    struct run run = {.areas = areas, .area_count = n, .plan = plan, .rep = rep};
    for (size_t i = 0; i < plan->count; i++)
        if (plan->ops[i].kind == OP_DIR && areas[plan->ops[i].area].target_fd >= 0)
            set_dir_or_report(&run, &plan->ops[i], true);
}
