/* Adds trees to a walk: what leads to a member, and its directories, listed on all threads. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "beneath.h"
#include "stream/pipeline.h"
#include "walk.h"
#include "walk_list.h"

/* More threads than this only wait for one another in the kernel; and each may hold a descriptor
 * and thousands of items. */
enum { MOST_THREADS = 8 };

/* error_set with the path as a user would type it. */
static int fail(const struct walk_run *r, int errnum, const char *name, const char *what,
                struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(r->w->root_names[r->root], name);
    return error_set(err, errnum, path ? path : name, "%s", what);
}

/* ---- The way to a member ----------------------------------------------------------------- */

/* Makes the directory FD, reached as DIR from the run's root, the run's root. Takes FD over. */
static int move_root(struct walk_run *r, int fd, const char *dir, struct wp_error *err)
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
    int i = walk_root_add(r->w, fd, name, err);
    if (i < 0)
        return i;
    r->root = (unsigned)i;
    return 0;
}

/* Sets the run's root and name_top (into CLEAN) for member PATH, whose clean form is CLEAN: beneath
 * the root given where no symlink leads there, else beneath a further one. */
static int resolve_root(struct walk_run *r, const char *path, char *clean, struct wp_error *err)
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
            return fail(r, -fd, clean, "", err);
        if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISLNK(st.st_mode) || !as_dir))
            return 0;
    }
    char *last = (char *)path_base(clean);
    if (!as_dir && *last && strcmp(last, "..") != 0) {
        _cleanup_free_ char *dir = last == clean + 1 ? strdup("/") : path_dir(clean);
        if (!dir)
            return error_nomem(err);
        int fd = walk_root_follow(root_fd, dir, O_PATH | O_DIRECTORY);
        if (fd < 0)
            return fail(r, -fd, clean, "", err);
        r->name_top = last;
        return move_root(r, fd, dir, err);
    }
    /* "link/": what it points to, as for every other program. */
    int fd = walk_root_follow(root_fd, clean, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fail(r, -fd, clean, "", err);
    r->name_top = "";
    return move_root(r, fd, clean, err);
}

/* ---- What was listed --------------------------------------------------------------------- */

static int copy_name(char **to, const char *from, struct wp_error *err)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? error_nomem(err) : 0;
}

/* Room for MORE items behind those that are there. */
static int make_room(struct walk *w, size_t more)
{
    if (w->room - w->count >= more)
        return 0;
    size_t room = w->room ? w->room * 2 : 64;
    while (room - w->count < more)
        room *= 2;
    struct walk_item *items = reallocarray(w->items, room, sizeof *items);
    if (!items)
        return -ENOMEM;
    w->items = items;
    w->room = room;
    return 0;
}

/* With `follow`: notes what led to the items of a listing of one directory, which come next. */
static int remember_parent(struct walk_run *r, const struct walk_listing *l)
{
    size_t first = r->w->count - r->first;

    for (size_t i = 0; i < l->count; i++) {
        if (array_grow(r->parents, first + i) < 0)
            return -ENOMEM;
        r->parents[first + i] = l->dir_count ? l->dirs[0].item : WALK_NO_ITEM;
    }
    return 0;
}

/* Moves the items of a listing into the walk. */
static int take_items(struct walk_run *r, struct walk_listing *l, struct wp_error *err)
{
    struct walk *w = r->w;
    size_t from = w->count;
    int e = 0;

    if (make_room(w, l->count) < 0 || (r->o->follow && remember_parent(r, l) < 0))
        return error_nomem(err);
    for (size_t i = 0; i < l->count; i++)
        w->items[w->count++] = l->items[i];
    l->count = 0;
    for (size_t i = from; i < w->count && e == 0 && !r->o->numeric_owner; i++) {
        struct entry *entry = &w->items[i].entry;

        e = copy_name(&entry->uname, names_of(&w->names, NAMES_USER, entry->uid), err);
        if (e == 0)
            e = copy_name(&entry->gname, names_of(&w->names, NAMES_GROUP, entry->gid), err);
    }
    return e;
}

static int take(struct walk_run *r, struct walk_listing *l, struct wp_error *err)
{
    for (size_t i = 0; i < l->note_count; i++) {
        struct walk_note *n = &l->notes[i];

        if (n->gone != WALK_NO_ITEM)
            r->w->items[n->gone].gone = true;
        if (n->what)
            report(r->o->context, n->severity, n->path, "%s", n->what);
        else if (path_list_add(&r->w->staged, take_ptr(n->path)) < 0)
            return error_nomem(err);
    }
    int e = take_items(r, l, err);
    if (e == 0 && l->status < 0)
        error_pass(err, &l->err);
    return e < 0 ? e : l->status;
}

/* Takes a listing, and lists and takes what was too much for it. */
static int take_all(struct walk_run *r, struct walk_listing *l, struct wp_error *err)
{
    int e = take(r, l, err);
    while (e == 0 && walk_listing_has_more(l)) {
        walk_list(l);
        e = take(r, l, err);
    }
    return e;
}

/* ---- Directories ------------------------------------------------------------------------- */

/* Gives L the next directories, at most MOST, from item *NEXT on. They are listed in the order in
 * which they were found, so that the items themselves are the queue. */
static bool begin(struct walk_run *r, struct walk_listing *l, size_t *next, unsigned most)
{
    walk_listing_begin(l, r);
    for (; *next < r->w->count && l->dir_count < most; ++*next) {
        const struct walk_item *item = &r->w->items[*next];
        const char *as = item->entry.path;

        if (item->entry.type == ENTRY_DIR)
            l->dirs[l->dir_count++] =
                (struct walk_dir){.item = *next, .name = item->name ? item->name : as, .as = as};
    }
    return l->dir_count > 0;
}

/* Members that are named one by one are files, mostly: there is nothing to get ready for. */
static bool found_directories(const struct walk_run *r)
{
    for (size_t i = r->first; i < r->w->count; i++)
        if (r->w->items[i].entry.type == ENTRY_DIR)
            return true;
    return false;
}

static int list_here(struct walk_run *r, struct wp_error *err)
{
    _cleanup_(walk_listing_clear) struct walk_listing l = {0};
    size_t next = r->first;
    int e = 0;

    while (e == 0 && begin(r, &l, &next, 1)) {
        walk_list(&l);
        e = take_all(r, &l, err);
    }
    return e;
}

static void list_slot(void *slot, void *arg)
{
    (void)arg;
    walk_list(slot);
}

static void drop_slot(void *slot)
{
    walk_listing_clear(slot);
}

static int list_on_pool(struct walk_run *r, struct pool *pool, struct wp_error *err)
{
    unsigned threads = pool_threads(pool) < MOST_THREADS ? pool_threads(pool) : MOST_THREADS;
    struct pipeline *line = pipeline_new(pool, 2 * threads + 2, sizeof(struct walk_listing),
                                         list_slot, drop_slot, NULL);
    struct walk_listing *l;
    size_t next = r->first;
    int e = 0;

    if (!line)
        return error_nomem(err);
    while (e == 0) {
        while ((l = pipeline_free_slot(line)) && begin(r, l, &next, WALK_DIRS))
            pipeline_submit(line);
        l = pipeline_wait_oldest(line);
        if (!l)
            break;
        e = take_all(r, l, err);
        pipeline_release(line);
    }
    pipeline_free(line);
    return e;
}

/* The item of what is walked, or, where that has none, what it holds. */
static int add_top(struct walk_run *r, struct wp_error *err)
{
    _cleanup_(walk_listing_clear) struct walk_listing l = {0};
    _cleanup_close_ int fd = walk_root_open(r->w, r->root, r->name_top, r->o->follow, O_PATH);
    struct stat st;

    if (fd < 0)
        return fail(r, -fd, r->name_top, "", err);
    if (fstat(fd, &st) < 0)
        return fail(r, errno, r->name_top, "cannot stat", err);
    r->top_dev = st.st_dev;
    r->top_ino = st.st_ino;
    walk_listing_begin(&l, r);
    if (*r->as_top) {
        if (walk_is_own(r, fd, "", "", path_base(r->name_top)))
            return 0;
        walk_list_one(&l, fd, "", r->name_top, r->as_top);
        return take(r, &l, err);
    }
    if (!S_ISDIR(st.st_mode))
        return fail(r, ENOTDIR, r->name_top, "", err);
    l.dirs[l.dir_count++] = (struct walk_dir){WALK_NO_ITEM, r->name_top, r->as_top};
    walk_list(&l);
    return take_all(r, &l, err);
}

static bool is_gone(const struct walk_item *item, void *ctx)
{
    (void)ctx;
    return item->gone;
}

int walk_add(struct walk *w, unsigned root, const char *path, const char *as,
             const struct walk_options *o, struct wp_error *err)
{
    _cleanup_free_ char *clean = path_clean(path), *clean_as = path_clean(as ? as : path);
    struct walk_run r = {.w = w, .o = o, .root = root};

    if (!clean || !clean_as)
        return error_nomem(err);
    if (*clean_as && !path_is_safe(clean_as))
        return error_set(err, 0, as ? as : path, "not a name for an archive");
    r.first = w->count;
    r.as_top = clean_as;

    int e = resolve_root(&r, path, clean, err);
    r.same = e == 0 && strcmp(r.name_top, r.as_top) == 0;
    if (e == 0)
        e = add_top(&r, err);
    if (e == 0 && found_directories(&r)) /* with `follow`, directories ask what led to them */
        e = o->pool && !o->follow ? list_on_pool(&r, o->pool, err) : list_here(&r, err);
    free(r.parents);
    walk_drop(w, r.first, is_gone, NULL);
    return e;
}
