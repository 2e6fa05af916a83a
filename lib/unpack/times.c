/* Unpacking with one time for all: files have had it since they were made, and what was made beside
 * them, or rewritten, gets it when all is staged. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/own_names.h"
#include "base/path.h"
#include "job.h"
#include "tree/beneath.h"

/* Gives it to what is in directory DIR beneath FD, and adds its directories to LATER. */
static int set_in_dir(const struct unpack *unpack, int fd, const char *dir, struct path_list *later)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, unpack->mtime};
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    struct stat st;
    int r = beneath_list(fd, dir, &d);

    while (r > 0 && (r = file_next(d, &item)) > 0) {
        if (utimensat(dirfd(d), item->d_name, times, AT_SYMLINK_NOFOLLOW) < 0 &&
            errno != EOPNOTSUPP && errno != ENOSYS) /* not every filesystem has times of links */
            return -errno;
        if (fstatat(dirfd(d), item->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return -errno;
        if (S_ISDIR(st.st_mode) && path_list_add(later, path_join(dir, item->d_name)) < 0)
            return -ENOMEM;
    }
    return r;
}

static int set_in_area(const struct unpack *unpack, int area, struct wp_error *err)
{
    const int fd = staging_tree(unpack->staging, area);
    _cleanup_(path_list_clear) struct path_list later = {0};
    int r = path_list_add(&later, strdup(""));

    while (later.count && r == 0) {
        _cleanup_free_ char *dir = later.v[--later.count];

        r = set_in_dir(unpack, fd, dir, &later);
        if (r < 0 && r != -ENOMEM)
            return error_set(err, -r, *dir ? dir : unpack->dir, "cannot set time");
    }
    return r < 0 ? error_nomem(err) : 0;
}

/* The manifest is renamed into its directories when those are in place. */
static int set_home(struct unpack *unpack, struct wp_error *err)
{
    const mode_t lost = unpack->policy.permissions || unpack->policy.superuser ? 0 : unpack->umask;
    struct staging_dir d = {.path = unpack->home,
                            .mode = 0755 & ~lost,
                            .mtime = unpack->mtime,
                            .uid = (uid_t)-1,
                            .gid = (gid_t)-1};
    struct path_list *kept = &unpack->layout.kept; /* until the commit */

    if (staging_set_dir(unpack->staging, 0, &d) < 0 ||
        path_list_add(kept, path_dir(unpack->home)) < 0)
        return error_nomem(err);
    d.path = kept->v[kept->count - 1];
    return strcmp(path_base(d.path), MANIFEST_DIR) == 0 &&
                   staging_set_dir(unpack->staging, 0, &d) < 0
               ? error_nomem(err)
               : 0;
}

int unpack_set_times(struct unpack *unpack, struct wp_error *err)
{
    int r = set_in_area(unpack, 0, err), done = 0;

    if (!unpack->has_manifest)
        return r;
    for (size_t root = 0; root < LAYOUT_ROOTS && r == 0; root++)
        if (unpack->layout.area[root] > done) {
            done = unpack->layout.area[root];
            r = set_in_area(unpack, done, err);
        }
    return r < 0 || unpack->apart ? r : set_home(unpack, err);
}
