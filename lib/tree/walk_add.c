/* Listing trees: each directory through its descriptor, nothing sorted yet. */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "beneath.h"
#include "walk.h"
#include "walk_own.h"
#include "walk_root.h"

/* One walk_add: directories are listed in the order in which they were found, so that the items
 * themselves are the queue. */
struct run {
    struct walk *w;
    const struct walk_options *o;
    struct wp_error *err;
    unsigned root;
    const char *name_top; /* of what is walked, beneath the root; "" is the root itself */
    const char *as_top;   /* its archive path; "" where it has no item of its own */
    bool same;            /* the two are equal */
    size_t first;         /* index of the run's first item */
    dev_t top_dev;
    ino_t top_ino;
    size_t *parents; /* with `follow`: by item - first, that of its directory; owned */
    size_t parents_room;
    struct buf name, as; /* of the item at hand; terminated */
    char *listing;       /* of getdents64; owned */
};

enum { LISTING_SIZE = 64 << 10 };
static const size_t NO_PARENT = SIZE_MAX;

static void run_clear(struct run *r)
{
    free(r->parents);
    free(r->listing);
    buf_free(&r->name);
    buf_free(&r->as);
}

/* error_set with the path as a user would type it. */
static int fail(const struct run *r, int errnum, const char *name, const char *what)
{
    _cleanup_free_ char *path = path_join(r->w->root_names[r->root], name);
    return error_set(r->err, errnum, path ? path : name, "%s", what);
}

static void tell(const struct run *r, enum wp_severity severity, const char *name, const char *what)
{
    _cleanup_free_ char *path = path_join(r->w->root_names[r->root], name);
    report(r->o->report, severity, path ? path : name, "%s", what);
}

/* Is AT beneath DIR, called NAME in directory WITHIN, of our own? It may have gone meanwhile. */
static bool is_own(const struct run *r, int dir, const char *at, const char *within,
                   const char *name)
{
    mode_t type = walk_own_type(within, name);
    int flags = AT_EMPTY_PATH | (r->o->follow ? 0 : AT_SYMLINK_NOFOLLOW);
    struct stat st;
    return type && (fstatat(dir, at, &st, flags) < 0 || (st.st_mode & S_IFMT) == type);
}

static struct walk_item *new_item(struct run *r, size_t parent)
{
    struct walk *w = r->w;
    if (w->count == w->room) {
        size_t room = w->room ? w->room * 2 : 64;
        struct walk_item *items = reallocarray(w->items, room, sizeof *items);
        if (!items)
            return NULL;
        w->items = items;
        w->room = room;
    }
    if (r->o->follow) {
        size_t i = w->count - r->first;
        if (i >= r->parents_room) {
            size_t room = r->parents_room ? r->parents_room * 2 : 64;
            size_t *parents = reallocarray(r->parents, room, sizeof *parents);
            if (!parents)
                return NULL;
            r->parents = parents;
            r->parents_room = room;
        }
        r->parents[i] = parent;
    }
    struct walk_item *item = &w->items[w->count++];
    *item = (struct walk_item){.root = r->root, .follow = r->o->follow};
    return item;
}

static int read_target(struct run *r, int dir, const char *at, char **target)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(dir, at, text, sizeof text);
    if (n < 0)
        return fail(r, errno, (char *)r->name.data, "cannot read symbolic link");
    if (n == (ssize_t)sizeof text)
        return fail(r, ENAMETOOLONG, (char *)r->name.data, "cannot read symbolic link");
    *target = strndup(text, (size_t)n);
    return *target ? 0 : error_nomem(r->err);
}

static int copy_name(char **to, const char *from, struct wp_error *err)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? error_nomem(err) : 0;
}

static int fill_item(struct run *r, struct walk_item *item, int dir, const char *at,
                     const struct stat *st)
{
    struct entry *e = &item->entry;
    e->mode = st->st_mode & 07777;
    e->uid = st->st_uid;
    e->gid = st->st_gid;
    e->mtime = st->st_mtim;
    item->dev = st->st_dev;
    item->ino = st->st_ino;
    item->ctime = st->st_ctim;
    if (S_ISREG(st->st_mode)) {
        e->type = ENTRY_FILE;
        e->size = (uint64_t)st->st_size;
        /* Followed symlinks are names, too, that no count tells of. */
        item->linked = st->st_nlink > 1 || r->o->follow;
    } else {
        e->type = S_ISDIR(st->st_mode) ? ENTRY_DIR : ENTRY_SYMLINK;
        item->linked = e->type == ENTRY_SYMLINK && st->st_nlink > 1;
    }
    int e1 = copy_name(&e->path, (char *)r->as.data, r->err);
    if (e1 == 0 && !r->same)
        e1 = copy_name(&item->name, (char *)r->name.data, r->err);
    if (e1 == 0 && !r->o->numeric_owner) {
        e1 = copy_name(&e->uname, names_of(&r->w->names, NAMES_USER, e->uid), r->err);
        if (e1 == 0)
            e1 = copy_name(&e->gname, names_of(&r->w->names, NAMES_GROUP, e->gid), r->err);
    }
    if (e1 == 0 && e->type == ENTRY_SYMLINK)
        e1 = read_target(r, dir, at, &e->target);
    return e1;
}

/* With `follow`: is the directory among those it was reached through? */
static bool is_loop(const struct run *r, size_t parent, const struct stat *st)
{
    for (size_t i = parent; i != NO_PARENT; i = r->parents[i - r->first])
        if (r->w->items[i].dev == st->st_dev && r->w->items[i].ino == st->st_ino)
            return true;
    return (parent != NO_PARENT || !*r->as_top) && r->top_dev == st->st_dev &&
           r->top_ino == st->st_ino;
}

/* What of our own, of others and of the output is not packed, with or without a word. */
static bool is_left_out(const struct run *r, size_t parent, const struct stat *st)
{
    const char *name = (char *)r->name.data;
    if (S_ISREG(st->st_mode) && r->o->skip_ino && st->st_ino == r->o->skip_ino &&
        st->st_dev == r->o->skip_dev)
        tell(r, WP_WARNING, name, "is the archive being written; not packed");
    else if (S_ISSOCK(st->st_mode))
        tell(r, WP_WARNING, name, "socket ignored");
    else if (S_ISFIFO(st->st_mode))
        tell(r, WP_WARNING, name, "FIFO ignored");
    else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
        tell(r, WP_WARNING, name, "device ignored");
    else if (S_ISDIR(st->st_mode) && r->o->follow && is_loop(r, parent, st))
        tell(r, WP_WARNING, name, "symlink loop; not packed");
    else
        return !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode);
    return true;
}

static bool is_interrupted(const struct run *r)
{
    return r->o->interrupted && *r->o->interrupted;
}

/* AT beneath DIR: r->name and r->as are its names. */
static int add_one(struct run *r, int dir, const char *at, size_t parent)
{
    const char *name = (char *)r->name.data;
    if (is_interrupted(r))
        return error_set(r->err, EINTR, NULL, "stopped");
    if (walk_excluded((char *)r->as.data, r->o->exclude))
        return 0;
    struct stat st;
    int flags = AT_EMPTY_PATH | (r->o->follow ? 0 : AT_SYMLINK_NOFOLLOW);
    if (fstatat(dir, at, &st, flags) < 0) {
        int errnum = errno;
        if (errnum != ENOENT || fstatat(dir, at, &st, AT_SYMLINK_NOFOLLOW) == 0)
            return fail(r, errnum, name, "cannot stat");
        tell(r, WP_CHANGED, name, "file removed before it was read");
        return 0;
    }
    if (is_left_out(r, parent, &st))
        return 0;
    struct walk_item *item = new_item(r, parent);
    if (!item)
        return error_nomem(r->err);
    return fill_item(r, item, dir, at, &st);
}

static int set_path(struct buf *b, size_t prefix, const char *name)
{
    b->size = prefix;
    int e = prefix ? buf_add(b, "/", 1) : 0;
    if (e == 0)
        e = buf_add_str(b, name);
    return e < 0 ? e : buf_terminate(b);
}

/* Adds what FD, the directory at r->name and r->as, holds. */
static int list_dir(struct run *r, int fd, size_t parent)
{
    size_t name_prefix = r->name.size, as_prefix = r->as.size;
    if (name_prefix == 1 && r->name.data[0] == '/')
        name_prefix = 0;
    for (;;) {
        ssize_t n = getdents64(fd, r->listing, LISTING_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ENOENT) { /* ENOENT: it has been removed */
            r->name.data[name_prefix] = '\0';
            return fail(r, errno, (char *)r->name.data, "cannot read directory");
        }
        if (n <= 0)
            return 0;
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const void *)(r->listing + at);
            at += d->d_reclen;
            if (file_is_dots(d->d_name))
                continue;
            r->as.data[as_prefix] = '\0';
            if (is_own(r, fd, d->d_name, path_base((char *)r->as.data), d->d_name))
                continue;
            if (set_path(&r->name, name_prefix, d->d_name) < 0 ||
                set_path(&r->as, as_prefix, d->d_name) < 0)
                return error_nomem(r->err);
            int e = add_one(r, fd, d->d_name, parent);
            if (e < 0)
                return e;
        }
    }
}

static int enter_dir(struct run *r, size_t i)
{
    struct walk_item *item = &r->w->items[i];
    if (is_interrupted(r))
        return error_set(r->err, EINTR, NULL, "stopped");
    if (set_path(&r->name, 0, item->name ? item->name : item->entry.path) < 0 ||
        set_path(&r->as, 0, item->entry.path) < 0)
        return error_nomem(r->err);
    _cleanup_close_ int fd = walk_open(r->w, item, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP) {
        tell(r, WP_CHANGED, (char *)r->name.data, "directory removed before it was read");
        item->entry.type = ENTRY_OTHER; /* for walk_finish to drop */
        return 0;
    }
    if (fd < 0)
        return fail(r, -fd, (char *)r->name.data, "cannot open directory");
    return list_dir(r, fd, i);
}

/* Makes the directory FD, reached as DIR from the run's root, the run's root. Takes FD over. */
static int move_root(struct run *r, int fd, const char *dir)
{
    char *name = path_join(r->w->root_names[r->root], dir);
    for (unsigned i = 0; name && i < r->w->root_count; i++) {
        if (strcmp(r->w->root_names[i], name) != 0)
            continue;
        r->root = i;
        close(fd);
        free(name);
        return 0;
    }
    int i = walk_root_add(r->w, fd, name, r->err);
    if (i < 0)
        return i;
    r->root = (unsigned)i;
    return 0;
}

/* Sets the run's root and name_top (into CLEAN) for member PATH, whose clean form is CLEAN: beneath
 * the root given where no symlink leads there, else beneath a further one. */
static int settle_root(struct run *r, const char *path, char *clean)
{
    size_t n = strlen(path);
    bool as_dir = n > 0 && (path[n - 1] == '/' || (n > 1 && strcmp(path + n - 2, "/.") == 0));
    int root_fd = r->w->root_fds[r->root];

    r->name_top = clean;
    if (r->o->follow || !*clean)
        return 0;
    if (path_is_safe(clean)) {
        _cleanup_close_ int fd = beneath_open(root_fd, clean, O_PATH, 0);
        struct stat st;
        if (fd < 0 && fd != -ELOOP)
            return fail(r, -fd, clean, "");
        if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISLNK(st.st_mode) || !as_dir))
            return 0;
    }
    char *last = (char *)path_base(clean);
    if (!as_dir && *last && strcmp(last, "..") != 0) {
        _cleanup_free_ char *dir = last == clean + 1 ? strdup("/") : path_dir(clean);
        if (!dir)
            return error_nomem(r->err);
        int fd = walk_root_follow(root_fd, dir, O_PATH | O_DIRECTORY);
        if (fd < 0)
            return fail(r, -fd, clean, "");
        r->name_top = last;
        return move_root(r, fd, dir);
    }
    /* "link/": what it points to, as for every other program. */
    int fd = walk_root_follow(root_fd, clean, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fail(r, -fd, clean, "");
    r->name_top = "";
    return move_root(r, fd, clean);
}

/* The item of what is walked, or, where that has none, what it holds. */
static int add_top(struct run *r)
{
    _cleanup_close_ int fd = walk_root_open(r->w, r->root, r->name_top, r->o->follow, O_PATH);
    if (fd < 0)
        return fail(r, -fd, r->name_top, "");
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail(r, errno, r->name_top, "cannot stat");
    if (set_path(&r->name, 0, r->name_top) < 0 || set_path(&r->as, 0, r->as_top) < 0)
        return error_nomem(r->err);
    r->top_dev = st.st_dev;
    r->top_ino = st.st_ino;
    if (*r->as_top)
        return is_own(r, fd, "", "", path_base(r->name_top)) ? 0 : add_one(r, fd, "", NO_PARENT);
    if (!S_ISDIR(st.st_mode))
        return fail(r, ENOTDIR, r->name_top, "");
    _cleanup_close_ int dir =
        walk_root_open(r->w, r->root, r->name_top, r->o->follow, O_RDONLY | O_DIRECTORY);
    if (dir < 0)
        return fail(r, -dir, r->name_top, "cannot open directory");
    return list_dir(r, dir, NO_PARENT);
}

int walk_add(struct walk *w, unsigned root, const char *path, const char *as,
             const struct walk_options *o, struct wp_error *err)
{
    _cleanup_free_ char *clean = path_clean(path), *clean_as = path_clean(as ? as : path);
    _cleanup_(run_clear) struct run r = {.w = w, .o = o, .err = err, .root = root};

    r.listing = malloc(LISTING_SIZE);
    if (!clean || !clean_as || !r.listing)
        return error_nomem(err);
    if (*clean_as && !path_is_safe(clean_as))
        return error_set(err, 0, as ? as : path, "not a name for an archive");
    r.first = w->count;
    r.as_top = clean_as;

    int e = settle_root(&r, path, clean);
    r.same = e == 0 && strcmp(r.name_top, r.as_top) == 0;
    if (e == 0)
        e = add_top(&r);
    for (size_t i = r.first; e == 0 && i < w->count; i++)
        if (w->items[i].entry.type == ENTRY_DIR)
            e = enter_dir(&r, i);
    return e;
}
