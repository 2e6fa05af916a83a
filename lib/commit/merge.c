/* Plans, for one name of a staged directory, what must be done so that it stands in the target.
 *
 * A name that the target does not have is renamed as a whole; two directories are merged name by
 * name. Where two areas overlap, a directory that an earlier area brings counts as there already:
 * the later area is compared with the staged directory that will stand in its place. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "plan.h"

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
        d->other.st_gid != st->st_gid) {
        int r = staging_dirs_inherit(d->new_fd, path_base(path), d->other.st_gid);
        if (r < 0)
            return staging_error(p->err, -r, d->a, path, "cannot get its directory's group");
    }
    if (*d->w->path && !d->w->staged) {
        int r = staging_acl_inherit(p->s, (int)d->w->area, path, d->new_fd, d->other_fd);
        if (r < 0)
            return staging_error(p->err, -r, d->a, path, "cannot get its directory's default ACL");
    }
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

int plan_existing_dir(struct planner *p, unsigned area, const char *path,
                      const struct staging_dir *named, mode_t mode)
{
    if (!named || p->plan->keep_old)
        return 0;
    mode = named->mode | (mode & S_ISGID); /* how it hands on its group stays */
    /* It was not made under the default ACL that may have taken the umask's place. */
    mode_t packed = staging_packed_mode(p->s, (int)area, path);
    if (packed)
        mode = (mode & 07000) | (packed & ~p->umask);
    return plan_dir(p, area, path, mode, named);
}

/* Directory PATH is merged as W says, whose other side exists as MODE. It gets what is set for it,
 * or by the earlier area whose staged directory that is. */
static int merge(struct planner *p, struct work w, const char *path, mode_t mode)
{
    const struct staging_dir *named = staging_dir_find(&p->s->areas[w.area], path);
    if (!named && w.area != w.under)
        named = staging_dir_find(&p->s->areas[w.under], w.other);
    int r = plan_existing_dir(p, w.area, path, named, mode);
    w.path = (char *)path;
    return r < 0 ? r : plan_later(p, w);
}

/* Merges PATH with the directory that was found as F. */
static int merge_found(struct planner *p, struct pair *d, const char *path, const char *name,
                       const struct found *f)
{
    struct work w = *d->w;
    _cleanup_free_ char *other = w.other = path_join(w.other, name);
    return other ? merge(p, w, path, f->mode) : error_nomem(p->err);
}

/* Merges PATH with a directory that EARLIER brings. */
static int merge_earlier(struct planner *p, struct pair *d, const char *path,
                         const struct staging_op *earlier)
{
    struct work w = *d->w;
    w.under = earlier->area;
    w.staged = true;
    w.other = earlier->path; /* the text stays where it is when operations are added */
    if (w.order < earlier->order)
        w.order = earlier->order;
    return merge(p, w, path, 0);
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

/* PATH is staged as ST and found in the other directory as F. */
static int plan_both(struct planner *p, struct pair *d, const char *path, const char *name,
                     const struct stat *st, const struct found *f)
{
    const struct staging_options *o = &p->s->o;
    bool both_dirs = S_ISDIR(st->st_mode) && S_ISDIR(f->mode);
    /* The directory of manifests is no single archive's own. */
    bool swap = o->replace && d->w->area == 0 && !*d->w->path && !made_here(p, f) &&
                strcmp(path, MANIFEST_DIR) != 0;

    if (both_dirs && (!swap || o->keep_old)) {
        if (f->mount || f->dev != d->a->dev)
            return staging_error(p->err, EXDEV, d->a, path,
                                 "is on another filesystem (a mount point)");
        return merge_found(p, d, path, name, f);
    }
    if (o->keep_old) {
        _cleanup_free_ char *whole = path_join(d->a->target, path);
        report(o->context, WP_FAILED, whole ? whole : path, "exists already, kept");
        return 0;
    }
    if (S_ISDIR(f->mode) && !both_dirs && !swap && !plan_is_empty(d->other_fd, name))
        return staging_error(p->err, EISDIR, d->a, path, "a directory is in the way");
    int r =
        d->w->staged ? 0 : plan_check_victim(p, d->w->area, path, d->other_fd, name, f, &d->other);
    return r < 0 ? r : add_put(p, d, path, st, true);
}

int plan_name(struct planner *p, struct pair *d, const char *name)
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
    int r = d->w->staged ? 0 : plan_is_removed(d->a, path, true);
    if (r >= 0)
        r = r ? -ENOENT : plan_look(d->other_fd, name, &f);
    if (error_is_absence(r))
        return add_put(p, d, path, &st, false);
    if (r < 0)
        return staging_error(p->err, -r, d->a, path, "cannot stat");
    return plan_both(p, d, path, name, &st, &f);
}
