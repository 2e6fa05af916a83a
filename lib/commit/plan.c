/* Plans what a commit will do: compares the staged trees with the targets, and touches nothing.
 *
 * Pairs of directories to be merged wait in a queue, which the merging of their names fills; the
 * operations that come of it are put into their order at the end. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "plan.h"
#include "tree/beneath.h"

static void planner_clear(struct planner *p)
{
    for (size_t i = p->next; i < p->count; i++)
        work_clear(&p->queue[i]);
    free(p->queue);
}

/* ---- A pair of directories */

static int read_names(int dirfd, struct path_list *names)
{
    _cleanup_closedir_ DIR *d = file_list_at(dirfd, ".");
    if (!d)
        return -errno;
    int more;
    for (struct dirent *e; (more = file_next(d, &e)) > 0;)
        if (path_list_add(names, strdup(e->d_name)) < 0)
            return -ENOMEM;
    path_list_sort(names);
    return more;
}

static int plan_pair(struct planner *p, const struct work *w)
{
    struct pair d = {.w = w, .a = &p->s->areas[w->area]};
    const struct staging_area *under = &p->s->areas[w->under];
    _cleanup_close_ int new_fd =
        beneath_open(d.a->new_fd, w->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
    if (new_fd < 0)
        return staging_error(p->err, -new_fd, d.a, w->path, "cannot open what is staged");
    _cleanup_close_ int other_fd = beneath_open(w->staged ? under->new_fd : under->target_fd,
                                                w->other, O_PATH | O_DIRECTORY, 0);
    if (other_fd < 0)
        return staging_error(p->err, -other_fd, d.a, w->path, "cannot open directory");
    if (fstat(other_fd, &d.other) < 0)
        return staging_error(p->err, errno, d.a, w->path, "cannot stat");
    d.new_fd = new_fd;
    d.other_fd = other_fd;

    _cleanup_(path_list_clear) struct path_list names = {0};
    int r = read_names(new_fd, &names);
    if (r < 0)
        staging_error(p->err, -r, d.a, w->path, "cannot read what is staged");
    for (size_t i = 0; i < names.count && r == 0; i++)
        r = plan_name(p, &d, names.v[i]);
    return r;
}

static int plan_area(struct planner *p, unsigned area)
{
    const struct staging_area *a = &p->s->areas[area];
    struct stat st;
    if (fstat(a->target_fd, &st) < 0)
        return staging_error(p->err, errno, a, NULL, "cannot stat");
    int r = plan_existing_dir(p, area, "", staging_dir_find(a, ""), st.st_mode);
    if (r == 0)
        r = plan_later(
            p, (struct work){.area = area, .path = (char *)"", .under = area, .other = (char *)""});
    while (r == 0 && p->next < p->count) {
        _cleanup_(work_clear) struct work w = p->queue[p->next++];
        r = plan_pair(p, &w);
    }
    return r;
}

/* ---- Attributes and order */

/* Attributes of fresh directories are set while nobody sees them, where that is possible. */
static int plan_fresh_dirs(struct planner *p)
{
    size_t count = p->plan->count;
    for (size_t i = 0; i < count; i++) {
        const struct staging_op put = p->plan->ops[i];
        bool defer = false;
        if (put.kind != OP_PUT || !put.dir)
            continue;
        const struct staging_area *a = &p->s->areas[put.area];
        int r = staging_fresh_prepare(a, put.path, &defer, p->err);
        if (r < 0)
            return r;
        if (!defer)
            continue;
        const struct staging_dir *named = staging_dir_find(a, put.path);
        r = plan_dir(p, put.area, put.path, named ? named->mode : staging_dir_mode(a, put.path),
                     named);
        if (r < 0)
            return r;
    }
    return 0;
}

static int by_order(const void *a, const void *b)
{
    const struct staging_op *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    /* Directories were found from the top down; attributes are set from the bottom up. */
    int down = x->seq < y->seq ? -1 : x->seq > y->seq;
    return x->kind == OP_DIR ? -down : down;
}

int staging_plan_build(struct staging *s, struct staging_plan *plan, struct wp_error *err)
{
    _cleanup_(planner_clear) struct planner p = {
        .s = s, .plan = plan, .err = err, .umask = file_umask()};
    unsigned n = (unsigned)s->area_count;

    for (unsigned i = 0; i < n; i++)
        staging_dirs_sort(&s->areas[i]);
    for (unsigned i = 0; i < n; i++) {
        int r = plan_removes(&p, i);
        if (r == 0)
            r = plan_area(&p, i);
        if (r < 0)
            return r;
    }
    int r = plan_fresh_dirs(&p);
    if (r == 0)
        array_sort(plan->ops, plan->count, by_order);
    return r;
}
