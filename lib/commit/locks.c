/* Takes locks, and waits for the processes that hold them. */

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "staging_private.h"

enum { WAIT_LIMIT_MS = 10 * 60 * 1000, WAIT_NOTE_MS = 1000, STRANGER_MS = 1500 };

int staging_wait(const struct staging_area *a, const struct staging_options *o, unsigned *waited,
                 struct wp_error *err)
{
    unsigned ms = *waited < 200 ? 5 : 50;
    struct timespec t = {.tv_nsec = ms * 1000000L};

    if (context_stops(o->context))
        return error_set(err, EINTR, NULL, "nothing was changed");
    if (*waited >= WAIT_LIMIT_MS)
        return error_set(err, EBUSY, a->target, "another process is at work here");
    if (*waited < WAIT_NOTE_MS && *waited + ms >= WAIT_NOTE_MS)
        report(o->context, WP_NOTE, a->target, "waiting for another process that is at work here");
    nanosleep(&t, NULL);
    *waited += ms;
    return 0;
}

static bool is_of(const struct staging_area *areas, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(areas[i].name, name) == 0)
            return true;
    return false;
}

/* Is there a staging in A's target beside those of the N areas? 1, 0 or negative errno. */
static int has_others(const struct staging_area *areas, size_t n, const struct staging_area *a)
{
    _cleanup_closedir_ DIR *d = file_list_at(a->target_fd, ".");
    struct dirent *item;
    int r = d ? 0 : -errno;

    while (d && (r = file_next(d, &item)) > 0)
        if (own_is_staging(item->d_name) && !is_of(areas, n, item->d_name))
            return 1;
    return r;
}

/* Without the lock a commit is still seen by others: by its journal. */
static int lock_target(struct staging_area *areas, size_t n, struct staging_area *a,
                       const struct staging_options *o, struct wp_error *err)
{
    unsigned waited = 0, alone = a->stranger ? STRANGER_MS : 0; /* milliseconds */
    int locked;

    while ((locked = file_lock(a->target_fd)) == -EWOULDBLOCK) {
        unsigned before = waited;
        int r = staging_wait(a, o, &waited, err);

        if (r < 0)
            return r;
        alone = has_others(areas, n, a) == 0 ? alone + waited - before : 0;
        if (alone >= STRANGER_MS) {
            if (!a->stranger)
                report(o->context, WP_NOTE, a->target,
                       "another program has locked the directory: it is not waited for");
            a->stranger = true;
            return 0;
        }
    }
    a->target_locked = locked > 0;
    return locked < 0 ? error_set(err, -locked, a->target, "cannot be locked") : 0;
}

/* The area whose target comes next after AFTER (NULL: the first) in the order of device and inode;
 * of several with the same target, one. */
static struct staging_area *next_target(struct staging_area *areas, size_t n,
                                        const struct staging_area *after)
{
    struct staging_area *best = NULL;
    for (size_t i = 0; i < n; i++) {
        struct staging_area *a = &areas[i];
        if (a->target_fd < 0)
            continue;
        if (after && (a->dev < after->dev || (a->dev == after->dev && a->ino <= after->ino)))
            continue;
        if (!best || a->dev < best->dev || (a->dev == best->dev && a->ino < best->ino))
            best = a;
    }
    return best;
}

int staging_lock_targets(struct staging_area *areas, size_t n, const struct staging_options *o,
                         struct wp_error *err)
{
    struct staging_area *a = NULL;
    while ((a = next_target(areas, n, a))) {
        int r = lock_target(areas, n, a, o, err);
        if (r < 0) {
            staging_unlock_targets(areas, n);
            return r;
        }
    }
    return 0;
}

int staging_lock(struct staging *s, struct wp_error *err)
{
    return staging_lock_targets(s->areas, (size_t)s->area_count, &s->o, err);
}

void staging_unlock_targets(struct staging_area *areas, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (areas[i].target_locked)
            (void)!flock(areas[i].target_fd, LOCK_UN);
        areas[i].target_locked = false;
    }
}
