/* Repairing, what was not packed: counts files in the directories of an archive that no manifest
 * names. They do not matter to caches. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"
#include "numba/caches.h"
#include "numba/index.h"
#include "tree/beneath.h"

/* The directories of T's entries; those in metadata share theirs with others. */
static int add_dirs(struct path_list *d, const struct repair *repair)
{
    for (size_t i = 0; i < repair->t->m.entry_count && !repair->t->info; i++) {
        const char *path = repair->files[i].path;
        _cleanup_free_ char *dir = path && path_is_safe(path) ? path_dir(path) : NULL;

        if (!path || !path_is_safe(path))
            continue;
        if (!dir)
            return -ENOMEM;
        if (d->count && strcmp(d->v[d->count - 1], dir) == 0)
            continue;
        if (path_list_add(d, take_ptr(dir)) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Caches of Python and Numba come and go; what begins with our own name is ours. */
static bool is_nobodys(const char *name)
{
    return strncmp(name, MANIFEST_DIR, strlen(MANIFEST_DIR)) == 0 ||
           path_has_suffix(name, ".pyc") || caches_is_part(name) || index_is_temporary(name);
}

static int count_in(struct restore *restore, const char *dir, struct wp_error *err)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    int r = beneath_list(restore->fd, dir, &d);

    if (r == -EACCES)
        return 0; /* what cannot be seen is not counted */
    while (r > 0 && (r = file_next(d, &item)) > 0) {
        _cleanup_free_ char *path = NULL;
        struct stat st;

        if (is_nobodys(item->d_name))
            continue;
        path = path_join(dir, item->d_name);
        if (!path)
            return error_nomem(err);
        if (!restore_owner(restore, path) &&
            fstatat(dirfd(d), item->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
            restore->result->extra++;
    }
    return r < 0 ? error_set(err, -r, dir, "cannot read directory") : 0;
}

int restore_extra(struct restore *restore, struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list d = {0};
    int r = 0;

    for (size_t i = 0; i < restore->trees.count && r == 0 && !restore->grafting; i++)
        r = add_dirs(&d, &restore->repairs[i]) < 0 ? error_nomem(err) : 0;
    path_list_sort(&d);
    for (size_t i = 0; i < d.count && r == 0; i++)
        if (!i || strcmp(d.v[i - 1], d.v[i]) != 0)
            r = count_in(restore, d.v[i], err);
    return r;
}
