/* Plans what a commit takes away from the targets, beside what it replaces. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "plan.h"
#include "tree/beneath.h"

int plan_is_removed(const struct staging_area *a, const char *path, bool itself)
{
    _cleanup_free_ char *prefix = a->remove.count ? strdup(path) : NULL;

    if (!prefix)
        return a->remove.count ? -ENOMEM : 0;
    for (char *end = itself ? prefix + strlen(prefix) : strrchr(prefix, '/'); end;
         end = strrchr(prefix, '/')) {
        *end = '\0';
        if (path_list_has(&a->remove, prefix))
            return 1;
    }
    return 0;
}

static int plan_remove(struct planner *p, unsigned area, const char *path)
{
    struct staging_area *a = &p->s->areas[area];
    struct found f = {0};
    struct stat dir;
    const char *name;

    if (strncmp(path, STAGING_PREFIX, strlen(STAGING_PREFIX)) == 0)
        return staging_error(p->err, EINVAL, a, path, "is a name that staging keeps for itself");
    _cleanup_close_ int parent = beneath_parent(a->target_fd, path, &name);
    int r = parent < 0 ? parent : plan_look(parent, name, &f);
    /* What lies behind a symlink is not in the target. */
    if (beneath_is_absence(r))
        return 0;
    if (r < 0)
        return staging_error(p->err, -r, a, path, "cannot stat");
    if (fstat(parent, &dir) < 0 || dir.st_dev != a->dev)
        return staging_error(p->err, EXDEV, a, path, "is on another filesystem (a mount point)");
    r = plan_check_victim(p, area, path, parent, name, &f, &dir);
    _cleanup_free_ char *above = path_dir(path);
    if (r == 0 && above)
        r = plan_need_write(p, area, above, parent, true);
    if (r < 0)
        return r;
    return above && staging_plan_add(p->plan, OP_REMOVE, area, path) ? 0 : error_nomem(p->err);
}

int plan_removes(struct planner *p, unsigned area)
{
    struct staging_area *a = &p->s->areas[area];
    int r = 0;

    path_list_sort(&a->remove);
    for (size_t i = 0; i < a->remove.count && r == 0; i++) {
        /* Named twice, or gone with a directory above it. */
        if (i && strcmp(a->remove.v[i - 1], a->remove.v[i]) == 0)
            continue;
        r = plan_is_removed(a, a->remove.v[i], false);
        if (r == 0)
            r = plan_remove(p, area, a->remove.v[i]);
        else if (r > 0)
            r = 0;
        else
            error_nomem(p->err);
    }
    return r;
}
