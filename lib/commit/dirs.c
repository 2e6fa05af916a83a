/* Looks after directories: what the caller set for them, a look for mount points in those that are
 * to go, and the group that those staged elsewhere would have got. Trees may be deep: no recursion,
 * and few descriptors. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "plan.h"
#include "tree/beneath.h"

/* ---- What the caller set */

static int by_path(const void *a, const void *b)
{
    const struct staging_named *x = a, *y = b;
    int c = strcmp(x->d.path, y->d.path);
    return c ? c : x->seq < y->seq ? -1 : x->seq > y->seq;
}

void staging_dirs_sort(struct staging_area *a)
{
    array_sort(a->dirs, a->dir_count, by_path);
}

const struct staging_dir *staging_dir_find(const struct staging_area *a, const char *path)
{
    /* The first one behind PATH; before it the last one set for PATH. */
    size_t low = array_first(i, a->dir_count, strcmp(a->dirs[i].d.path, path) <= 0);

    return low > 0 && strcmp(a->dirs[low - 1].d.path, path) == 0 ? &a->dirs[low - 1].d : NULL;
}

void staging_dir_set_mode(struct staging_area *a, const char *path, mode_t mode)
{
    struct staging_dir *d = (struct staging_dir *)staging_dir_find(a, path);

    if (d)
        d->mode = (d->mode & 07000) | mode;
}

/* ---- Walking directories from the top down */

static int visit_one(struct path_list *dirs, int at, const char *name, const char *path,
                     staging_visitor *visit, void *ctx)
{
    int r = visit(ctx, at, name, path);

    return r > 0 ? path_list_add(dirs, strdup(path)) : r;
}

static int visit_in(struct path_list *dirs, int at, const char *dir, staging_visitor *visit,
                    void *ctx)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *e;
    int r = beneath_list(at, dir, &d);

    /* Packed so, or to be moved: that can be done all the same, and removing what is left of it
     * stops at mount points. */
    if (r == -EACCES)
        return 0;
    while (r > 0 && (r = file_next(d, &e)) > 0) {
        _cleanup_free_ char *path = path_join(dir, e->d_name);
        int done = path ? visit_one(dirs, dirfd(d), e->d_name, path, visit, ctx) : -ENOMEM;

        if (done < 0)
            return done;
    }
    return r;
}

int staging_visit(int at, const char *name, staging_visitor *visit, void *ctx)
{
    _cleanup_(path_list_clear) struct path_list dirs = {0};
    int r = visit_one(&dirs, at, name, name, visit, ctx);

    for (size_t i = 0; i < dirs.count && r == 0; i++)
        r = visit_in(&dirs, at, dirs.v[i], visit, ctx);
    return r;
}

/* ---- Mount points */

/* Can something be mounted below what is called NAME? The list of mounts has paths, with escapes.
 */
static bool may_have_mounts(const char *name)
{
    enum { LARGEST = 64 << 20 };
    _cleanup_buf_ struct buf list = {0};
    const size_t size = strlen(name);
    int r = file_read("/proc/self/mountinfo", LARGEST, &list, NULL);
    const char *text = NULL;

    if (r < 0 || buf_add(&list, "", 1) < 0 || strpbrk(name, " \t\n\\"))
        return true;
    for (text = strchr((const char *)list.data, '/'); text; text = strchr(text + 1, '/'))
        if (strncmp(text + 1, name, size) == 0 && strchr("/ ", text[1 + size]))
            return true;
    return false;
}

static int look_for_mount(void *ctx, int at, const char *name, const char *path)
{
    struct found f;
    int r = plan_look(at, name, &f);

    (void)ctx;
    (void)path;
    if (r < 0)
        return error_is_absence(r) ? 0 : r;
    return f.mount ? -EBUSY : S_ISDIR(f.mode);
}

int staging_find_mounts(int at, const char *name)
{
    return may_have_mounts(name) ? staging_visit(at, name, look_for_mount, NULL) : 0;
}

/* ---- The group of what is staged */

/* Gives NAME of AT the group, and directories the setgid bit. */
static int inherit(void *ctx, int at, const char *name, const char *path)
{
    const gid_t *gid = ctx;
    struct stat st;
    (void)path;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    /* The kernel gives a group to what is made there; its members alone may give it themselves,
     * and nobody one that the user namespace does not have. */
    if (fchownat(at, name, (uid_t)-1, *gid, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == EPERM || errno == EINVAL ? 0 : -errno;
    if (!S_ISDIR(st.st_mode))
        return 0;
    return fchmodat(at, name, (st.st_mode & 07777) | S_ISGID, 0) < 0 ? -errno : 1;
}

int staging_dirs_inherit(int at, const char *name, gid_t gid)
{
    return staging_visit(at, name, inherit, &gid);
}
