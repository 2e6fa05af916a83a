/* Sets the attributes of directories that are staged and will be renamed as a whole, while nobody
 * sees them, from the bottom up, since one above may become impossible to enter.
 *
 * The caller has named most of them. Where the filesystem counts the links of a directory, the
 * count says whether there are others in it; only then, or where it does not count, the directory
 * is listed. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "staging_private.h"
#include "tree/beneath.h"
#include "tree/create.h"

/* A directory below the top that is named, or above one. */
struct fresh {
    const char *path;                /* in the area */
    char *own;                       /* is PATH where nobody else has it; owned */
    const struct staging_dir *named; /* NULL: it was not */
    size_t parent;                   /* length of the path of the directory that it is in */
    unsigned depth;
    size_t subdirs; /* in it, of those that are known */
};

struct fresh_tree {
    const struct staging_area *a;
    struct fresh *list; /* owned; the deepest first, and what is in one directory together */
    size_t count;
    struct wp_error *err;
};

static void tree_clear(struct fresh_tree *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->list[i].own);
    free(t->list);
}

/* ---- Which are known */

/* Compares PATH with those beneath directory TOP, of N bytes, in the order of paths: 0 is there. */
static int compare_under(const char *path, const char *top, size_t n)
{
    int c = strncmp(path, top, n);
    return c ? c : (unsigned char)path[n] - '/';
}

static int add_fresh(struct fresh_tree *t, struct fresh f)
{
    if (array_grow(t->list, t->count) < 0) {
        free(f.own);
        return error_nomem(t->err);
    }
    const char *slash = strrchr(f.path, '/');
    f.parent = slash ? (size_t)(slash - f.path) : 0;
    f.depth = path_depth(f.path);
    t->list[t->count++] = f;
    return 0;
}

/* Adds the directories between TOP, of N bytes, and what was added last. */
static int add_above(struct fresh_tree *t, size_t n)
{
    for (;;) {
        const struct fresh *f = &t->list[t->count - 1], *before = t->count > 1 ? f - 1 : NULL;
        /* Mostly what is before it is the one above, or in the same directory. */
        if (f->parent <= n || (before && strncmp(f->path, before->path, f->parent) == 0 &&
                               (before->path[f->parent] == '\0' || before->parent == f->parent)))
            return 0;
        char *above = strndup(f->path, f->parent);
        if (!above)
            return error_nomem(t->err);
        if (staging_dir_find(t->a, above)) {
            free(above);
            return 0;
        }
        int r = add_fresh(t, (struct fresh){.path = above, .own = above});
        if (r < 0)
            return r;
    }
}

static int by_depth(const void *a, const void *b)
{
    const struct fresh *x = a, *y = b;
    if (x->depth != y->depth)
        return x->depth > y->depth ? -1 : 1;
    return strcmp(x->path, y->path);
}

static void drop_doubles(struct fresh_tree *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (kept && by_depth(&t->list[kept - 1], &t->list[i]) == 0)
            free(t->list[i].own);
        else
            t->list[kept++] = t->list[i];
    }
    t->count = kept;
}

static int find_known(struct fresh_tree *t, const char *top)
{
    const struct staging_area *a = t->a;
    const size_t n = strlen(top);
    const size_t first = array_first(i, a->dir_count, compare_under(a->dirs[i].d.path, top, n) < 0);
    for (size_t i = first; i < a->dir_count; i++) {
        const struct staging_dir *d = &a->dirs[i].d;
        if (compare_under(d->path, top, n) != 0)
            break;
        if (i + 1 < a->dir_count && strcmp(d->path, a->dirs[i + 1].d.path) == 0)
            continue; /* the last one holds */
        int r = add_fresh(t, (struct fresh){.path = d->path, .named = d});
        if (r == 0)
            r = add_above(t, n);
        if (r < 0)
            return r;
    }
    array_sort(t->list, t->count, by_depth);
    drop_doubles(t);
    return 0;
}

static struct fresh *find_fresh(const struct fresh_tree *t, const char *path)
{
    const struct fresh key = {.path = path, .depth = path_depth(path)};
    return array_find(&key, t->list, t->count, by_depth);
}

/* ---- Attributes */

/* Sets those of directory NAME of AT, which is PATH of the area and was found as ST. */
static int set_attributes(const struct fresh_tree *t, int at, const char *name, const char *path,
                          const struct stat *st, const struct staging_dir *named)
{
    const struct staging_area *a = t->a;
    bool gives = named && ((named->uid != (uid_t)-1 && named->uid != st->st_uid) ||
                           (named->gid != (gid_t)-1 && named->gid != st->st_gid));
    if (gives && fchownat(at, name, named->uid, named->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return staging_error(t->err, errno, a, path, create_owner_error(errno));
    /* In a setgid directory, what is made inherits the bit, and tar leaves it; but for root, who
     * sets modes as they were packed. */
    mode_t inherited = geteuid() != 0 ? st->st_mode & S_ISGID : 0;
    mode_t mode = (named ? named->mode : staging_dir_mode(a, path)) | inherited;
    if ((gives || (st->st_mode & 07777) != mode) && fchmodat(at, name, mode, 0) < 0)
        return staging_error(t->err, errno, a, path, "cannot change the mode");
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      named ? named->mtime : (struct timespec){0}};
    if (named && utimensat(at, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return staging_error(t->err, errno, a, path, "cannot set the time");
    return 0;
}

/* Sets those of directory PATH, without a look at what is in it. */
static int finish_alone(const struct fresh_tree *t, const char *path)
{
    const char *name;
    struct stat st;
    _cleanup_close_ int at = beneath_parent(t->a->new_fd, path, &name);
    if (at < 0 || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return staging_error(t->err, at < 0 ? -at : errno, t->a, path,
                             "cannot open what is staged");
    return set_attributes(t, at, name, path, &st, staging_dir_find(t->a, path));
}

/* Adds the directories in FD, which is PATH and taken over. */
static int add_dirs(struct path_list *p, int fd, const char *path)
{
    _cleanup_closedir_ DIR *d = file_list(fd);
    if (!d)
        return -errno;
    int more;
    for (struct dirent *e; (more = file_next(d, &e)) > 0;) {
        struct stat st = {.st_mode = DTTOIF(e->d_type)};
        if (e->d_type == DT_UNKNOWN &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0 &&
            !error_is_absence(-errno))
            return -errno;
        if (S_ISDIR(st.st_mode) && path_list_add(p, path_join(path, e->d_name)) < 0)
            return -ENOMEM;
    }
    return more;
}

/* Lists directory NAME of AT, which is PATH, and sets the attributes of those in it that are not
 * known, and of all beneath these. */
static int finish_unknown(const struct fresh_tree *t, int at, const char *name, const char *path)
{
    _cleanup_(path_list_clear) struct path_list p = {0};
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 ? -errno : add_dirs(&p, fd, path);
    if (r < 0)
        return staging_error(t->err, -r, t->a, path, "cannot read what is staged");
    size_t unknown = 0;
    for (size_t i = 0; i < p.count; i++) {
        if (find_fresh(t, p.v[i]))
            free(p.v[i]);
        else
            p.v[unknown++] = p.v[i];
    }
    p.count = unknown;
    for (size_t i = 0; i < p.count && r == 0; i++) {
        fd = beneath_open(t->a->new_fd, p.v[i], O_RDONLY | O_DIRECTORY, 0);
        r = fd < 0 ? fd : add_dirs(&p, fd, p.v[i]);
        if (r < 0)
            staging_error(t->err, -r, t->a, p.v[i], "cannot read what is staged");
    }
    for (size_t i = p.count; r == 0 && i-- > 0;)
        r = finish_alone(t, p.v[i]);
    return r;
}

/* Sets those of F and of the N - 1 behind it, which lie in the same directory. If that is gone, so
 * are they. */
static int finish_siblings(struct fresh_tree *t, struct fresh *f, size_t n, struct fresh *top,
                           size_t top_size)
{
    _cleanup_free_ char *above = strndup(f->path, f->parent);
    struct fresh *parent = !above ? NULL : f->parent == top_size ? top : find_fresh(t, above);
    if (!parent)
        return error_nomem(t->err);
    _cleanup_close_ int at = beneath_open(t->a->new_fd, above, O_PATH | O_DIRECTORY, 0);
    /* What was staged can have been taken out or moved again. */
    if (beneath_is_absence(at))
        return 0;
    if (at < 0)
        return staging_error(t->err, -at, t->a, above, "cannot open what is staged");
    for (size_t i = 0; i < n; i++) {
        const char *name = f[i].path + f->parent + 1;
        struct stat st;
        if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (error_is_absence(-errno))
                continue;
            return staging_error(t->err, errno, t->a, f[i].path, "cannot stat what is staged");
        }
        if (!S_ISDIR(st.st_mode))
            continue;
        int r = t->a->counts_dirs && st.st_nlink == 2 + f[i].subdirs
                    ? 0
                    : finish_unknown(t, at, name, f[i].path);
        if (r == 0)
            r = set_attributes(t, at, name, f[i].path, &st, f[i].named);
        if (r < 0)
            return r;
        parent->subdirs++;
    }
    return 0;
}

static int finish_below(struct fresh_tree *t, struct fresh *top)
{
    size_t top_size = strlen(top->path), n;
    for (size_t i = 0; i < t->count; i += n) {
        const struct fresh *f = &t->list[i];
        for (n = 1; i + n < t->count && f[n].parent == f->parent && f[n].depth == f->depth &&
                    strncmp(f[n].path, f->path, f->parent) == 0;)
            n++;
        int r = finish_siblings(t, &t->list[i], n, top, top_size);
        if (r < 0)
            return r;
    }
    return 0;
}

int staging_fresh_prepare(const struct staging_area *a, const char *path, bool *defer,
                          struct wp_error *err)
{
    _cleanup_(tree_clear) struct fresh_tree t = {.a = a, .err = err};
    struct fresh top = {.path = path, .named = staging_dir_find(a, path)};
    const char *name;
    struct stat st;

    int r = find_known(&t, path);
    if (r == 0)
        r = finish_below(&t, &top);
    if (r < 0)
        return r;
    _cleanup_close_ int at = beneath_parent(a->new_fd, path, &name);
    if (at < 0 || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return staging_error(err, at < 0 ? -at : errno, a, path, "cannot open what is staged");
    if (!a->counts_dirs || st.st_nlink != 2 + top.subdirs)
        r = finish_unknown(&t, at, name, path);
    if (r < 0)
        return r;
    /* Only root moves a directory that it may not write to. */
    mode_t mode = top.named ? top.named->mode : staging_dir_mode(a, path);
    *defer = geteuid() != 0 && (mode & 0700) != 0700;
    return *defer ? 0 : set_attributes(&t, at, name, path, &st, top.named);
}
