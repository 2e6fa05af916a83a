/* The layout, how: cache files into the staged trees, and what is removed for them. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "layout.h"
#include "numba/index.h"
#include "tree/beneath.h"

/* ---- One file ---------------------------------------------------------------------------- */

static int copy_across(int from_fd, const char *from, int to_fd, const char *to)
{
    struct stat st;
    _cleanup_close_ int in = beneath_open(from_fd, from, O_RDONLY, 0);
    _cleanup_close_ int out = -1;
    _cleanup_buf_ struct buf block = {0};
    struct timespec times[2];

    if (in < 0)
        return in;
    out = beneath_open(to_fd, to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (out < 0)
        return out;
    if (fstat(in, &st) < 0 || buf_reserve(&block, 1 << 18) < 0)
        return -ENOMEM;
    for (;;) {
        ssize_t n = read(in, block.data, block.room);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(out, block.data + done, (size_t)(n - done));

            if (w < 0 && errno != EINTR)
                return -errno;
            done += w > 0 ? w : 0;
        }
    }
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
 * only read is copied, so that no later change reaches it. */
static int put_file(struct layout *l, const struct layout_record *r, const struct layout_file *f,
                    const struct layout_destination *d, int area, bool move, struct wp_error *err)
{
    _cleanup_free_ char *from = path_join(r->dir, f->name);
    _cleanup_free_ char *to = path_join(d->path, f->name);
    int to_fd = staging_tree(*l->staging, area);
    int res;

    if (!from || !to)
        return error_nomem(err);
    if (r->root == LAYOUT_FOREIGN)
        res = -EXDEV;
    else if (move && l->staged)
        res = beneath_rename(r->fd, from, to_fd, to);
    else
        res = link_across(r->fd, from, to_fd, to);
    if (res == -EXDEV || res == -EPERM || res == -EMLINK) {
        res = copy_across(r->fd, from, to_fd, to);
        /* What is staged and was copied out of its area would be committed where it was, too. */
        if (res == 0 && move && l->staged)
            res = beneath_remove(r->fd, from);
    }
    if (res < 0)
        return error_set(err, -res, to, "cannot put the cache file into its place");
    if (l->give) {
        _cleanup_close_ int fd = beneath_open(to_fd, to, O_RDONLY, 0);

        if (fd < 0 || fchown(fd, l->verify->user.uid, l->verify->user.gid) < 0)
            return error_set(err, errno, to, "cannot give the cache file to its user");
    }
    return 0;
}

/* ---- Directories ------------------------------------------------------------------------- */

/* Sets a directory's attributes with a copy of its path that lives until the commit. */
static int set_dir(struct layout *l, int area, struct staging_dir *attributes, struct wp_error *err)
{
    if (array_grow(l->kept, l->kept_count) < 0 ||
        !(l->kept[l->kept_count] = strdup(attributes->path)))
        return error_nomem(err);
    attributes->path = l->kept[l->kept_count++];
    return staging_set_dir(*l->staging, area, attributes) < 0 ? error_nomem(err) : 0;
}

static const struct entry *unpacked_dir(const struct layout *l, const char *path)
{
    const struct entry *e = l->dir_entry ? l->dir_entry(l->ctx, path) : NULL;

    return e && e->type == ENTRY_DIR ? e : NULL;
}

/* A cache root below the tree is the user's, too: Numba makes further directories in it. */
static int give_root(struct layout *l, const struct layout_destination *d, struct wp_error *err)
{
    _cleanup_free_ char *root = path_dir(d->path);
    const struct entry *e = root ? unpacked_dir(l, root) : NULL;
    struct staging_dir attributes = {
        .mode = 0777 & ~l->umask, .uid = l->verify->user.uid, .gid = l->verify->user.gid};

    if (!root)
        return error_nomem(err);
    if (d->root != LAYOUT_TREE || !*root || !l->give ||
        strcmp(path_base(d->path), "__pycache__") == 0)
        return 0;
    if (e) {
        attributes.path = e->path;
        attributes.mode = create_mode(l->policy, e);
        attributes.mtime = e->mtime;
    } else {
        attributes.path = l->cache_below;
        clock_gettime(CLOCK_REALTIME, &attributes.mtime);
    }
    return attributes.path ? set_dir(l, 0, &attributes, err) : 0;
}

/* Owner and mode of a new destination: those of the directory that the caches come from, but for
 * what others may write. */
static void attributes_like(const struct layout *l, const struct layout_record *r,
                            const struct layout_destination *d, struct staging_dir *attributes)
{
    const struct entry *like = unpacked_dir(l, r->dir);
    const struct entry *same = d->root == LAYOUT_TREE ? unpacked_dir(l, d->path) : NULL;
    struct stat st;

    if (like)
        create_owner(l->policy, like, &attributes->uid, &attributes->gid);
    else if (!l->staged && r->root != LAYOUT_FOREIGN && geteuid() == 0 &&
             beneath_stat(r->fd, r->dir, &st) == 0) {
        attributes->uid = st.st_uid;
        attributes->gid = st.st_gid;
    }
    if (l->give) {
        attributes->uid = l->verify->user.uid;
        attributes->gid = l->verify->user.gid;
    }
    if (same)
        attributes->mode = create_mode(l->policy, same);
}

static int make_destination(struct layout *l, const struct layout_record *r,
                            const struct layout_destination *d, int area, struct wp_error *err)
{
    int fd = staging_tree(*l->staging, area), res;
    struct staging_dir attributes = {
        .path = d->path, .mode = 0777 & ~l->umask, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct stat st;

    attributes_like(l, r, d, &attributes);
    clock_gettime(CLOCK_REALTIME, &attributes.mtime);
    if (*d->path && beneath_stat(fd, d->path, &st) < 0) {
        res = beneath_mkdirs(fd, d->path, 0700);
        if (res < 0)
            return error_set(err, -res, d->path, "cannot make the cache directory");
    }
    /* A directory that is there and not the user's to be stays as it is. */
    if (!l->staged && !l->give &&
        beneath_stat(staging_target(*l->staging, area), d->path, &st) == 0)
        return 0;
    res = set_dir(l, area, &attributes, err);
    return res < 0 ? res : give_root(l, d, err);
}

int layout_give_own(struct layout *l, const struct layout_record *r,
                    const struct layout_destination *d, struct wp_error *err)
{
    if (l->dry_run)
        return 0;
    if (l->staged) {
        int area = layout_area(l, d->root, err);

        return area < 0 ? area : make_destination(l, r, d, area, err);
    }
    _cleanup_close_ int fd = beneath_open(r->fd, r->dir, O_RDONLY | O_DIRECTORY, 0);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, fd < 0 ? -fd : errno, r->dir, "cannot be looked at");
    if (st.st_uid != l->verify->user.uid && fchown(fd, l->verify->user.uid, (gid_t)-1) < 0)
        return error_set(err, errno, r->dir, "cannot give the directory to its user");
    return 0;
}

/* ---- Making room ------------------------------------------------------------------------- */

static void clear_listing(struct layout_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        free(listing->names[i]);
    free(listing->names);
    free(listing->path);
    *listing = (struct layout_listing){0};
}

void layout_listings_clear(struct layout *l)
{
    for (size_t i = 0; i < LAYOUT_LISTINGS; i++)
        clear_listing(&l->listings[i]);
}

static int fill_listing(struct layout_listing *listing, int fd)
{
    _cleanup_close_ int held = beneath_open(fd, listing->path, O_RDONLY | O_DIRECTORY, 0);
    _cleanup_closedir_ DIR *dir = held < 0 ? NULL : fdopendir(held);
    struct dirent *item;
    size_t stem;

    if (!dir)
        return 0; /* not there yet */
    take_fd(&held);
    while ((item = readdir(dir))) {
        if (!index_is_data_name(item->d_name, &stem))
            continue;
        if (array_grow(listing->names, listing->count) < 0 ||
            !(listing->names[listing->count] = strdup(item->d_name)))
            return -ENOMEM;
        listing->count++;
    }
    if (listing->count)
        qsort(listing->names, listing->count, sizeof *listing->names, path_compare);
    return 0;
}

/* The data files that the target has in D; all indexes of a record ask for the same few. NULL on no
 * memory. */
static const struct layout_listing *list_target(struct layout *l, int area, const char *path)
{
    struct layout_listing *listing;

    for (size_t i = 0; i < LAYOUT_LISTINGS; i++) {
        listing = &l->listings[i];
        if (listing->path && listing->area == area && strcmp(listing->path, path) == 0)
            return listing;
    }
    listing = &l->listings[l->next_listing++ % LAYOUT_LISTINGS];
    clear_listing(listing);
    listing->area = area;
    listing->path = strdup(path);
    if (!listing->path || fill_listing(listing, staging_target(*l->staging, area)) < 0)
        return NULL;
    return listing;
}

static bool has_file(const struct layout_file *files, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i].name, name) == 0)
            return true;
    return false;
}

/* Data files of an earlier build in the target which are not among the new ones: numbering starts
 * again after an edit, and an index that names one of them would load old code. */
static int remove_old_data(struct layout *l, const struct layout_record *r,
                           const struct layout_destination *d, int area,
                           const struct layout_file *index, struct wp_error *err)
{
    const struct layout_listing *there = list_target(l, area, d->path);
    size_t low = 0, high = there ? there->count : 0, count, stem;
    const struct layout_file *own = layout_stem(r, index, &count);

    if (!there)
        return error_nomem(err);
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strncmp(there->names[middle], index->name, index->stem) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < there->count; low++) {
        const char *name = there->names[low];
        _cleanup_free_ char *path = NULL;

        if (strncmp(name, index->name, index->stem) != 0)
            break;
        if (!index_is_data_name(name, &stem) || stem != index->stem || has_file(own, count, name))
            continue;
        path = path_join(d->path, name);
        if (!path || staging_set_remove(*l->staging, area, path) < 0)
            return error_nomem(err);
    }
    return 0;
}

/* In the staged tree, another record's files may stand where these come. */
static int remove_stem(struct layout *l, const struct layout_destination *d,
                       const struct layout_file *f, struct wp_error *err)
{
    size_t count = 0, n;
    struct layout_record **there =
        l->staged && d->root == LAYOUT_TREE ? layout_records_at(l, d->path, &count) : NULL;

    for (size_t i = 0; i < count; i++) {
        const struct layout_file *files = layout_stem(there[i], f, &n);

        for (size_t k = 0; k < n; k++) {
            _cleanup_free_ char *path = NULL;
            int res;

            if (&files[k] == f)
                continue;
            path = path_join(there[i]->dir, files[k].name);
            res = path ? beneath_remove(there[i]->fd, path) : -ENOMEM;
            if (res < 0)
                return error_set(err, -res, there[i]->dir, "a cache file cannot be replaced");
        }
    }
    return 0;
}

int layout_put_index(struct layout *l, struct layout_record *r, const struct layout_file *f,
                     const struct layout_destination *d, bool move, struct wp_error *err)
{
    int area = layout_area(l, d->root, err), res = area < 0 ? area : 0;
    size_t count;
    const struct layout_file *files = layout_stem(r, f, &count);

    if (res == 0)
        res = make_destination(l, r, d, area, err);
    if (res == 0)
        res = remove_stem(l, d, f, err);
    for (size_t k = 0; k < count && res == 0; k++)
        res = put_file(l, r, &files[k], d, area, move, err);
    return res < 0 ? res : remove_old_data(l, r, d, area, f, err);
}

/* ---- What is left ------------------------------------------------------------------------ */

static int remove_file(struct layout *l, const struct layout_record *r, const char *name,
                       struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(r->dir, name);
    int area, res;

    if (!path)
        return error_nomem(err);
    if (l->staged) {
        res = beneath_remove(r->fd, path);
        return res < 0 ? error_set(err, -res, path, "cannot be removed") : 0;
    }
    area = layout_area(l, r->root, err);
    if (area < 0)
        return area;
    return staging_set_remove(*l->staging, area, path) < 0 ? error_nomem(err) : 0;
}

int layout_remove_index(struct layout *l, struct layout_record *r, const struct layout_file *f,
                        bool left_out, struct wp_error *err)
{
    size_t count;
    const struct layout_file *files = layout_stem(r, f, &count);
    int res = 0;

    if ((l->staged && !left_out) || l->dry_run || r->root == LAYOUT_FOREIGN)
        return 0; /* moved, or not ours to remove */
    for (size_t i = 0; i < count && res == 0; i++)
        res = remove_file(l, r, files[i].name, err);
    r->gone++;
    return res;
}

/* Data files that no index of the record names are of no use in a place of their own. */
static int remove_orphans(struct layout *l, const struct layout_record *r, struct wp_error *err)
{
    for (size_t i = 0; i < r->file_count; i++) {
        bool orphan = !r->files[i].is_index;
        size_t count;
        const struct layout_file *files = layout_stem(r, &r->files[i], &count);
        int res;

        for (size_t k = 0; k < count && orphan; k++)
            orphan = !files[k].is_index;
        res = orphan ? remove_file(l, r, r->files[i].name, err) : 0;
        if (res < 0)
            return res;
    }
    return 0;
}

static bool may_vanish(const struct layout_record *r)
{
    return (r->moved || r->thinned) && r->kind != LAYOUT_IN_TREE && r->root != LAYOUT_FOREIGN;
}

/* Removes a directory where it is empty. */
static int remove_emptied(const struct layout_record *r)
{
    const char *name;
    _cleanup_close_ int parent = beneath_parent(r->fd, r->dir, &name);

    if (parent < 0 || unlinkat(parent, name, AT_REMOVEDIR) == 0)
        return 0;
    return errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT ? 0 : -errno;
}

/* Does nothing stay in R's directory, and come to it? */
static bool is_emptied(struct layout *l, const struct layout_record *r)
{
    _cleanup_close_ int fd = beneath_open(r->fd, r->dir, O_RDONLY | O_DIRECTORY, 0);
    _cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
    size_t there = 0, indexes = 0;
    struct dirent *item;
    struct stat st;

    if (!d)
        return false;
    take_fd(&fd);
    while ((item = readdir(d)))
        there += strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0;
    for (size_t i = 0; i < r->file_count; i++)
        indexes += r->files[i].is_index;
    return there == r->file_count && indexes == r->gone && l->has_area[r->root] &&
           beneath_stat(staging_tree(*l->staging, l->area[r->root]), r->dir, &st) < 0;
}

int layout_remove_leftovers(struct layout *l, struct wp_error *err)
{
    for (size_t i = 0; i < l->record_count; i++) {
        const struct layout_record *r = &l->records[i];
        int res = may_vanish(r) ? remove_orphans(l, r, err) : 0;

        /* With the files, so that a kill after the commit leaves no directory behind. */
        if (res == 0 && !l->staged && may_vanish(r) && is_emptied(l, r) &&
            staging_set_remove(*l->staging, l->area[r->root], r->dir) < 0)
            return error_nomem(err);
        if (res == 0 && l->staged && may_vanish(r)) {
            res = remove_emptied(r);
            if (res < 0)
                return error_set(err, -res, r->dir, "cannot be removed");
        }
        if (res < 0)
            return res;
    }
    return 0;
}

void layout_finish(struct layout *l)
{
    /* Best effort: an empty directory harms nobody. */
    for (size_t i = 0; i < l->record_count && !l->staged; i++)
        if (may_vanish(&l->records[i]))
            (void)remove_emptied(&l->records[i]);
}
