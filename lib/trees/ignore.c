/* Stages the .gitignore in .warmpack, as other tools have it in their caches: what lies there
 * belongs to the place where a tree was unpacked, and nobody wants to commit it. A seal, which is
 * made to be committed, has none. */

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/own_names.h"
#include "commit/staging.h"
#include "tree/beneath.h"

#include "trees.h"

static const char text[] = "*\n"; /* itself, too */
enum { TEXT_SIZE = sizeof text - 1 };

char *trees_ignore_path(const char *home, bool *none)
{
    _cleanup_free_ char *place = path_dir(home);

    *none = place && strcmp(path_base(place), MANIFEST_DIR) != 0;
    return place && !*none ? path_join(place, OWN_IGNORE) : NULL;
}

/* An error is none of ours: whatever comes next meets it, too. */
static bool is_there(int fd, const char *path)
{
    struct stat st;

    return beneath_look(fd, path, &st) != 0;
}

int trees_ignore_stage(const struct staging *s, const char *home, bool swapped,
                       struct wp_error *err)
{
    bool none;
    _cleanup_free_ char *path = trees_ignore_path(home, &none);

    if (!path)
        return none ? 0 : error_nomem(err);
    if (is_there(staging_tree(s, 0), path) || (!swapped && is_there(staging_target(s, 0), path)))
        return 0;
    return trees_stage(s, home, path, text, TEXT_SIZE, err);
}

void trees_ignore_write(int fd, const char *home)
{
    bool none;
    _cleanup_free_ char *path = trees_ignore_path(home, &none);
    _cleanup_close_ int file =
        path ? beneath_open(fd, path, O_WRONLY | O_CREAT | O_EXCL, 0644) : -1;

    if (file >= 0 && file_write(file, text, TEXT_SIZE) < 0)
        beneath_remove(fd, path);
}

int trees_ignore_is_ours(int fd, const char *path)
{
    _cleanup_buf_ struct buf there = {0};
    int r = beneath_read(fd, path, TEXT_SIZE, &there, NULL);

    if (r < 0)
        return file_is_unfit(r) || beneath_is_absence(r) ? 0 : r;
    return r == 0 && there.size == TEXT_SIZE && memcmp(there.data, text, TEXT_SIZE) == 0;
}
