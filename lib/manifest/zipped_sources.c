/* Tells which sources of a manifest lie in a zip. */

#include "zipped_sources.h"

#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "numba/zipped.h"
#include "tree/beneath.h"

bool zipped_sources_lies_in(const struct manifest *m, const char *path)
{
    _cleanup_free_ char *zip = manifest_find(m, path) ? NULL : zipped_file(path);
    const struct entry *e = zip ? manifest_find(m, zip) : NULL;

    return e && e->type != ENTRY_DIR;
}

bool zipped_sources_dir(const struct manifest *m, const char *dir)
{
    _cleanup_free_ char *below = path_join(dir, "x");

    return below && zipped_sources_lies_in(m, below);
}

char *zipped_sources_entry(const struct manifest *m, const char *path)
{
    return zipped_sources_lies_in(m, path) ? zipped_file(path) : strdup(path);
}

bool zipped_sources_exist(int fd, const char *path)
{
    _cleanup_free_ char *zip = NULL;
    struct stat st;

    int r = beneath_stat(fd, path, &st);

    if (beneath_is_absence(r)) {
        zip = zipped_file(path);
        if (!zip)
            return false;
        r = beneath_stat(fd, zip, &st);
    }
    return r == 0 ? !S_ISDIR(st.st_mode) : !beneath_is_absence(r);
}
