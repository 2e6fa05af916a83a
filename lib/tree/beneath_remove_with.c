/* Removes a large tree on the pool: its directories, but for the uppermost, are jobs of their own.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "beneath.h"
#include "stream/pool.h"

enum { ENOUGH = 64 }; /* directories to share out */

struct removal {
    struct pool_job job;
    int dir;
    const char *path; /* borrowed */
    atomic_size_t *left;
};

/* What it does not remove is removed, or told of, by who waits for it. */
static void run(struct pool_job *job)
{
    struct removal *r = (struct removal *)job;

    (void)beneath_remove(r->dir, r->path);
    atomic_fetch_sub(r->left, 1);
}

static bool is_done(void *left)
{
    return atomic_load((atomic_size_t *)left) == 0;
}

static int add_subdirs(struct path_list *p, int dir, const char *path)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *e;
    int r = beneath_list(dir, path, &d);

    while (r > 0 && (r = file_next(d, &e)) > 0)
        if (e->d_type == DT_DIR && path_list_add(p, path_join(path, e->d_name)) < 0)
            return -ENOMEM;
    return r;
}

/* Those of P from FIRST on. */
static void remove_on_pool(struct pool *pool, int dir, const struct path_list *p, size_t first)
{
    const size_t count = p->count - first;
    _cleanup_free_ struct removal *removals = calloc(count ? count : 1, sizeof *removals);
    atomic_size_t left = count;

    for (size_t i = 0; removals && i < count; i++) {
        removals[i] =
            (struct removal){.job.run = run, .dir = dir, .path = p->v[first + i], .left = &left};
        pool_submit(pool, &removals[i].job);
    }
    if (removals)
        pool_help_until(pool, is_done, &left);
    pool_drain(pool); /* a job has counted just before it ends */
}

int beneath_remove_with(struct pool *pool, int dir, const char *path)
{
    _cleanup_(path_list_clear) struct path_list p = {0};
    size_t listed = 0;
    int r = 0;

    if (pool && pool_threads(pool) > 1 && path_list_add(&p, strdup(path)) == 0) {
        while (r == 0 && listed < p.count && p.count - listed < ENOUGH)
            r = add_subdirs(&p, dir, p.v[listed++]);
        if (listed > 0 && p.count > listed)
            remove_on_pool(pool, dir, &p, listed);
    }
    return beneath_remove(dir, path);
}
