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

int plan_later(struct planner *p, unsigned area, const char *path, unsigned under, bool staged,
               const char *other, size_t order)
{
    if (array_grow(p->queue, p->count) < 0)
        return error_nomem(p->err);
    struct work w = {.area = area,
                     .path = strdup(path),
                     .under = under,
                     .staged = staged,
                     .other = strdup(other),
                     .order = order};
    if (!w.path || !w.other) {
        free(w.path);
        free(w.other);
        return error_nomem(p->err);
    }
    p->queue[p->count++] = w;
    return 0;
}
