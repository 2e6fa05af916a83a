/* Clears up what dead runs left in a target: their commit is completed where it had been decided,
 * and what they staged is removed.
 *
 * The staging directory of another user is none of our business, and neither is anything that
 * only has the right name. Whoever holds the lock of the first area's staging rules all areas of
 * a journal; one who finds another area's staging first therefore looks for that one. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/lock_file.h"
#include "base/path.h"
#include "staging_private.h"
#include "tree/beneath.h"

/* Makes A the target FD, which is taken over, at TARGET and physically at PHYSICAL. */
static int take_target(struct staging_area *a, int fd, dev_t dev, ino_t ino, const char *target,
                       const char *physical)
{
    int r = fd < 0 ? -errno : 0;

    staging_area_init(a);
    a->target_fd = fd;
    a->dev = dev;
    a->ino = ino;
    a->target = strdup(target);
    a->physical = strdup(physical);
    if (r == 0 && (!a->target || !a->physical))
        r = -ENOMEM;
    if (r < 0)
        staging_area_clear(a);
    return r;
}

/* A second hold on area FROM's target: flocks of one description do not wait for each
 * other. */
static int same_target(const struct staging_area *from, struct staging_area *a)
{
    return take_target(a, fcntl(from->target_fd, F_DUPFD_CLOEXEC, 3), from->dev, from->ino,
                       from->target, from->physical);
}

int staging_open_existing(const struct staging *s, const char *path, const char *shown,
                          struct staging_area *a)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    for (int i = 0; i < s->area_count; i++)
        if (s->areas[i].dev == st.st_dev && s->areas[i].ino == st.st_ino)
            return take_target(a, fcntl(s->areas[i].target_fd, F_DUPFD_CLOEXEC, 3), st.st_dev,
                               st.st_ino, shown, path);
    return take_target(a, take_fd(&fd), st.st_dev, st.st_ino, shown, path);
}

/* Opens the staging at PATH, the first of several. */
static int open_first(const struct staging *s, const char *path, enum staging_adoption how,
                      struct staging_area *a)
{
    _cleanup_free_ char *dir = path_dir(path);
    const char *target = dir && *dir ? dir : "/";
    int r = dir ? staging_open_existing(s, target, target, a) : -ENOMEM;

    return r < 0 ? r : staging_area_adopt(a, path_base(path), how);
}

/* Does A's staging belong to the one that journal J lies in? */
static int belongs(const struct staging_area *a, const struct staging_journal *j)
{
    _cleanup_buf_ struct buf at = {0};
    _cleanup_free_ char *expected = path_join(j->areas[0].path, j->areas[0].name);
    if (!expected)
        return -ENOMEM;
    int r = staging_journal_master(a, &at);
    if (r < 0)
        return r;
    return strcmp((const char *)at.data, expected) == 0 ? 0 : -ENOENT;
}

/* Opens the other areas of a journal. One that is gone, or not what the journal says, is passed
 * over with a warning: there is nothing of it to be put in place. */
static int open_others(const struct staging *s, const struct staging_journal *j,
                       struct staging_area *areas, struct wp_error *err)
{
    for (size_t i = 1; i < j->area_count; i++) {
        const struct staging_journal_area *said = &j->areas[i];
        int r = staging_open_existing(s, said->path, said->path, &areas[i]);
        if (r == 0)
            r = staging_area_adopt(&areas[i], said->name, STAGING_HELD);
        if (r == 0)
            r = belongs(&areas[i], j);
        if (r == 0)
            continue;
        if (!beneath_is_absence(r))
            return error_set(err, -r, said->path, "cannot open, to complete an earlier run");
        report(s->o.context, WP_WARNING, said->path,
               "what an interrupted run had staged here is gone");
        staging_area_clear(&areas[i]);
    }
    return 0;
}

/* The areas of a journal are locked. 1: all is in place; 0: all was taken back. */
static int complete_locked(const struct staging *s, const struct staging_journal *j,
                           struct staging_area *areas, struct wp_error *err)
{
    struct wp_error cause = {0};
    bool stuck;
    int r = staging_run(areas, j->area_count, &j->plan, j->undo, s->o.context, &stuck, &cause);
    if (r < 0 && stuck) {
        error_pass(err, &cause);
        return r;
    }
    bool completed = r == 0 && !j->undo;
    if (r < 0)
        report(s->o.context, WP_WARNING, NULL,
               "an interrupted run could not be completed and was taken back: %s", cause.message);
    else
        report(s->o.context, WP_NOTE, areas[0].target,
               completed ? "completed an interrupted run" : "took back an interrupted run");
    r = staging_run_end(areas, s->o.sync, err);
    return r < 0 ? r : completed;
}

/* FIRST holds the lock of the staging that journal J lies in; taken over. */
static int complete(const struct staging *s, const struct staging_journal *j,
                    struct staging_area *first, struct wp_error *err)
{
    size_t n = j->area_count;
    struct staging_area *areas = calloc(n, sizeof *areas);
    if (!areas)
        return error_nomem(err);
    areas[0] = *first;
    staging_area_init(first);
    for (size_t i = 1; i < n; i++)
        staging_area_init(&areas[i]);

    int r = open_others(s, j, areas, err);
    if (r == 0)
        r = staging_lock_targets(areas, n, &s->o, err);
    if (r == 0) {
        r = complete_locked(s, j, areas, err);
        staging_unlock_targets(areas, n);
    }
    bool completed = r > 0;
    for (size_t i = n; r >= 0 && i-- > 0;)
        r = staging_area_remove(&areas[i]);
    if (r == 0 && completed)
        staging_run_finish_dirs(areas, n, &j->plan, s->o.context);
    for (size_t i = 0; i < n; i++)
        staging_area_clear(&areas[i]);
    free(areas);
    return r < 0 ? error_set(err, -r, NULL, "cannot clear up after an interrupted run") : 0;
}

/* A holds the lock of a dead staging: done with what it is. */
static int resolve_first(const struct staging *s, struct staging_area *a, struct wp_error *err)
{
    _cleanup_(staging_journal_clear) struct staging_journal j = {0};
    int r = staging_journal_read(a, &j);
    if (r == 0 && strcmp(j.areas[0].name, a->name) == 0 && a->new_fd >= 0 && a->old_fd >= 0)
        return complete(s, &j, a, err);
    if (r < 0 && !error_is_absence(r))
        return staging_error(err, -r, a, a->name, "cannot read the journal of an earlier run");
    /* Where it cannot be removed it stays, and does no harm. */
    (void)staging_area_remove(a);
    return 0;
}

/* A holds the lock of a staging whose first area is said to be at PATH. As resolve_first;
 * -EWOULDBLOCK: it is in use. */
static int resolve_other(const struct staging *s, struct staging_area *a, const char *path,
                         struct wp_error *err)
{
    _cleanup_(staging_area_clear) struct staging_area first;

    staging_area_init(&first);
    int r = open_first(s, path, STAGING_LOCK, &first);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r == 0)
        r = resolve_first(s, &first, err);
    else if (!beneath_is_absence(r))
        return r == -EWOULDBLOCK ? r : 0; /* or nobody can tell */
    else
        r = 0;
    if (r == 0)
        (void)staging_area_remove(a);
    return r;
}

/* As each_staging wants it; -EWOULDBLOCK: another process is at work with NAME. */
static int resolve(const struct staging *s, const struct staging_area *at, const char *name,
                   struct wp_error *err)
{
    _cleanup_(staging_area_clear) struct staging_area found;
    _cleanup_buf_ struct buf path = {0};

    int r = same_target(at, &found);
    if (r < 0)
        return error_set(err, -r, at->target, "cannot look for earlier runs");
    r = staging_area_adopt(&found, name, STAGING_LOCK);
    if (r == -EWOULDBLOCK)
        return r;
    if (r == -ENOLCK || error_is_absence(r)) /* nobody knows whether it is, or none of ours */
        return 0;
    if (r < 0)
        return error_set(err, -r, at->target, "cannot open what an earlier run left");
    r = staging_journal_master(&found, &path);
    if (r == 0)
        return resolve_other(s, &found, (const char *)path.data, err);
    return error_is_absence(r) ? resolve_first(s, &found, err)
                               : error_set(err, -r, at->target, "cannot read");
}

/* ---- Looking for them */

/* Calls EACH with the name of every staging directory of A's target, and with ARG, until it returns
 * not 0. */
static int each_staging(const struct staging *s, const struct staging_area *a,
                        int (*each)(const struct staging *s, const struct staging_area *a,
                                    const char *name, void *arg),
                        void *arg)
{
    _cleanup_buf_ struct buf names = {0};
    _cleanup_closedir_ DIR *d = file_list_at(a->target_fd, ".");
    if (!d)
        return -errno;
    /* All names first: EACH removes some. */
    int r;
    for (struct dirent *e; (r = file_next(d, &e)) > 0;)
        if (own_is_staging(e->d_name) && buf_add(&names, e->d_name, STAGING_NAME_SIZE) < 0)
            return -ENOMEM;
    for (size_t at = 0; at < names.size && r == 0; at += STAGING_NAME_SIZE)
        r = each(s, a, (const char *)names.data + at, arg);
    return r;
}

/* 1, 0 or negative errno. */
static int has_journal(const struct staging_area *a, const char *dir)
{
    struct stat st;
    int r = beneath_look(a->stage_fd, STAGING_JOURNAL, &st);
    (void)dir;
    return r ? r : beneath_look(a->stage_fd, STAGING_UNDO, &st);
}

/* Does A's journal say that something in DIR is changed, or what DIR lies in? Likewise. The journal
 * has the path that A's own target had, which may have been moved since. */
static int has_changes(const struct staging_area *a, const char *dir)
{
    _cleanup_(staging_journal_clear) struct staging_journal j = {0};
    int r = staging_journal_read(a, &j);

    for (size_t i = 0; r == 0 && i < j.plan.count; i++) {
        const struct staging_op *op = &j.plan.ops[i];
        _cleanup_free_ char *path =
            path_append(op->area ? j.areas[op->area].path : a->physical, op->path);

        if (!path)
            return -ENOMEM;
        if (path_is_under(path, dir) || path_is_under(dir, path))
            return 1;
    }
    return error_is_absence(r) ? 0 : r;
}

struct pending {
    int (*ask)(const struct staging_area *first, const char *dir);
    const char *dir;
    enum staging_adoption how;
};

/* Asks the first area of the staging NAME. */
static int is_pending(const struct staging *s, const struct staging_area *at, const char *name,
                      void *arg)
{
    _cleanup_(staging_area_clear) struct staging_area found, first;
    _cleanup_buf_ struct buf path = {0};
    const struct pending *p = arg;

    staging_area_init(&first);
    int r = same_target(at, &found);
    if (r < 0)
        return r;
    r = staging_area_adopt(&found, name, p->how);
    if (r < 0)
        return error_is_absence(r) ? 0 : r;
    r = p->ask(&found, p->dir);
    if (r != 0)
        return r;
    r = staging_journal_master(&found, &path);
    if (r < 0)
        return error_is_absence(r) ? 0 : r;
    r = open_first(s, (const char *)path.data, p->how, &first);
    if (r < 0)
        return beneath_is_absence(r) ? 0 : r;
    return p->ask(&first, p->dir);
}

int staging_pending(const struct staging *s, const struct staging_area *a)
{
    return each_staging(s, a, is_pending,
                        &(struct pending){.ask = has_journal, .how = STAGING_HELD});
}

struct recovery {
    struct wp_error *err;
    struct pending at_work; /* what is asked of another process's */
    bool is_committing;
};

static int recover_one(const struct staging *s, const struct staging_area *at, const char *name,
                       void *arg)
{
    struct recovery *recovery = arg;
    int r = resolve(s, at, name, recovery->err);

    if (r != -EWOULDBLOCK)
        return r;
    r = is_pending(s, at, name, &recovery->at_work);
    recovery->is_committing |= r > 0;
    return r < 0 ? r : 0;
}

int staging_recover(const struct staging *s, struct staging_area *a, const char *within,
                    struct wp_error *err)
{
    struct recovery recovery = {
        .err = err,
        .at_work = {.ask = within ? has_changes : has_journal, .dir = within, .how = STAGING_HELD}};
    int r = each_staging(s, a, recover_one, &recovery);

    lock_file_remove_dead(a->target_fd, OWN_LOCK);
    return r < 0 ? error_set(err, -r, a->target, "cannot look for earlier runs")
                 : recovery.is_committing;
}

int staging_changes(const struct staging *s, const struct staging_area *a, const char *dir)
{
    return each_staging(s, a, is_pending,
                        &(struct pending){.ask = has_changes, .dir = dir, .how = STAGING_LOOK});
}
