/* Repairing, where its manifests are: one walk of the tree's directories, as deep as they go. A
 * virtual environment has them in lib/python3.11/site-packages/NAME.dist-info, an executor's
 * directory in what it unpacked one or two levels down. No symbolic link is followed. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "tree/beneath.h"

/* Paths of the tree. */
struct paths {
    char **list; /* owned, as are the texts */
    size_t count;
};

/* Takes over PATH, NULL on no memory. */
static int add_path(struct paths *p, char *path)
{
    if (!path || array_grow(p->list, p->count) < 0) {
        free(path);
        return -ENOMEM;
    }
    p->list[p->count++] = path;
    return 0;
}

static void clear_paths(struct paths *p)
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
static int add_dirs(const struct restore *r, struct paths *p, const char *dir)
{
    _cleanup_close_ int held = beneath_open(r->fd, dir, O_RDONLY | O_DIRECTORY, 0);
    _cleanup_closedir_ DIR *d = held < 0 ? NULL : fdopendir(held);
    size_t first = p->count;
    struct dirent *item;

    if (!d)
        return 0;
    take_fd(&held);
    while ((item = readdir(d)))
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0 &&
            is_dir(dirfd(d), item) && add_path(p, path_join(dir, item->d_name)) < 0)
            return -ENOMEM;
    if (p->count > first)
        qsort(p->list + first, p->count - first, sizeof *p->list, compare_backwards);
    return 0;
}

/* Manifests in PLACE/ID/ for every ID. */
static int take_homes(struct restore *r, const char *place, struct wp_error *err)
{
    struct paths ids = {0};
    int res = add_dirs(r, &ids, place) < 0 ? error_nomem(err) : 0;

    for (size_t i = ids.count; i-- > 0 && res == 0;)
        if (own_home_prefix(ids.list[i]) >= 0)
            res = restore_take_home(r, ids.list[i], err);
    clear_paths(&ids);
    return res;
}

/* Takes the manifests of directory DIR, or adds what is in it to what is to be looked at. */
static int look_at(struct restore *r, struct paths *p, const char *dir, struct wp_error *err)
{
    const char *name = path_base(dir);

    if (strcmp(name, MANIFEST_DIR) == 0)
        return take_homes(r, dir, err);
    if (own_is_metadata(name, strlen(name))) {
        _cleanup_free_ char *place = path_join(dir, METADATA_SUBDIR);

        return place ? take_homes(r, place, err) : error_nomem(err);
    }
    /* Staging of a run that is under way, and what holds files of Python alone. */
    if (strncmp(name, MANIFEST_DIR, strlen(MANIFEST_DIR)) == 0 || strcmp(name, "__pycache__") == 0)
        return 0;
    return add_dirs(r, p, dir) < 0 ? error_nomem(err) : 0;
}

int restore_walk(struct restore *r, struct wp_error *err)
{
    struct paths todo = {0};
    int res = add_dirs(r, &todo, "") < 0 ? error_nomem(err) : 0;

    /* A stack, so that the depth of a tree costs no descriptors and no frames. */
    while (todo.count && res == 0) {
        _cleanup_free_ char *dir = todo.list[--todo.count];

        res = restore_interrupted(r) ? error_set(err, EINTR, NULL, "interrupted")
                                     : look_at(r, &todo, dir, err);
    }
    clear_paths(&todo);
    return res;
}
