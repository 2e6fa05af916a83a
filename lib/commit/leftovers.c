/* Finds what dead runs left in a directory, for jobs that may have nothing to stage there. */

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/lock_file.h"
#include "staging_private.h"
#include "tree/beneath.h"

int staging_has_leftovers(const char *dir)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    struct stat above, st;
    int r = file_list_path(dir, &d);

    if (r == -EACCES)
        return 0; /* nothing of ours is in there */
    if (r > 0 && fstat(dirfd(d), &above) < 0)
        return -errno;
    while (r > 0 && (r = file_next(d, &item)) > 0) {
        bool is_lock = strcmp(item->d_name, OWN_LOCK) == 0;

        if (!is_lock && !own_is_staging(item->d_name))
            continue;
        r = beneath_look(dirfd(d), item->d_name, &st);
        if (r < 0 || (r > 0 && (is_lock ? lock_file_is_own(&above, &st) : st.st_uid == geteuid())))
            return r;
        r = 1;
    }
    return r;
}

int staging_recover_in(const char *dir, const struct wp_context *context, struct wp_error *err)
{
    struct staging s = {.o.context = context};
    struct staging_area a;
    int r = staging_has_leftovers(dir);

    if (r < 0)
        return error_set(err, -r, dir, "cannot look for earlier runs");
    if (r == 0)
        return 0;
    staging_area_init(&a);
    r = staging_area_open_target(&a, dir, err);
    if (r == 0)
        r = staging_recover(&s, &a, err);
    staging_area_clear(&a);
    return r < 0 ? r : 1;
}
