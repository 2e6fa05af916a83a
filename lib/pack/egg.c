/* Packing an egg: setuptools' NAME.egg-info becomes its EGG-INFO. */

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"

static const char suffix[] = ".egg-info";

/* 1, 0 or negative errno. */
static int is_metadata_dir(int fd, const char *name)
{
    _cleanup_free_ char *info = path_join(name, "PKG-INFO");
    size_t n = strlen(name);

    if (!info)
        return -ENOMEM;
    if (n < sizeof suffix || strcmp(name + n - (sizeof suffix - 1), suffix) != 0)
        return 0;
    if (faccessat(fd, info, F_OK, 0) == 0)
        return 1;
    return error_is_absence(-errno) ? 0 : -errno;
}

/* The *.egg-info in DIR, or the one called NAME where that is not NULL. *FOUND is allocated, NULL:
 * there is none. */
static int find_in(const char *dir, const char *name, char **found, struct wp_error *err)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    int r = file_list_path(dir, &d), is;

    *found = NULL;
    if (r == -EACCES)
        return 0; /* one of several places that are tried */
    while (r > 0 && (r = file_next(d, &item)) > 0) {
        if (name && strcmp(item->d_name, name) != 0)
            continue;
        is = is_metadata_dir(dirfd(d), item->d_name);
        if (is < 0)
            return error_set(err, -is, dir, "cannot look for an *.egg-info");
        if (!is)
            continue;
        if (*found) {
            free(take_ptr(*found));
            return error_set(err, 0, dir,
                             "holds several *.egg-info: name the right one with --egg-info");
        }
        *found = path_join(dir, item->d_name);
        if (!*found)
            return error_nomem(err);
    }
    return r < 0 ? error_set(err, -r, dir, "cannot read directory") : 0;
}

/* "demo_app.egg-info" for demo_app-1.0-py3.11.egg. Allocated; NULL: no memory. */
static char *metadata_name(const char *archive)
{
    const char *base = path_base(archive), *dot = strrchr(base, '.');
    size_t n = strcspn(base, "-");
    struct buf name = {0};

    if (!base[n] && dot)
        n = (size_t)(dot - base);
    if (buf_add(&name, base, n) < 0 || buf_add_str(&name, suffix) < 0 || buf_terminate(&name) < 0)
        buf_free(&name);
    return (char *)name.data;
}

/* By the egg's name in the packed directory, above it (build/lib lies two below the project) or
 * here; else the only one in that directory or beside it. *FOUND is allocated. */
static int find_metadata(const struct pack *p, char **found, struct wp_error *err)
{
    const char *dir = p->o->members[0].dir ? p->o->members[0].dir : ".";
    _cleanup_free_ char *name = metadata_name(p->o->archive);
    _cleanup_free_ char *parent = path_join(dir, ".."), *above = path_join(dir, "../..");
    const char *places[] = {dir, parent, above, "."};
    int r = 0;

    if (!name || !parent || !above)
        return error_nomem(err);
    for (size_t i = 0; i < 4 && !*found && r == 0; i++)
        r = find_in(places[i], name, found, err);
    for (size_t i = 0; i < 2 && !*found && r == 0; i++)
        r = find_in(places[i], NULL, found, err);
    if (*found || r < 0)
        return r;
    return error_set(err, 0, p->o->archive,
                     "not made: an egg needs metadata, and no %s was found; \"setup.py egg_info\" "
                     "makes it, --egg-info names it",
                     name);
}

/* What lies in the tree under its old name, too, would be a second distribution. */
static void drop_original(struct pack *p, const char *dir)
{
    struct stat st;

    if (stat(dir, &st) < 0)
        return;
    for (size_t i = 0; i < p->walk.count; i++) {
        const struct walk_item *item = &p->walk.items[i];
        _cleanup_free_ char *path = NULL;

        if (item->entry.type != ENTRY_DIR || item->dev != st.st_dev || item->ino != st.st_ino)
            continue;
        path = strdup(item->entry.path);
        if (path)
            pack_drop(p, path);
        return;
    }
}

static int add_metadata(struct pack *p, const char *dir, struct wp_error *err)
{
    struct walk_options options;
    int root;

    pack_drop(p, EGG_DIR);
    drop_original(p, dir);
    pack_walk_options(p, &options);
    root = walk_add_root(&p->walk, dir, err);
    return root < 0 ? root : walk_add(&p->walk, (unsigned)root, ".", EGG_DIR, &options, err);
}

/* Numba can keep no cache for sources in a zipped egg. */
int pack_egg_unzipped(struct pack *p, struct wp_error *err)
{
    pack_drop(p, EGG_DIR "/zip-safe");
    return pack_holds(p, EGG_DIR "/not-zip-safe")
               ? 0
               : pack_make(p, EGG_DIR "/not-zip-safe", "\n", err);
}

int pack_egg(struct pack *p, struct wp_error *err)
{
    _cleanup_free_ char *found = NULL;
    const char *dir = p->o->egg_info;
    int r = 0;

    if (!dir && !pack_holds(p, EGG_DIR "/PKG-INFO")) {
        r = find_metadata(p, &found, err);
        dir = found;
    }
    if (r == 0 && dir)
        r = add_metadata(p, dir, err);
    if (r < 0)
        return r;
    if (!pack_holds(p, EGG_DIR "/PKG-INFO"))
        return error_set(err, 0, dir, "holds no PKG-INFO: this is no egg's metadata");
    return pack_egg_unzipped(p, err);
}
