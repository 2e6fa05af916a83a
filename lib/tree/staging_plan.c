/* What a commit will do: the staged trees compared with the targets, nothing touched.
 *
 * A name that the target does not have is renamed as a whole; two directories are merged name by
 * name. Where two areas overlap, a directory that an earlier area brings counts as there already:
 * the later area is compared with the staged directory that will stand in its place. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "beneath.h"
#include "staging_plan.h"

/* The pair being merged, opened. */
struct pair {
    const struct work *w;
    struct staging_area *a;
    int new_fd, other_fd;
    struct stat other; /* the other directory */
    bool writable;     /* asked already */
};

static void planner_clear(struct planner *p)
{
    for (size_t i = p->next; i < p->count; i++) {
        free(p->queue[i].path);
        free(p->queue[i].other);
    }
    free(p->queue);
}

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
    if (plan->count == plan->room) {
        size_t room = plan->room ? plan->room * 2 : 16;
        struct staging_op *ops = reallocarray(plan->ops, room, sizeof *ops);
        if (!ops)
            return NULL;
        plan->ops = ops;
        plan->room = room;
    }
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

static int enqueue(struct planner *p, unsigned area, const char *path, unsigned under, bool staged,
                   const char *other, size_t order)
{
    if (p->count == p->room) {
        size_t room = p->room ? p->room * 2 : 64;
        struct work *queue = reallocarray(p->queue, room, sizeof *queue);
        if (!queue)
            return error_nomem(p->err);
        p->queue = queue;
        p->room = room;
    }
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

/* ---- One name */

/* Puts that bring a path which is to come last come last themselves, in the order of the calls. */
static size_t order_of(const struct planner *p, unsigned area, const char *path)
{
    size_t order = 0;
    for (size_t i = 0; i < p->s->last_count; i++)
        if (p->s->last[i].area == area && path_is_under(p->s->last[i].path, path))
            order = i + 1;
    return order;
}

static int add_put(struct planner *p, struct pair *d, const char *path, const struct stat *st,
                   bool replaces)
{
    if (!d->writable && !d->w->staged) {
        int r = plan_need_write(p, d->w->area, d->w->path, d->other_fd, true);
        if (r < 0)
            return r;
        d->writable = true;
    }
    /* The top of the target has given its group on already, as staging lies in it. */
    if (*d->w->path && !d->w->staged && geteuid() != 0 && (d->other.st_mode & S_ISGID) &&
        d->other.st_gid != st->st_gid)
        staging_dirs_inherit(d->new_fd, path_base(path), d->other.st_gid);
    struct staging_op *op = staging_plan_add(p->plan, OP_PUT, d->w->area, path);
    if (!op)
        return error_nomem(p->err);
    op->replaces = replaces;
    op->ino = st->st_ino;
    op->dir = S_ISDIR(st->st_mode);
    op->dir_dev = d->other.st_dev;
    op->dir_ino = d->other.st_ino;
    op->order = order_of(p, d->w->area, path);
    if (op->order < d->w->order)
        op->order = d->w->order;
    return 0;
}

/* The final attributes of a directory that exists, or that an earlier area brings. */
static int add_dir(struct planner *p, unsigned area, const char *path,
                   const struct staging_dir *named, mode_t mode)
{
    if (!named || p->plan->keep_old)
        return 0;
    struct staging_op *op = staging_plan_add(p->plan, OP_DIR, area, path);
    if (!op)
        return error_nomem(p->err);
    op->mode = named->mode | (mode & S_ISGID); /* how it hands on its group stays */
    op->uid = named->uid;
    op->gid = named->gid;
    op->mtime = named->mtime;
    return 0;
}

/* What is set for PATH, or by the earlier area whose staged directory OTHER it is merged into. */
static const struct staging_dir *find_named(const struct planner *p, unsigned area,
                                            const char *path, unsigned under, const char *other)
{
    const struct staging_dir *named = staging_dir_find(&p->s->areas[area], path);
    return named || area == under ? named : staging_dir_find(&p->s->areas[under], other);
}

static int merge(struct planner *p, struct pair *d, const char *path, const char *name,
                 const struct found *f)
{
    const struct work *w = d->w;
    _cleanup_free_ char *other = path_join(w->other, name);
    if (!other)
        return error_nomem(p->err);
    const struct staging_dir *named = find_named(p, w->area, path, w->under, other);
    int r = add_dir(p, w->area, path, named, f->mode);
    return r < 0 ? r : enqueue(p, w->area, path, w->under, w->staged, other, w->order);
}

/* As merge, with a directory that EARLIER brings. */
static int merge_earlier(struct planner *p, struct pair *d, const char *path,
                         const struct staging_op *earlier)
{
    const struct work *w = d->w;
    unsigned under = earlier->area;
    size_t order = earlier->order > w->order ? earlier->order : w->order;
    _cleanup_free_ char *other = strdup(earlier->path); /* adding operations moves EARLIER */
    if (!other)
        return error_nomem(p->err);
    const struct staging_dir *named = find_named(p, w->area, path, under, other);
    int r = add_dir(p, w->area, path, named, 0);
    return r < 0 ? r : enqueue(p, w->area, path, under, true, other, order);
}

/* What an earlier area puts at NAME of the same directory, or NULL. */
static const struct staging_op *earlier_put(const struct planner *p, const struct pair *d,
                                            const char *name)
{
    for (size_t i = 0; i < p->plan->count; i++) {
        const struct staging_op *op = &p->plan->ops[i];
        if (op->area >= d->w->area)
            break;
        if (op->kind == OP_PUT && op->dir_dev == d->other.st_dev &&
            op->dir_ino == d->other.st_ino && strcmp(path_base(op->path), name) == 0)
            return op;
    }
    return NULL;
}

/* Was it made so that an area's target exists? Then there is nothing old to be swapped away. */
static bool made_here(const struct planner *p, const struct found *f)
{
    for (int i = 0; i < p->s->area_count; i++)
        for (size_t j = 0; j < p->s->areas[i].made_count; j++) {
            const struct staging_made *m = &p->s->areas[i].made[j];
            if (m->dev == f->dev && m->ino == f->ino)
                return true;
        }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Is a directory above PATH to be removed, or PATH itself? The removals are sorted. 1, 0 or
 * -ENOMEM. */
static int is_removed(const struct staging_area *a, const char *path, bool itself)
{
    _cleanup_free_ char *prefix = a->remove_count ? strdup(path) : NULL;

    if (!prefix)
        return a->remove_count ? -ENOMEM : 0;
    for (char *end = itself ? prefix + strlen(prefix) : strrchr(prefix, '/'); end;
         end = strrchr(prefix, '/')) {
        *end = '\0';
        if (bsearch(&prefix, a->remove, a->remove_count, sizeof *a->remove, by_name))
            return 1;
    }
    return 0;
}

/* PATH is staged as ST and found in the other directory as F. */
static int plan_both(struct planner *p, struct pair *d, const char *path, const char *name,
                     const struct stat *st, const struct found *f)
{
    const struct staging_options *o = &p->s->o;
    bool both_dirs = S_ISDIR(st->st_mode) && S_ISDIR(f->mode);
    /* The directory of manifests is no single archive's own. */
    bool swap = o->replace && d->w->area == 0 && !*d->w->path && !made_here(p, f) &&
                strcmp(path, ".warmpack") != 0;

    if (both_dirs && (!swap || o->keep_old)) {
        if (f->mount || f->dev != d->a->dev)
            return staging_error(p->err, EXDEV, d->a, path,
                                 "is on another filesystem (a mount point)");
        return merge(p, d, path, name, f);
    }
    if (o->keep_old) {
        _cleanup_free_ char *whole = path_join(d->a->target, path);
        report(o->report, WP_FAILED, whole ? whole : path, "exists already, kept");
        return 0;
    }
    if (S_ISDIR(f->mode) && !both_dirs && !swap && !plan_is_empty(d->other_fd, name))
        return staging_error(p->err, EISDIR, d->a, path, "a directory is in the way");
    int r =
        d->w->staged ? 0 : plan_check_victim(p, d->w->area, path, d->other_fd, name, f, &d->other);
    return r < 0 ? r : add_put(p, d, path, st, true);
}

static int plan_name(struct planner *p, struct pair *d, const char *name)
{
    struct stat st;
    struct found f = {0};
    _cleanup_free_ char *path = path_join(d->w->path, name);
    if (!path)
        return error_nomem(p->err);
    if (!*d->w->path && strncmp(name, STAGING_PREFIX, strlen(STAGING_PREFIX)) == 0)
        return staging_error(p->err, EINVAL, d->a, path, "is a name that staging keeps for itself");
    if (fstatat(d->new_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return staging_error(p->err, errno, d->a, path, "cannot stat what is staged");

    const struct staging_op *earlier = d->w->area > 0 ? earlier_put(p, d, name) : NULL;
    if (earlier && earlier->dir && S_ISDIR(st.st_mode))
        return merge_earlier(p, d, path, earlier);
    if (earlier) {
        size_t order = earlier->order;
        int r = add_put(p, d, path, &st, true);
        if (r == 0 && p->plan->ops[p->plan->count - 1].order < order)
            p->plan->ops[p->plan->count - 1].order = order;
        return r;
    }
    int r = d->w->staged ? 0 : is_removed(d->a, path, true);
    if (r >= 0)
        r = r ? -ENOENT : plan_look(d->other_fd, name, &f);
    if (r == -ENOENT)
        return add_put(p, d, path, &st, false);
    if (r < 0)
        return staging_error(p->err, -r, d->a, path, "cannot stat");
    return plan_both(p, d, path, name, &st, &f);
}

/* ---- A pair of directories */

static int read_names(int dirfd, char ***names, size_t *count)
{
    size_t room = 0;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    _cleanup_closedir_ DIR *d = file_list(fd);
    if (!d)
        return -errno;
    for (struct dirent *e; errno = 0, (e = readdir(d));) {
        if (file_is_dots(e->d_name))
            continue;
        if (*count == room) {
            room = room ? room * 2 : 32;
            char **grown = reallocarray(*names, room, sizeof *grown);
            if (!grown)
                return -ENOMEM;
            *names = grown;
        }
        (*names)[*count] = strdup(e->d_name);
        if (!(*names)[*count])
            return -ENOMEM;
        (*count)++;
    }
    if (errno)
        return -errno;
    if (*count)
        qsort(*names, *count, sizeof **names, by_name);
    return 0;
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

    char **names = NULL;
    size_t count = 0;
    int r = read_names(new_fd, &names, &count);
    if (r < 0)
        staging_error(p->err, -r, d.a, w->path, "cannot read what is staged");
    for (size_t i = 0; i < count; i++) {
        if (r == 0)
            r = plan_name(p, &d, names[i]);
        free(names[i]);
    }
    free(names);
    return r;
}

static int plan_area(struct planner *p, unsigned area)
{
    const struct staging_area *a = &p->s->areas[area];
    struct stat st;
    if (fstat(a->target_fd, &st) < 0)
        return staging_error(p->err, errno, a, NULL, "cannot stat");
    int r = add_dir(p, area, "", staging_dir_find(a, ""), st.st_mode);
    if (r == 0)
        r = enqueue(p, area, "", area, false, "", 0);
    while (r == 0 && p->next < p->count) {
        struct work w = p->queue[p->next++];
        r = plan_pair(p, &w);
        free(w.path);
        free(w.other);
    }
    return r;
}

/* ---- Removals, attributes, order */

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
    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
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

static int plan_removes(struct planner *p, unsigned area)
{
    const struct staging_area *a = &p->s->areas[area];
    int r = 0;

    if (a->remove_count)
        qsort(a->remove, a->remove_count, sizeof *a->remove, by_name);
    for (size_t i = 0; i < a->remove_count && r == 0; i++) {
        /* Named twice, or gone with a directory above it. */
        if (i && strcmp(a->remove[i - 1], a->remove[i]) == 0)
            continue;
        r = is_removed(a, a->remove[i], false);
        if (r == 0)
            r = plan_remove(p, area, a->remove[i]);
        else if (r > 0)
            r = 0;
        else
            error_nomem(p->err);
    }
    return r;
}

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
        struct staging_op *op = staging_plan_add(p->plan, OP_DIR, put.area, put.path);
        if (!op)
            return error_nomem(p->err);
        const struct staging_dir *named = staging_dir_find(a, put.path);
        op->mode = named ? named->mode : a->dir_mode;
        op->mtime.tv_nsec = UTIME_OMIT;
        if (named) {
            op->uid = named->uid;
            op->gid = named->gid;
            op->mtime = named->mtime;
        }
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
    _cleanup_(planner_clear) struct planner p = {.s = s, .plan = plan, .err = err};
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
    if (r == 0 && plan->count)
        qsort(plan->ops, plan->count, sizeof *plan->ops, by_order);
    return r;
}
