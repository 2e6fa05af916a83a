/* Begins and ends a walk through trees. */

#include "walk.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "beneath.h"
#include "walk_list.h"

void walk_item_clear(struct walk_item *i)
{
    entry_clear(&i->entry);
    free(take_ptr(i->name));
}

void walk_free(struct walk *w)
{
    for (size_t i = 0; i < w->count; i++)
        walk_item_clear(&w->items[i]);
    for (unsigned i = 0; i < w->root_count; i++) {
        close(w->root_fds[i]);
        free(w->root_names[i]);
    }
    free(w->items);
    free(w->root_fds);
    free(w->root_names);
    names_free(&w->names);
    path_list_clear(&w->staged);
    *w = (struct walk){0};
}

void walk_drop(struct walk *w, size_t from, bool (*goes)(const struct walk_item *item, void *ctx),
               void *ctx)
{
    size_t kept = from;

    for (size_t i = from; i < w->count; i++)
        if (goes(&w->items[i], ctx))
            walk_item_clear(&w->items[i]);
        else
            w->items[kept++] = w->items[i];
    w->count = kept;
}

int walk_root_add(struct walk *w, int fd, char *name, struct wp_error *err)
{
    if (!name || array_grow(w->root_fds, w->root_count) < 0 ||
        array_grow(w->root_names, w->root_count) < 0) {
        close(fd);
        free(name);
        return error_nomem(err);
    }
    w->root_fds[w->root_count] = fd;
    w->root_names[w->root_count] = name;
    return (int)w->root_count++;
}

int walk_add_root(struct walk *w, const char *dir, struct wp_error *err)
{
    if (!dir)
        dir = ".";
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES) /* members may be named where they cannot be listed */
        fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, errno, dir, "cannot open directory");
    return walk_root_add(w, fd, strdup(dir), err);
}

int walk_root_follow(int at, const char *name, int flags)
{
    _cleanup_close_ int held = -1;
    while (strlen(name) >= PATH_MAX) {
        char part[PATH_MAX];
        int n = beneath_split_long(name, part);
        if (n < 0)
            return n;
        int fd = openat(at, part, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return -errno;
        cleanup_close(&held);
        at = held = fd;
        name += n + 1;
    }
    int fd;
    do
        fd = openat(at, *name ? name : ".", flags | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int walk_root_open(const struct walk *w, unsigned root, const char *name, bool follow, int flags)
{
    return follow ? walk_root_follow(w->root_fds[root], name, flags)
                  : beneath_open(w->root_fds[root], name, flags, 0);
}

int walk_open(const struct walk *w, const struct walk_item *i, int flags)
{
    return walk_root_open(w, i->root, i->name ? i->name : i->entry.path, i->follow, flags);
}
