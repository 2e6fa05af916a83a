/* Finds the hashed names of directories in zips. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "caches.h"
#include "zipped.h"

struct zip_naming {
    struct caches *known;
    const char *const *bases;
    const char *path, *place; /* of the zip, in the tree and below the bases */
    char *last;               /* directory that was named last; owned */
    struct wp_error *err;
};

/* Would Numba take what lies below DIR for something in DIR or above it? */
static bool is_in_zip(const char *dir)
{
    _cleanup_free_ char *below = path_join(dir, "x");

    return !below || zipped_length(below);
}

static int name_zipped(void *ctx, const char *member)
{
    struct zip_naming *z = ctx;
    _cleanup_free_ char *dir = path_dir(member), *path = NULL, *place = NULL;
    int r = 0;

    if (dir && z->last && strcmp(dir, z->last) == 0)
        return 0;
    path = path_append(z->path, dir ? dir : "");
    place = path_append(z->place, dir ? dir : "");
    if (!dir || !path || !place)
        return -ENOMEM;
    for (const char *const *base = z->bases; *base && r == 0; base++)
        if (!is_in_zip(*base))
            r = caches_add(z->known, *base, place, path, z->err);
    free(z->last);
    z->last = take_ptr(dir);
    return r;
}

int caches_add_zip(struct caches *c, int fd, const char *const *bases, const char *place,
                   const char *path, struct wp_error *err)
{
    _cleanup_free_ char *above = path_dir(place);
    struct zip_naming z = {.known = c, .bases = bases, .path = path, .place = place, .err = err};
    int r = !above ? -ENOMEM : is_in_zip(above) ? 0 : zipped_sources(fd, name_zipped, &z);

    free(z.last);
    return r == -ENOMEM ? error_nomem(err) : 0;
}
