/* Adds to a plan what it is made of: its operations, and the pairs of directories that wait to be
 * merged. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "plan.h"

void staging_plan_clear(struct staging_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        free(plan->ops[i].path);
    free(plan->ops);
    *plan = (struct staging_plan){0};
}

struct staging_op *staging_plan_add(struct staging_plan *plan, enum staging_kind kind,
                                    unsigned area, const char *path)
{
    if (array_grow(plan->ops, plan->count) < 0)
        return NULL;
    struct staging_op *op = &plan->ops[plan->count];
    *op = (struct staging_op){.kind = kind,
                              .area = area,
                              .path = strdup(path),
                              .uid = (uid_t)-1,
                              .gid = (gid_t)-1,
                              .seq = plan->count};
    if (!op->path)
        return NULL;
    plan->count++;
    return op;
}

int plan_dir(struct planner *p, unsigned area, const char *path, mode_t mode,
             const struct staging_dir *named)
{
    struct staging_op *op = staging_plan_add(p->plan, OP_DIR, area, path);

    if (!op)
        return error_nomem(p->err);
    op->mode = mode;
    op->mtime.tv_nsec = UTIME_OMIT;
    if (named) {
        op->uid = named->uid;
        op->gid = named->gid;
        op->mtime = named->mtime;
    }
    return 0;
}

int plan_later(struct planner *p, struct work w)
{
    w.path = strdup(w.path);
    w.other = strdup(w.other);
    if (!w.path || !w.other || array_grow(p->queue, p->count) < 0) {
        work_clear(&w);
        return error_nomem(p->err);
    }
    p->queue[p->count++] = w;
    return 0;
}
