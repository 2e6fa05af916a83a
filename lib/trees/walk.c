/* Where the manifests of a tree are: one walk of its directories, as deep as they go. A virtual
 * environment has them in lib/python3.11/site-packages/NAME.dist-info, an executor's directory in
 * what it unpacked one or two levels down. No symbolic link is followed. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "tree/beneath.h"
#include "trees.h"

/* Takes over PATH, NULL on no memory. */
static int add_path(struct tree_homes *p, char *path)
{
    if (!path || array_grow(p->list, p->count) < 0) {
        free(path);
        return -ENOMEM;
    }
    p->list[p->count++] = path;
    return 0;
}

void trees_homes_clear(struct tree_homes *p)
{
    while (p->count)
        free(p->list[--p->count]);
    free(p->list);
}

static int compare_backwards(const void *a, const void *b)
{
    return strcmp(*(char *const *)b, *(char *const *)a);
}

static bool is_dir(int fd, const struct dirent *item)
{
    struct stat st;

    if (item->d_type != DT_UNKNOWN)
        return item->d_type == DT_DIR;
    return fstatat(fd, item->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Adds the directories in DIR; none where it cannot be read. They stand in the order of their
 * names, the first one last. */
static int add_dirs(int fd, struct tree_homes *p, const char *dir)
{
    _cleanup_closedir_ DIR *d = beneath_list(fd, dir);
    size_t first = p->count;
    struct dirent *item;

    if (!d)
        return 0;
    while ((item = readdir(d)))
        if (!file_is_dots(item->d_name) && is_dir(dirfd(d), item) &&
            add_path(p, path_join(dir, item->d_name)) < 0)
            return -ENOMEM;
    if (p->count > first)
        qsort(p->list + first, p->count - first, sizeof *p->list, compare_backwards);
    return 0;
}

int trees_homes(int fd, const char *place, struct tree_homes *homes)
{
    struct tree_homes dirs = {0};
    int r = add_dirs(fd, &dirs, place);

    for (; dirs.count && r == 0; dirs.count--) {
        char *path = dirs.list[dirs.count - 1];

        if (own_home_prefix(path) >= 0)
            r = add_path(homes, path);
        else
            free(path);
    }
    trees_homes_clear(&dirs);
    return r;
}

/* Manifests in PLACE/ID/ for every ID. */
static int take_homes(struct trees *trees, const char *place, struct wp_error *err)
{
    struct tree_homes ids = {0};
    int r = trees_homes(trees->fd, place, &ids) < 0 ? error_nomem(err) : 0;

    for (size_t i = 0; i < ids.count && r == 0; i++)
        r = trees_take_home(trees, ids.list[i], err);
    trees_homes_clear(&ids);
    return r;
}

/* Takes the manifests of directory DIR, or adds what is in it to what is to be looked at. */
static int look_at(struct trees *trees, struct tree_homes *p, const char *dir, struct wp_error *err)
{
    const char *name = path_base(dir);

    if (strcmp(name, MANIFEST_DIR) == 0)
        return take_homes(trees, dir, err);
    if (own_is_metadata(name, strlen(name))) {
        _cleanup_free_ char *place = path_join(dir, METADATA_SUBDIR);

        return place ? take_homes(trees, place, err) : error_nomem(err);
    }
    /* Staging of a run that is under way, and what holds files of Python alone. */
    if (strncmp(name, MANIFEST_DIR, strlen(MANIFEST_DIR)) == 0 || strcmp(name, "__pycache__") == 0)
        return 0;
    return add_dirs(trees->fd, p, dir) < 0 ? error_nomem(err) : 0;
}

int trees_walk(struct trees *trees, struct wp_error *err)
{
    struct tree_homes todo = {0};
    int r = add_dirs(trees->fd, &todo, "") < 0 ? error_nomem(err) : 0;

    /* A stack, so that the depth of a tree costs no descriptors and no frames. */
    while (todo.count && r == 0) {
        _cleanup_free_ char *dir = todo.list[--todo.count];

        r = context_check(trees->context, err);
        if (r == 0)
            r = look_at(trees, &todo, dir, err);
    }
    trees_homes_clear(&todo);
    return r;
}
