/* Where manifests lie in archives and trees. */

#include <string.h>

#include "base/path.h"
#include "manifest.h"

enum { ID_LENGTH = 16 };

static bool begins(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Is the first component of PATH, N bytes long, the metadata directory of an egg or a wheel? */
static bool is_metadata(const char *path, size_t n)
{
    static const char wheel[] = WHEEL_DIR_SUFFIX;
    const size_t tail = sizeof wheel - 1;

    return (n == strlen(EGG_DIR) && begins(path, EGG_DIR)) ||
           (n > tail && strncmp(path + n - tail, wheel, tail) == 0);
}

int manifest_home_at(const char *path)
{
    const char *slash;

    if (begins(path, MANIFEST_DIR "/"))
        return 0;
    slash = strchr(path, '/');
    if (!slash)
        return -1;
    if (begins(slash + 1, MANIFEST_DIR "/"))
        return (int)(slash + 1 - path);
    if (begins(slash + 1, METADATA_SUBDIR "/") && is_metadata(path, (size_t)(slash - path)))
        return 0;
    return -1;
}

bool manifest_is_path(const char *path)
{
    int home = manifest_home_at(path);
    const char *id;

    if (home < 0)
        return false;
    id = path + home;
    if (!begins(id, MANIFEST_DIR "/"))
        id = strchr(id, '/') + 1; /* behind the metadata directory */
    id = strchr(id, '/') + 1;
    return strspn(id, "0123456789abcdef") == ID_LENGTH &&
           strcmp(id + ID_LENGTH, "/" MANIFEST_NAME) == 0;
}

char *manifest_source_dir(const struct manifest *m, const char *dir, const char **misplaced)
{
    *misplaced = NULL;
    for (size_t i = 0; i < m->cache_count; i++)
        if (strcmp(m->caches[i].cache, dir) == 0)
            return strdup(m->caches[i].source);
    if (strcmp(path_base(dir), "__pycache__") != 0)
        *misplaced = "its directory is not one where Numba looks for a source of this tree";
    return path_dir(dir);
}
