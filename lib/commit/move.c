/* Carries out the operations that move something, or open the way for it. Each finds out from the
 * inodes whether it is done. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "run.h"
#include "tree/beneath.h"

enum { TRIES = 8 };

void commit_forget_parents(struct run *run)
{
    free(run->dir);
    run->dir = NULL;
    cleanup_close(&run->new_parent);
    cleanup_close(&run->target_parent);
    run->new_parent = run->target_parent = -ENOENT;
}

/* One that cannot be noted is not given back: nothing is lost with it. */
static void note_time(struct run *run)
{
    struct run_time t = {.area = run->area};
    struct stat st;

    if (fstat(run->target_parent, &st) < 0 || array_grow(run->times, run->time_count) < 0)
        return;
    t.path = strdup(run->dir);
    t.mtime = st.st_mtim;
    if (t.path)
        run->times[run->time_count++] = t;
}

void commit_forget_times(struct run *run)
{
    for (size_t i = 0; i < run->time_count; i++)
        free(run->times[i].path);
    free(run->times);
    run->times = NULL;
    run->time_count = 0;
}

void commit_give_times_back(const struct run *run)
{
    /* Of several notes of a directory the first one counts. */
    for (size_t i = run->time_count; i-- > 0;) {
        const struct run_time *t = &run->times[i];
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, t->mtime};
        _cleanup_close_ int fd = beneath_open(run->areas[t->area].target_fd, t->path,
                                              O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);

        if (fd >= 0)
            (void)futimens(fd, times);
    }
}

/* Opens the directories that hold operation I's path in the staged tree and in the target. */
static int find_parents(struct run *run, size_t i)
{
    const struct staging_op *op = &run->plan->ops[i];
    const struct staging_area *a = &run->areas[op->area];
    run->name = path_base(op->path);
    snprintf(run->aside, sizeof run->aside, "%zu", i);
    size_t n = (size_t)(run->name - op->path);

    if (run->dir && run->area == op->area && strlen(run->dir) == n &&
        strncmp(run->dir, op->path, n) == 0)
        return 0;
    commit_forget_parents(run);
    run->dir = strndup(op->path, n);
    if (!run->dir)
        return -ENOMEM;
    run->area = op->area;
    run->new_parent = beneath_parent(a->new_fd, op->path, &run->name);
    run->target_parent = beneath_parent(a->target_fd, op->path, &run->name);
    /* What is missing now may come with a later operation. */
    if (run->new_parent < 0 || run->target_parent < 0) {
        free(run->dir);
        run->dir = NULL;
    } else {
        note_time(run);
    }
    return 0;
}

/* Is NAME there? 1, 0 or negative errno: what cannot be seen has not been moved for that. */
static int look(int at, const char *name, struct stat *st)
{
    int r = staging_step("look");
    if (r < 0 || at < 0)
        return r;
    if (fstatat(at, name, st, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return error_is_absence(-errno) ? 0 : -errno;
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
    r = look(to, b, &st);
    if (r != 0)
        return r < 0 ? r : -EEXIST;
    return renameat(from, a, to, b) < 0 ? -errno : 0;
}

/* ---- PUT */

static int kept(const struct run *run, const struct staging_op *op)
{
    _cleanup_free_ char *whole = path_join(run->areas[op->area].target, op->path);
    report(run->context, WP_FAILED, whole ? whole : op->path, "exists already, kept");
    return 0;
}

/* Something has appeared there since the commit was planned. 1: it stays; 0: it is replaced. */
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
static int put_plain(struct run *run, const struct staging_op *op, const struct stat *staged)
{
    const struct staging_area *a = &run->areas[op->area];
    const char *name = run->name;
    int from = run->new_parent, to = run->target_parent;
    struct stat st;

    int r = look(to, name, &st);
    if (r < 0)
        return r;
    if (r > 0) {
        r = check_newcomer(run, op, staged, &st);
        if (r != 0)
            return r < 0 ? r : kept(run, op);
        bool linked = !S_ISDIR(st.st_mode) && !S_ISDIR(staged->st_mode) &&
                      (linkat(to, name, a->old_fd, run->aside, 0) == 0 || errno == EEXIST);
        if (!linked && renameat(to, name, a->old_fd, run->aside) < 0)
            return -errno;
        r = staging_step("put aside");
        if (r < 0)
            return r;
    }
    return renameat(from, name, to, name) < 0 ? -errno : 0;
}

int commit_put(struct run *run, size_t i)
{
    const struct staging_op *op = &run->plan->ops[i];
    struct stat staged, st;

    int r = find_parents(run, i);
    if (r < 0)
        return r;
    const char *name = run->name;
    if (run->new_parent < 0)
        return error_is_absence(run->new_parent) ? 0 : run->new_parent;
    r = look(run->new_parent, name, &staged);
    if (r <= 0 || staged.st_ino != op->ino)
        return r < 0 ? r : 0; /* done: what lies there is what was replaced */
    if (run->target_parent < 0)
        return run->target_parent;

    bool exchange = op->replaces;
    for (int tries = 0; tries < TRIES; tries++) {
        r = rename_flags(run->new_parent, name, run->target_parent, name,
                         exchange ? RENAME_EXCHANGE : RENAME_NOREPLACE);
        if (no_such_flags(r))
            return put_plain(run, op, &staged);
        if (error_is_absence(r) && exchange) {
            exchange = false;
            continue;
        }
        if (r != -EEXIST || exchange)
            return r;
        r = look(run->target_parent, name, &st);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        r = check_newcomer(run, op, &staged, &st);
        if (r != 0)
            return r < 0 ? r : kept(run, op);
        exchange = true;
    }
    return -EBUSY;
}

int commit_unput(struct run *run, size_t i)
{
    const struct staging_op *op = &run->plan->ops[i];
    const struct staging_area *a = &run->areas[op->area];
    struct stat st, other;

    int r = find_parents(run, i);
    if (r < 0)
        return r;
    const char *name = run->name;
    int from = run->target_parent, to = run->new_parent;
    if (from < 0)
        return error_is_absence(from) ? 0 : from;
    r = look(from, name, &st);
    if (r < 0)
        return r;
    if (r > 0) {
        if (st.st_ino != op->ino)
            return 0;
        if (to < 0)
            return to;
        r = look(to, name, &other);
        if (r != 0)
            return r < 0 ? r : rename_flags(from, name, to, name, RENAME_EXCHANGE);
        r = move(from, name, to, name);
        if (r < 0)
            return r;
    }
    r = look(a->old_fd, run->aside, &other);
    return r > 0 ? move(a->old_fd, run->aside, from, name) : r;
}

/* ---- REMOVE and MODE */

int commit_take_away(struct run *run, size_t i, bool undo)
{
    const int old_fd = run->areas[run->plan->ops[i].area].old_fd;
    struct stat st;

    int r = find_parents(run, i);
    if (r < 0)
        return r;
    r = look(old_fd, run->aside, &st);
    if (r < 0 || (r > 0) != undo)
        return r < 0 ? r : 0;
    if (run->target_parent < 0)
        return error_is_absence(run->target_parent) && !undo ? 0 : run->target_parent;
    if (undo)
        return move(old_fd, run->aside, run->target_parent, run->name);
    r = move(run->target_parent, run->name, old_fd, run->aside);
    return error_is_absence(r) ? 0 : r;
}

int commit_change_mode(struct run *run, size_t i, bool undo)
{
    const struct staging_op *op = &run->plan->ops[i];
    int at = run->areas[op->area].target_fd;
    struct stat st;

    int r = beneath_stat(at, op->path, &st);
    if (beneath_is_absence(r))
        return 0;
    if (r < 0 || st.st_ino != op->ino || !S_ISDIR(st.st_mode))
        return r;
    return beneath_chmod(at, op->path, undo ? op->before : op->mode);
}
