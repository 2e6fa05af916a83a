/* Lists directories: each through its descriptor, nothing sorted yet. */

#include "walk_list.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/own_names.h"
#include "base/path.h"
#include "tree/beneath.h"

/* The path of what is called NAME beneath the root, as a user would type it. NULL: no memory. */
static char *shown(const struct walk_listing *l, const char *name)
{
    return path_join(l->run->w->root_names[l->run->root], name);
}

static int fail(struct walk_listing *l, int errnum, const char *name, const char *what)
{
    _cleanup_free_ char *path = shown(l, name);
    return error_set(&l->err, errnum, path ? path : name, "%s", what);
}

static int note(struct walk_listing *l, enum wp_severity severity, const char *name,
                const char *what, size_t gone)
{
    if (array_grow(l->notes, l->note_count) < 0)
        return error_nomem(&l->err);
    struct walk_note n = {.severity = severity, .path = shown(l, name), .what = what, .gone = gone};
    if (!n.path)
        return error_nomem(&l->err);
    l->notes[l->note_count++] = n;
    return 0;
}

bool walk_is_own(const struct walk_run *r, int dir, const char *at, const char *within,
                 const char *name)
{
    mode_t type = own_type(within, name);
    int flags = AT_EMPTY_PATH | (r->o->follow ? 0 : AT_SYMLINK_NOFOLLOW);
    struct stat st;
    return type && (fstatat(dir, at, &st, flags) < 0 || (st.st_mode & S_IFMT) == type);
}

/* ---- One name ---------------------------------------------------------------------------- */

static int read_target(struct walk_listing *l, int dir, const char *at, char **target)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(dir, at, text, sizeof text);
    if (n < 0)
        return fail(l, errno, (char *)l->name.data, "cannot read symbolic link");
    if (n == (ssize_t)sizeof text)
        return fail(l, ENAMETOOLONG, (char *)l->name.data, "cannot read symbolic link");
    *target = strndup(text, (size_t)n);
    return *target ? 0 : error_nomem(&l->err);
}

static int fill_item(struct walk_listing *l, struct walk_item *item, int dir, const char *at,
                     const struct stat *st)
{
    const struct walk_run *r = l->run;
    struct entry *e = &item->entry;
    *item = (struct walk_item){.root = r->root, .follow = r->o->follow};
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
    e->path = strdup((char *)l->as.data);
    if (!r->same)
        item->name = strdup((char *)l->name.data);
    if (!e->path || (!r->same && !item->name))
        return error_nomem(&l->err);
    return e->type == ENTRY_SYMLINK ? read_target(l, dir, at, &e->target) : 0;
}

/* With `follow`: is the directory among those it was reached through? */
static bool is_loop(const struct walk_run *r, size_t parent, const struct stat *st)
{
    for (size_t i = parent; i != WALK_NO_ITEM; i = r->parents[i - r->first])
        if (r->w->items[i].dev == st->st_dev && r->w->items[i].ino == st->st_ino)
            return true;
    return (parent != WALK_NO_ITEM || !*r->as_top) && r->top_dev == st->st_dev &&
           r->top_ino == st->st_ino;
}

/* Is it the output, or nothing that can be packed? *WHY is to be told, unless it is NULL. */
static bool is_left_out(const struct walk_run *r, size_t parent, const struct stat *st,
                        const char **why)
{
    if (S_ISREG(st->st_mode) && r->o->skip_ino && st->st_ino == r->o->skip_ino &&
        st->st_dev == r->o->skip_dev)
        *why = "is the archive being written; not packed";
    else if (S_ISSOCK(st->st_mode))
        *why = "socket ignored";
    else if (S_ISFIFO(st->st_mode))
        *why = "FIFO ignored";
    else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
        *why = "device ignored";
    else if (S_ISDIR(st->st_mode) && r->o->follow && is_loop(r, parent, st))
        *why = "symlink loop; not packed";
    else
        return !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode);
    return true;
}

static struct walk_item *new_item(struct walk_listing *l)
{
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 64;
        struct walk_item *items = reallocarray(l->items, room, sizeof *items);
        if (!items)
            return NULL;
        l->items = items;
        l->room = room;
    }
    return &l->items[l->count++];
}

/* AT beneath DIR, the directory of item PARENT, of TYPE as in struct dirent: l->name and l->as are
 * its names. */
static int add_one(struct walk_listing *l, int dir, const char *at, unsigned char type,
                   size_t parent)
{
    const struct walk_run *r = l->run;
    const char *name = (char *)l->name.data, *why = NULL;
    if (context_stops(r->o->context))
        return error_set(&l->err, EINTR, NULL, "stopped");
    if (walk_excluded((char *)l->as.data, r->o->exclude))
        return 0;
    struct stat st = {.st_mode = r->o->names_alone ? DTTOIF(type) : 0};
    int flags = AT_EMPTY_PATH | (r->o->follow ? 0 : AT_SYMLINK_NOFOLLOW);
    if (!st.st_mode && fstatat(dir, at, &st, flags) < 0) {
        int errnum = errno;
        if (!error_is_absence(-errnum) || fstatat(dir, at, &st, AT_SYMLINK_NOFOLLOW) == 0)
            return fail(l, errnum, name, "cannot stat");
        return note(l, WP_CHANGED, name, "file removed before it was read", WALK_NO_ITEM);
    }
    if (is_left_out(r, parent, &st, &why))
        return why ? note(l, WP_WARNING, name, why, WALK_NO_ITEM) : 0;
    struct walk_item *item = new_item(l);
    if (!item)
        return error_nomem(&l->err);
    return fill_item(l, item, dir, at, &st);
}

static int set_path(struct buf *b, size_t prefix, const char *name)
{
    b->size = prefix;
    int e = prefix ? buf_add(b, "/", 1) : 0;
    if (e == 0)
        e = buf_add_str(b, name);
    return e < 0 ? e : buf_terminate(b);
}

void walk_list_one(struct walk_listing *l, int dir, const char *at, const char *name,
                   const char *as)
{
    if (set_path(&l->name, 0, name) < 0 || set_path(&l->as, 0, as) < 0)
        l->status = error_nomem(&l->err);
    else
        l->status = add_one(l, dir, at, DT_UNKNOWN, WALK_NO_ITEM);
}

/* ---- Directories ------------------------------------------------------------------------- */

static int open_dir(struct walk_listing *l)
{
    const struct walk_run *r = l->run;
    const struct walk_dir *d = &l->dirs[l->next];
    if (context_stops(r->o->context))
        return error_set(&l->err, EINTR, NULL, "stopped");
    if (set_path(&l->name, 0, d->name) < 0 || set_path(&l->as, 0, d->as) < 0)
        return error_nomem(&l->err);
    int fd =
        walk_root_open(r->w, r->root, d->name, r->o->follow, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    if (d->item != WALK_NO_ITEM && beneath_is_absence(fd)) {
        l->next++;
        return note(l, WP_CHANGED, d->name, "directory removed before it was read", d->item);
    }
    if (fd < 0)
        return fail(l, -fd, d->name, "cannot open directory");
    l->fd = fd;
    l->at = l->end = 0;
    l->as_prefix = l->as.size;
    l->name_prefix = l->name.size;
    if (l->name_prefix == 1 && l->name.data[0] == '/')
        l->name_prefix = 0;
    return 0;
}

/* The next names of the directory at hand: 1, or 0 at its end. */
static int read_names(struct walk_listing *l)
{
    ssize_t n;
    do
        n = getdents64(l->fd, l->bytes, WALK_BYTES_AHEAD);
    while (n < 0 && errno == EINTR);
    if (n < 0 && !error_is_absence(-errno)) { /* else it has been removed */
        int errnum = errno;
        l->name.data[l->name_prefix] = '\0';
        return fail(l, errnum, (char *)l->name.data, "cannot read directory");
    }
    l->at = 0;
    l->end = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* Adds the next thing in the directory at hand, or ends that. */
static int list_next(struct walk_listing *l)
{
    if (l->at == l->end) {
        int more = read_names(l);
        if (more > 0)
            return 0;
        cleanup_close(&l->fd);
        l->next++;
        return more;
    }
    const struct dirent64 *d = (const void *)(l->bytes + l->at);
    l->at += d->d_reclen;
    if (file_is_dots(d->d_name))
        return 0;
    l->as.data[l->as_prefix] = '\0';
    if (walk_is_own(l->run, l->fd, d->d_name, path_base((char *)l->as.data), d->d_name)) {
        l->name.data[l->name_prefix] = '\0';
        return own_is_staging(d->d_name)
                   ? note(l, WP_DETAIL, (char *)l->name.data, NULL, WALK_NO_ITEM)
                   : 0;
    }
    if (set_path(&l->name, l->name_prefix, d->d_name) < 0 ||
        set_path(&l->as, l->as_prefix, d->d_name) < 0)
        return error_nomem(&l->err);
    return add_one(l, l->fd, d->d_name, d->d_type, l->dirs[l->next].item);
}

static void forget(struct walk_listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        walk_item_clear(&l->items[i]);
    for (size_t i = 0; i < l->note_count; i++)
        free(l->notes[i].path);
    l->count = l->note_count = 0;
}

void walk_listing_begin(struct walk_listing *l, const struct walk_run *r)
{
    forget(l);
    l->run = r;
    l->fd = -1;
    l->dir_count = l->next = 0;
    l->status = 0;
}

void walk_list(struct walk_listing *l)
{
    forget(l);
    if (!l->bytes && !(l->bytes = malloc(WALK_BYTES_AHEAD)))
        l->status = error_nomem(&l->err);
    while (l->status == 0 && walk_listing_has_more(l) &&
           l->count + l->note_count < WALK_LISTING_MOST)
        l->status = l->fd < 0 ? open_dir(l) : list_next(l);
}

bool walk_listing_has_more(const struct walk_listing *l)
{
    return l->next < l->dir_count;
}

void walk_listing_clear(struct walk_listing *l)
{
    forget(l);
    if (l->run)
        cleanup_close(&l->fd);
    free(l->items);
    free(l->notes);
    free(l->bytes);
    buf_free(&l->name);
    buf_free(&l->as);
}
