/* The layout, how: puts cache files into the staged trees, and removes what stands in their way. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "layout.h"
#include "tree/beneath.h"

/* ---- One file ---------------------------------------------------------------------------- */

static int copy_across(int from_fd, const char *from, int to_fd, const char *to)
{
    struct stat st;
    _cleanup_close_ int in = beneath_open_file(from_fd, from, &st);
    _cleanup_close_ int out = -1;
    _cleanup_buf_ struct buf block = {0};
    struct timespec times[2];
    uint64_t at = 0;
    ssize_t n;

    if (in < 0)
        return in;
    out = beneath_open(to_fd, to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (out < 0)
        return out;
    if (buf_reserve(&block, 1 << 18) < 0)
        return -ENOMEM;
    while ((n = file_read_at(in, block.data, block.room, at)) > 0) {
        int r = file_write(out, block.data, (size_t)n);

        if (r < 0)
            return r;
        at += (uint64_t)n;
    }
    if (n < 0)
        return (int)n;
    if (geteuid() == 0 && fchown(out, st.st_uid, st.st_gid) < 0)
        return -errno;
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    if (fchmod(out, st.st_mode & 0777) < 0 || futimens(out, times) < 0)
        return -errno;
    return close(take_fd(&out)) < 0 ? -errno : 0;
}

static int link_across(int from_fd, const char *from, int to_fd, const char *to)
{
    const char *from_name, *to_name;
    _cleanup_close_ int a = beneath_parent(from_fd, from, &from_name);
    _cleanup_close_ int b = beneath_parent(to_fd, to, &to_name);
    struct stat st;

    if (a < 0 || b < 0)
        return a < 0 ? a : b;
    /* A symlink would be linked, too, and lead somewhere else from its new place. */
    if (fstatat(a, from_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -ELOOP;
    return linkat(a, from_name, b, to_name, 0) < 0 ? -errno : 0;
}

/* Puts one cache file into a destination: moves it, or leaves it there for further ones. What is
 * only read is copied, so that no later change reaches it, and so is what gets the ACL of whatever
 * is made there. */
static int put_file(struct layout *l, const struct layout_record *record,
                    const struct layout_file *f, const struct layout_destination *d, int area,
                    bool move, struct wp_error *err)
{
    _cleanup_free_ char *from = path_join(record->dir, f->name);
    _cleanup_free_ char *to = path_join(d->path, f->name);
    int to_fd = staging_tree(*l->o.staging, area);
    int r;

    if (!from || !to)
        return error_nomem(err);
    r = staging_gives_acl(*l->o.staging, area, d->path);
    if (r > 0 || (r == 0 && record->root == LAYOUT_FOREIGN))
        r = -EXDEV;
    else if (r == 0)
        r = move && record->staged ? beneath_rename(record->fd, from, to_fd, to)
                                   : link_across(record->fd, from, to_fd, to);
    if (r == -EXDEV || r == -EPERM || r == -EMLINK) {
        r = copy_across(record->fd, from, to_fd, to);
        /* What is staged and was copied out of its area would be committed where it was, too. */
        if (r == 0 && move && record->staged)
            r = beneath_remove(record->fd, from);
    }
    if (r < 0)
        return error_set(err, -r, to, "cannot put the cache file into its place");
    if (l->o.give) {
        _cleanup_close_ int fd = beneath_open(to_fd, to, O_RDONLY, 0);

        if (fd < 0 || fchown(fd, l->o.verify->user.uid, l->o.verify->user.gid) < 0)
            return error_set(err, errno, to, "cannot give the cache file to its user");
    }
    return 0;
}

/* ---- Directories ------------------------------------------------------------------------- */

/* Sets a directory's attributes with a copy of its path that lives until the commit. */
static int set_dir(struct layout *l, int area, struct staging_dir *attributes, struct wp_error *err)
{
    if (path_list_add(&l->kept, strdup(attributes->path)) < 0)
        return error_nomem(err);
    attributes->path = l->kept.v[l->kept.count - 1];
    return staging_set_dir(*l->o.staging, area, attributes) < 0 ? error_nomem(err) : 0;
}

static const struct entry *unpacked_dir(const struct layout *l, const char *path)
{
    const struct entry *e = l->o.dir_entry ? l->o.dir_entry(l->o.ctx, path) : NULL;

    return e && e->type == ENTRY_DIR ? e : NULL;
}

mode_t layout_group_mode(const struct layout *l)
{
    return l->o.group_writable ? S_IRWXG : 0;
}

/* The time of a directory that is made here. */
static struct timespec new_time(const struct layout *l)
{
    struct timespec now;

    if (l->o.policy && l->o.policy->mtime)
        return *l->o.policy->mtime;
    clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

/* A cache root below the tree is the user's, too: Numba makes further directories in it. */
static int give_root(struct layout *l, const struct layout_destination *d, struct wp_error *err)
{
    _cleanup_free_ char *root = path_dir(d->path);
    const struct entry *e = root ? unpacked_dir(l, root) : NULL;
    struct staging_dir attributes = {
        .mode = 0777 & ~l->o.umask, .uid = (uid_t)-1, .gid = (gid_t)-1};

    if (!root)
        return error_nomem(err);
    if (l->o.give) {
        attributes.uid = l->o.verify->user.uid;
        attributes.gid = l->o.verify->user.gid;
    }
    if (d->root != LAYOUT_TREE || !*root || (!l->o.give && !l->o.group_writable) ||
        strcmp(path_base(d->path), "__pycache__") == 0)
        return 0;
    if (e) {
        attributes.path = e->path;
        attributes.mode = create_mode(l->o.policy, e);
        attributes.mtime = create_mtime(l->o.policy, e);
    } else {
        attributes.path = l->cache_below;
        attributes.mtime = new_time(l);
    }
    attributes.mode |= layout_group_mode(l);
    return attributes.path ? set_dir(l, 0, &attributes, err) : 0;
}

/* Owner and mode of a new destination: those of the directory that the caches come from, but for
 * what others may write. */
static int attributes_like(const struct layout *l, const struct layout_record *record,
                           const struct layout_destination *d, struct staging_dir *attributes)
{
    const struct entry *like = unpacked_dir(l, record->dir);
    const struct entry *same = d->root == LAYOUT_TREE ? unpacked_dir(l, d->path) : NULL;
    struct stat st;
    int r = 0;

    if (like)
        create_owner(l->o.policy, like, &attributes->uid, &attributes->gid);
    else if (!record->staged && record->root != LAYOUT_FOREIGN && geteuid() == 0)
        r = beneath_look(record->fd, record->dir, &st);
    if (r > 0) {
        attributes->uid = st.st_uid;
        attributes->gid = st.st_gid;
    }
    if (l->o.give) {
        attributes->uid = l->o.verify->user.uid;
        attributes->gid = l->o.verify->user.gid;
    }
    if (same)
        attributes->mode = create_mode(l->o.policy, same);
    attributes->mode |= layout_group_mode(l);
    return r < 0 ? r : 0;
}

static int make_destination(struct layout *l, const struct layout_record *record,
                            const struct layout_destination *d, int area, struct wp_error *err)
{
    int fd = staging_tree(*l->o.staging, area), r;
    struct staging_dir attributes = {.path = d->path,
                                     .mode = 0777 & ~staging_umask(*l->o.staging, area),
                                     .uid = (uid_t)-1,
                                     .gid = (gid_t)-1};
    struct stat st;

    r = attributes_like(l, record, d, &attributes);
    if (r == 0 && *d->path)
        r = beneath_mkdirs(fd, d->path, 0700);
    /* A directory that is there and not the user's to be stays as it is. */
    if (r == 0 && !record->staged && !l->o.give && !l->o.group_writable)
        r = beneath_look(staging_target(*l->o.staging, area), d->path, &st);
    if (r < 0)
        return error_set(err, -r, d->path, "cannot make the cache directory");
    if (r > 0)
        return 0;
    attributes.mtime = new_time(l);
    r = set_dir(l, area, &attributes, err);
    return r < 0 ? r : give_root(l, d, err);
}

/* What stays where it is becomes the user's where they could not read it: an index that cannot be
 * read stops the program. One of several names is others', too. */
static int give_files(const struct layout *l, const struct layout_record *record,
                      const struct layout_file *f, struct wp_error *err)
{
    const struct places_user *user = &l->o.verify->user;
    size_t count;
    const struct layout_file *files = layout_stem(record, f, &count);

    for (size_t k = 0; k < count; k++) {
        struct stat st;
        _cleanup_free_ char *path = path_join(record->dir, files[k].name);
        _cleanup_close_ int fd = path ? beneath_open_file(record->fd, path, &st) : -ENOMEM;

        if (beneath_is_no_file(fd))
            continue;
        if (fd < 0)
            return error_set(err, -fd, path, "cannot be opened");
        if (places_readable(&st, user) || st.st_nlink > 1)
            continue;
        if (fchown(fd, user->uid, user->gid) < 0)
            return error_set(err, errno, path, "cannot give the cache file to its user");
    }
    return 0;
}

int layout_give_own(struct layout *l, const struct layout_record *record,
                    const struct layout_file *f, const struct layout_destination *d,
                    struct wp_error *err)
{
    int r;

    if (l->o.dry_run)
        return 0;
    r = l->o.give ? give_files(l, record, f, err) : 0;
    if (r < 0)
        return r;
    if (record->staged) {
        int area = layout_area(l, d->root, err);

        return area < 0 ? area : make_destination(l, record, d, area, err);
    }
    _cleanup_close_ int fd = beneath_open(record->fd, record->dir, O_RDONLY | O_DIRECTORY, 0);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, fd < 0 ? -fd : errno, record->dir, "cannot stat");
    const struct places_user *user = &l->o.verify->user;
    const gid_t gid = user->has_group ? user->gid : st.st_gid;

    if (l->o.give && (st.st_uid != user->uid || st.st_gid != gid) && fchown(fd, user->uid, gid) < 0)
        return error_set(err, errno, record->dir, "cannot give the directory to its user");
    if ((st.st_mode & layout_group_mode(l)) != layout_group_mode(l) &&
        fchmod(fd, (st.st_mode & 07777) | layout_group_mode(l)) < 0)
        return error_set(err, errno, record->dir, "cannot give the directory to its group");
    return 0;
}

int layout_put_index(struct layout *l, struct layout_record *record, const struct layout_file *f,
                     const struct layout_destination *d, bool move, struct wp_error *err)
{
    int area = layout_area(l, d->root, err), r = area < 0 ? area : 0;
    size_t count;
    const struct layout_file *files = layout_stem(record, f, &count);

    if (r == 0)
        r = make_destination(l, record, d, area, err);
    if (r == 0)
        r = layout_remove_stem(l, d, f, err);
    for (size_t k = 0; k < count && r == 0; k++)
        r = put_file(l, record, &files[k], d, area, move, err);
    return r < 0 ? r : layout_remove_old_data(l, record, d, area, f, err);
}
