/* Finds where the manifests of a tree are, in one walk of its directories, as deep as they go. A
 * virtual environment has them in lib/python3.11/site-packages/NAME.dist-info, an executor's
 * directory in what it unpacked one or two levels down. No symbolic link is followed. */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "tree/beneath.h"
#include "trees.h"

static int compare_backwards(const void *a, const void *b)
{
    return strcmp(*(char *const *)b, *(char *const *)a);
}

/* 1, 0 or negative errno. */
static int is_dir(int fd, const struct dirent *item)
{
    struct stat st;
    int r;

    if (item->d_type != DT_UNKNOWN)
        return item->d_type == DT_DIR;
    r = beneath_look(fd, item->d_name, &st);
    return r > 0 ? S_ISDIR(st.st_mode) : r;
}

/* Adds the directories in DIR, in the order of their names, the first one last. */
static int add_dirs(int fd, struct path_list *p, const char *dir)
{
    _cleanup_closedir_ DIR *d = NULL;
    size_t first = p->count;
    struct dirent *item;
    int r = beneath_list(fd, dir, &d);

    while (r > 0 && (r = file_next(d, &item)) > 0) {
        int yes = is_dir(dirfd(d), item);

        if (yes > 0)
            yes = path_list_add(p, path_join(dir, item->d_name));
        if (yes < 0)
            return yes;
    }
    if (p->count > first)
        qsort(p->v + first, p->count - first, sizeof *p->v, compare_backwards);
    return r;
}

int trees_homes(int fd, const char *place, struct path_list *homes)
{
    _cleanup_(path_list_clear) struct path_list dirs = {0};
    int r = add_dirs(fd, &dirs, place);

    while (dirs.count && r == 0) {
        _cleanup_free_ char *path = dirs.v[--dirs.count];

        if (own_home_prefix(path) >= 0)
            r = path_list_add(homes, take_ptr(path));
    }
    return r;
}

/* A manifest that is not seen would be taken for one that is not there. */
static int cannot_read(const struct trees *trees, const char *dir, int r, struct wp_error *err)
{
    _cleanup_free_ char *path = *dir ? path_join(trees->dir, dir) : strdup(trees->dir);

    return path ? error_set(err, -r, path, "cannot read directory") : error_nomem(err);
}

/* Manifests in PLACE/ID/ for every ID. */
static int take_homes(struct trees *trees, const char *place, struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list ids = {0};
    int r = trees_homes(trees->fd, place, &ids);

    if (r < 0)
        return cannot_read(trees, place, r, err);
    for (size_t i = 0; i < ids.count && r == 0; i++)
        r = trees_take_home(trees, ids.v[i], err);
    return r;
}

/* Adds the directories in DIR to what is to be looked at. What we are not let into is looked
 * through for no manifests, as in a home directory of many; a place of manifests that cannot be
 * read is an error. */
static int look_through(const struct trees *trees, struct path_list *p, const char *dir,
                        struct wp_error *err)
{
    int r = add_dirs(trees->fd, p, dir);

    if (r == -EACCES)
        report(trees->context, WP_WARNING, *dir ? dir : trees->dir,
               "is not looked through for manifests: %s", strerror(-r));
    return r < 0 && r != -EACCES ? cannot_read(trees, dir, r, err) : 0;
}

/* Takes the manifests of directory DIR, or adds what is in it to what is to be looked at. */
static int look_at(struct trees *trees, struct path_list *p, const char *dir, struct wp_error *err)
{
    const char *name = path_base(dir);

    if (strcmp(name, MANIFEST_DIR) == 0)
        return take_homes(trees, dir, err);
    if (own_is_metadata(name, strlen(name))) {
        _cleanup_free_ char *place = path_join(dir, METADATA_SUBDIR);

        return place ? take_homes(trees, place, err) : error_nomem(err);
    }
    /* In the tree's own directory its searcher has looked before, and may have made one himself. */
    if (name > dir && own_is_staging(name)) {
        _cleanup_free_ char *above = path_dir(dir);

        if (path_list_add(&trees->staged, above ? path_append(trees->dir, above) : NULL) < 0)
            return error_nomem(err);
    }
    /* That, and what holds files of Python alone. */
    if (strncmp(name, MANIFEST_DIR, strlen(MANIFEST_DIR)) == 0 || strcmp(name, "__pycache__") == 0)
        return 0;
    return look_through(trees, p, dir, err);
}

int trees_walk(struct trees *trees, struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list todo = {0};
    int r = look_through(trees, &todo, "", err);

    /* A stack, so that the depth of a tree costs no descriptors and no frames. */
    while (todo.count && r == 0) {
        _cleanup_free_ char *dir = todo.v[--todo.count];

        r = context_check(trees->context, err);
        if (r == 0)
            r = look_at(trees, &todo, dir, err);
    }
    return r;
}
