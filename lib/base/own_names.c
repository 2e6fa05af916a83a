/* Tells by its name what warmpack itself has created in a tree or an archive. */

#include "own_names.h"

#include <string.h>
#include <sys/stat.h>

#include "path.h"

static bool begins(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_id(const char *text)
{
    return strspn(text, "0123456789abcdef") == OWN_ID_LENGTH;
}

bool own_is_metadata(const char *name, size_t n)
{
    const size_t tail = strlen(WHEEL_DIR_SUFFIX);

    return (n == strlen(EGG_DIR) && begins(name, EGG_DIR)) ||
           (n > tail && begins(name + n - tail, WHEEL_DIR_SUFFIX));
}

bool own_is_staging(const char *name)
{
    static const char random[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const size_t n = strlen(STAGING_PREFIX);

    return begins(name, STAGING_PREFIX) && strlen(name) == STAGING_NAME_SIZE - 1 &&
           strspn(name + n, random) == STAGING_NAME_SIZE - 1 - n;
}

/* The type of a file that is to replace another, by its temporary name. */
static mode_t replacing_type(const char *name)
{
    const size_t n = strlen(OWN_REPLACING);

    if (!begins(name, OWN_REPLACING) || strspn(name + n, "0123456789abcdef") != OWN_ID_LENGTH)
        return 0;
    name += n + OWN_ID_LENGTH;
    return *name == '\0' ? S_IFREG : strcmp(name, OWN_LINK_TAIL) == 0 ? S_IFLNK : 0;
}

mode_t own_type(const char *within, const char *name)
{
    within = path_base(within);
    if (strcmp(name, MANIFEST_DIR) == 0 || own_is_staging(name) ||
        (strcmp(name, METADATA_SUBDIR) == 0 && own_is_metadata(within, strlen(within))))
        return S_IFDIR;
    if (strcmp(name, OWN_LOCK) == 0)
        return S_IFREG;
    return replacing_type(name);
}

/* Is that the name of PATH's component of N bytes? */
static bool is_forbidden(const char *component, size_t n)
{
    return begins(component, STAGING_PREFIX) || begins(component, OWN_REPLACING) ||
           (n == strlen(OWN_LOCK) && begins(component, OWN_LOCK));
}

bool own_is_forbidden(const char *path)
{
    for (const char *p = path; *p; p += *p == '/') {
        size_t n = strcspn(p, "/");

        if (is_forbidden(p, n))
            return true;
        p += n;
    }
    return false;
}

int own_home_at(const char *path)
{
    const char *slash;

    if (begins(path, MANIFEST_DIR "/"))
        return 0;
    slash = strchr(path, '/');
    if (!slash)
        return -1;
    if (begins(slash + 1, MANIFEST_DIR "/"))
        return (int)(slash + 1 - path);
    if (begins(slash + 1, METADATA_SUBDIR "/") && own_is_metadata(path, (size_t)(slash - path)))
        return 0;
    return -1;
}

bool own_is_manifest(const char *path)
{
    int home = own_home_at(path);
    const char *id;

    if (home < 0)
        return false;
    id = path + home;
    if (!begins(id, MANIFEST_DIR "/"))
        id = strchr(id, '/') + 1; /* behind the metadata directory */
    id = strchr(id, '/') + 1;
    return is_id(id) && strcmp(id + OWN_ID_LENGTH, "/" MANIFEST_NAME) == 0;
}

bool own_holds(const char *path)
{
    const char *above = path;

    for (const char *name = path; *name; name += *name == '/') {
        const size_t n = strcspn(name, "/");

        if ((n == strlen(MANIFEST_DIR) && begins(name, MANIFEST_DIR)) ||
            (name > above && n == strlen(METADATA_SUBDIR) && begins(name, METADATA_SUBDIR) &&
             own_is_metadata(above, (size_t)(name - 1 - above))))
            return true;
        above = name;
        name += n;
    }
    return false;
}

/* Where the component that ends before END begins. */
static const char *component_before(const char *path, const char *end)
{
    while (end > path && end[-1] != '/')
        end--;
    return end;
}

int own_home_prefix(const char *path)
{
    const char *id = path_base(path), *home;

    if (!is_id(id) || id[OWN_ID_LENGTH] || id == path)
        return -1;
    home = component_before(path, id - 1);
    if (!begins(home, MANIFEST_DIR "/")) {
        const char *subdir = home;

        if (!begins(subdir, METADATA_SUBDIR "/") || subdir == path)
            return -1;
        home = component_before(path, subdir - 1);
        if (!own_is_metadata(home, (size_t)(subdir - 1 - home)))
            return -1;
    }
    return home == path ? 0 : (int)(home - path) - 1;
}
