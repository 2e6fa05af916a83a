/* Tells the caller beneath which directories a job is going to change something. */

#include <stdlib.h>

#include "base/cleanup.h"
#include "commit/staging.h"
#include "layout.h"
#include "numba/places.h"
#include "stream/pool.h"

/* The directories that the caller is told of. */
struct confinement {
    const struct wp_context *context;
    const char **dirs;
    size_t count;
};

/* What cannot be cleared up stands in nobody's way yet: the job says so if it comes to use DIR. */
static void add(struct confinement *c, const char *dir)
{
    if (!dir)
        return;
    staging_try_recovery(dir, true, c->context);
    c->dirs[c->count++] = dir;
}

static void tell(void *arg)
{
    const struct confinement *c = arg;

    c->context->confine(c->context->user_data, c->dirs, c->count);
}

int layout_confine(const struct wp_context *context, struct pool *pool, const struct verify *v,
                   const char *const *dirs, size_t n, struct wp_error *err)
{
    _cleanup_free_ const char **all = NULL;
    _cleanup_free_ char *user_root = NULL;
    struct confinement c = {.context = context};

    if (!context || !context->confine)
        return 0;
    all = calloc(n + 1, sizeof *all);
    if (!all)
        return error_nomem(err);
    c.dirs = all;
    for (size_t i = 0; i < n; i++)
        add(&c, dirs[i]);
    if (n && (v->is_caller || v->user.name)) {
        user_root = places_user_wide(&v->user, v->is_caller);
        if (!user_root)
            return error_nomem(err);
        add(&c, user_root);
    }
    pool_run_alone(pool, tell, &c);
    return 0;
}
