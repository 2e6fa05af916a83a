/* Serves the callers of staging: areas, what is set for them, commit and clearing up. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/own_names.h"
#include "base/path.h"
#include "staging_private.h"

int (*staging_step_hook)(const char *step);
bool staging_plain_renames;

int staging_new(struct staging **out, const struct staging_options *o, struct wp_error *err)
{
    struct staging *s = calloc(1, sizeof *s);
    if (!s)
        return error_nomem(err);
    s->o = *o;
    *out = s;
    return 0;
}

static int prepare_area(struct staging *s, struct staging_area *a, const char *target,
                        struct wp_error *err)
{
    int r = staging_area_open_target(a, target, err);
    if (r < 0)
        return r;
    r = staging_recover(s, a, NULL, err);
    if (r >= 0)
        r = staging_recover_above(a->physical, s->o.context, err);
    if (r < 0)
        return r;
    r = staging_area_make(a, err);
    if (r < 0)
        return r;
    a->own_dir_mode = a->dir_mode | (s->o.opens_own ? 0755 : 0);
    /* From the beginning: whoever finds this one dead looks at the first area. */
    return s->area_count == 0 ? 0 : staging_journal_point(&s->areas[0], a, err);
}

int staging_add_area(struct staging *s, const char *target, struct wp_error *err)
{
    return staging_add_area_for(s, target, NULL, err);
}

int staging_add_area_for(struct staging *s, const char *target, const struct staging_owner *owner,
                         struct wp_error *err)
{
    if (s->area_count == STAGING_MAX_AREAS)
        return error_set(err, EMFILE, target, "too many directories to unpack into");
    if (array_grow(s->areas, (size_t)s->area_count) < 0)
        return error_nomem(err);
    struct staging_area *a = &s->areas[s->area_count];
    staging_area_init(a);
    a->owner = owner;
    int r = prepare_area(s, a, target, err);
    a->owner = NULL; /* the caller's */
    if (r < 0) {
        staging_area_undo(a);
        staging_area_clear(a);
        return r;
    }
    return s->area_count++;
}

int staging_tree(const struct staging *s, int area)
{
    return s->areas[area].new_fd;
}

mode_t staging_umask(const struct staging *s, int area)
{
    return s->areas[area].umask;
}

bool staging_gives_own(const struct staging *s, int area)
{
    return s->areas[area].gives_own;
}

int staging_target(const struct staging *s, int area)
{
    return s->areas[area].target_fd;
}

mode_t staging_dir_mode(const struct staging_area *a, const char *path)
{
    return own_holds(path) ? a->own_dir_mode : a->dir_mode;
}

int staging_set_dir(struct staging *s, int area, const struct staging_dir *d)
{
    struct staging_area *a = &s->areas[area];
    const char *path = strcmp(d->path, ".") == 0 ? "" : d->path;

    if (*path && !path_is_safe(path))
        return -EINVAL;
    if (array_grow(a->dirs, a->dir_count) < 0)
        return -ENOMEM;
    struct staging_named *named = &a->dirs[a->dir_count];
    *named = (struct staging_named){.d = *d, .seq = a->dir_count++};
    named->d.path = path;
    named->d.mode &= 07777;
    return 0;
}

/* A cleaned copy of PATH, or NULL and an error. */
static int take_path(const char *path, char **out)
{
    *out = NULL;
    if (!path_is_safe(path))
        return -EINVAL;
    _cleanup_free_ char *clean = path_clean(path);
    if (!clean)
        return -ENOMEM;
    if (*clean == '\0')
        return -EINVAL;
    *out = take_ptr(clean);
    return 0;
}

int staging_set_last(struct staging *s, int area, const char *path)
{
    if (array_grow(s->last, s->last_count) < 0)
        return -ENOMEM;
    struct staging_last *last = &s->last[s->last_count];
    *last = (struct staging_last){.area = (unsigned)area};
    int r = take_path(path, &last->path);
    if (r == 0)
        s->last_count++;
    return r;
}

int staging_set_remove(struct staging *s, int area, const char *path)
{
    struct staging_area *a = &s->areas[area];
    if (s->o.keep_old)
        return 0;
    char *taken;
    int r = take_path(path, &taken);
    return r < 0 ? r : path_list_add(&a->remove, taken);
}

/* Locks the targets at a moment when no earlier commit waits there to be completed: what it has
 * still to rename is older than what is staged here. */
static int lock_unchanged(struct staging *s, struct wp_error *err)
{
    size_t n = (size_t)s->area_count;
    unsigned waited = 0;

    for (;;) {
        for (size_t i = 0; i < n; i++) {
            int r = staging_recover(s, &s->areas[i], NULL, err);
            if (r < 0)
                return r;
        }
        int r = staging_lock_targets(s->areas, n, &s->o, err);
        if (r < 0)
            return r;
        int pending = 0;
        for (size_t i = 0; i < n && pending == 0; i++)
            pending = staging_pending(s, &s->areas[i]);
        if (pending == 0)
            return 0;
        staging_unlock_targets(s->areas, n);
        if (pending < 0)
            return error_set(err, -pending, s->areas[0].target, "cannot look for earlier runs");
        r = staging_wait(&s->areas[0], &s->o, &waited, err);
        if (r < 0)
            return r;
    }
}

static int sync_areas(struct staging *s, struct wp_error *err)
{
    for (int i = 0; s->o.sync && i < s->area_count; i++)
        if (syncfs(s->areas[i].target_fd) < 0)
            return error_set(err, errno, s->areas[i].target, "cannot write to disk");
    return 0;
}

/* Carries out PLAN; the targets are locked. An error has changed nothing, unless S->abandoned. */
static int commit_plan(struct staging *s, const struct staging_plan *plan, struct wp_error *err)
{
    size_t n = (size_t)s->area_count;
    int r = sync_areas(s, err);
    if (r < 0)
        return r;
    if (context_stops(s->o.context))
        return error_set(err, EINTR, NULL, "nothing was changed");
    r = staging_journal_write(s->areas, n, plan, err);
    if (r < 0)
        return r;
    r = staging_run(s->areas, n, plan, false, s->o.context, &s->abandoned, err);
    if (r < 0) {
        if (!s->abandoned)
            (void)staging_run_end(s->areas, s->o.sync, NULL);
        return r;
    }
    r = sync_areas(s, err);
    /* The renames are done and the journal stays: the next run finds nothing left to do. */
    s->committed = true;
    int ended = staging_run_end(s->areas, s->o.sync, err);
    if (r < 0 || ended < 0)
        error_note(err, "before that, all was put in place");
    return r < 0 ? r : ended;
}

int staging_commit(struct staging *s, struct wp_error *err)
{
    size_t n = (size_t)s->area_count;
    _cleanup_(staging_plan_clear) struct staging_plan plan = {.keep_old = s->o.keep_old};

    if (n == 0 || s->committed || s->abandoned)
        return error_set(err, EINVAL, NULL, "nothing is staged");
    int r = lock_unchanged(s, err);
    if (r < 0)
        return r;
    r = staging_plan_build(s, &plan, err);
    if (r == 0)
        r = commit_plan(s, &plan, err);
    staging_unlock_targets(s->areas, n);
    if (r < 0)
        return r;

    /* The last area first: while the first one is there, the others belong to it. */
    for (size_t i = n; i-- > 0;) {
        int e = staging_area_remove(&s->areas[i]);
        if (e < 0)
            report(s->o.context, WP_WARNING, s->areas[i].target,
                   "all is in place, but staging directory %s cannot be removed: %s",
                   s->areas[i].name, strerror(-e));
    }
    staging_run_finish_dirs(s->areas, n, &plan, s->o.context);
    return 0;
}

void staging_free(struct staging *s)
{
    if (!s)
        return;
    for (int i = s->area_count - 1; i >= 0; i--) {
        if (!s->committed && !s->abandoned)
            staging_area_undo(&s->areas[i]);
        staging_area_clear(&s->areas[i]);
    }
    for (size_t i = 0; i < s->last_count; i++)
        free(s->last[i].path);
    free(s->last);
    free(s->areas);
    free(s);
}
