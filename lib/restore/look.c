/* Repairing, first: is there anything to be done at all? Mostly there is not, and then nothing is
 * locked and nothing written, so that not even a time of status changes. The steps are those of a
 * repair; the first that would change something stops them, and all of it begins again under the
 * lock. What they report is kept until it is known which of the two tells it. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "tree/beneath.h"

struct kept_report {
    enum wp_severity severity;
    char *text; /* owned */
};

struct look {
    struct wp_context context;
    const struct wp_context *own; /* of whom asked for the repair; NULL: of nobody */
    struct kept_report *list;     /* owned */
    size_t count;
    bool failed; /* there was no memory for one */
};

/* ---- Reports ----------------------------------------------------------------------------- */

/* Keeps a message. Called once at a time, as contexts are. */
static void keep(void *data, enum wp_severity severity, const char *text)
{
    struct look *look = data;
    _cleanup_free_ char *copy = strdup(text);

    if (!copy || array_grow(look->list, look->count) < 0) {
        look->failed = true;
        return;
    }
    look->list[look->count++] = (struct kept_report){severity, take_ptr(copy)};
}

static void tell_progress(void *data, uint64_t done, uint64_t total)
{
    const struct look *look = data;

    look->own->progress(look->own->user_data, done, total);
}

static void end_reports(struct look *look, bool tell)
{
    for (size_t i = 0; i < look->count; i++) {
        if (tell)
            report(look->own, look->list[i].severity, NULL, "%s", look->list[i].text);
        free(look->list[i].text);
    }
    free(look->list);
}

/* ---- The attempt ------------------------------------------------------------------------- */

/* Is somebody at work, or has been? 1, 0 or negative errno. */
static int is_locked(const struct restore *restore, const struct repair *repair,
                     struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(repair->t->home, OWN_LOCK);
    struct stat st;
    int r = path ? beneath_look(restore->fd, path, &st) : error_nomem(err);

    return r < 0 ? error_set(err, -r, path, "cannot stat") : r;
}

/* Forgets all that the attempt has found out. */
static void forget(struct repair *repair)
{
    staging_free(take_ptr(repair->staging));
    layout_clear(&repair->own_layout);
    free(take_ptr(repair->state_cache_dir));
    repair->root_away = false;
    repair_close(repair);
}

/* What another process changes meanwhile can look like a fault, too, until there are results. */
static bool is_to_be_repeated(int r, const struct wp_restore_result *before,
                              const struct wp_restore_result *now)
{
    return r == -EAGAIN ||
           ((r == -EBUSY || error_is_absence(r)) && now->cache_dir == before->cache_dir &&
            now->verify.indexes == before->verify.indexes);
}

int restore_may_change(const struct restore *restore)
{
    return restore->looking ? -EAGAIN : 0;
}

int restore_look(struct restore *restore, struct repair *repair, restore_steps *steps,
                 struct wp_error *err)
{
    struct wp_restore_result before = *restore->result;
    struct look look = {.own = restore->context};
    struct wp_error why = {0};
    int r = is_locked(restore, repair, err);
    bool again;

    if (r != 0)
        return r < 0 ? r : -EAGAIN;
    if (look.own)
        look.context = *look.own;
    look.context.message = look.own && look.own->message ? keep : NULL;
    look.context.progress = look.own && look.own->progress ? tell_progress : NULL;
    look.context.user_data = &look;
    restore->looking = true;
    restore->context = restore->trees.context = &look.context;
    r = steps(restore, repair, &why);
    restore->context = restore->trees.context = look.own;
    restore->looking = false;
    if (r == 0 && look.failed)
        r = error_nomem(&why);
    again = is_to_be_repeated(r, &before, restore->result);
    end_reports(&look, !again);
    if (again) {
        forget(repair);
        *restore->result = before;
        return -EAGAIN;
    }
    if (r < 0)
        error_pass(err, &why);
    return r;
}
