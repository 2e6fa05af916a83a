/* Packing: finds which cache directories belong to the tree, inside it and outside. */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "commit/staging.h"
#include "job.h"
#include "numba/caches.h"
#include "numba/places.h"
#include "tree/beneath.h"

int pack_record_cache(struct pack *p, const char *cache, const char *source,
                      enum manifest_cache_kind kind, struct wp_error *err)
{
    struct manifest *m = &p->manifest;
    struct manifest_cache *c;

    if (array_grow(m->caches, m->cache_count) < 0)
        return error_nomem(err);
    c = &m->caches[m->cache_count];
    *c = (struct manifest_cache){.cache = strdup(cache), .source = strdup(source), .kind = kind};
    if (!c->cache || !c->source)
        return error_nomem(err);
    m->cache_count++;
    return 0;
}

static void warn_of_stranger(struct pack *p, const char *where, const char *name)
{
    size_t base = 0;

    places_is_hash_name(name, &base);
    report(
        p->context, WP_WARNING, where,
        "belongs to a directory called %.*s, but to none at this path: left as it is; if Python "
        "imported the tree by another path, name that with --source-root (a symbolic link within "
        "the tree leads to none: import by the directory's own path)",
        (int)base, name);
}

/* Cache roots that lie in the tree: their directories are packed with it. */
int pack_find_inside(struct pack *p, const struct caches *known, struct wp_error *err)
{
    for (size_t i = 0; i < p->walk.count; i++) {
        const struct entry *e = &p->walk.items[i].entry;
        const char *name = path_base(e->path), *source;
        size_t base;
        int r;

        if (e->type != ENTRY_DIR || !places_is_hash_name(name, &base))
            continue;
        source = caches_find(known, name);
        if (!source) {
            if (caches_knows_base(known, name))
                warn_of_stranger(p, e->path, name);
            continue;
        }
        r = pack_record_cache(p, e->path, source, MANIFEST_CACHE_INSIDE, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Is it neither DIR itself, nor a file of caches? */
static bool is_no_cache(const struct walk_item *item, void *dir)
{
    const char *path = item->entry.path;

    return strcmp(path, dir) != 0 && (item->entry.type != ENTRY_FILE || !caches_is_part(path));
}

const struct manifest_cache *pack_cache_at(const struct pack *p, const char *path)
{
    for (size_t i = 0; i < p->manifest.cache_count; i++)
        if (strcmp(p->manifest.caches[i].cache, path) == 0)
            return &p->manifest.caches[i];
    return NULL;
}

char *pack_name_cache(const struct pack *p, const char *name)
{
    _cleanup_buf_ struct buf path = {0};

    for (unsigned copy = 1; copy == 1 || pack_cache_at(p, (char *)path.data); copy++) {
        buf_clear(&path);
        if (buf_printf(&path, "%s/cache/%s", p->home, name) < 0 ||
            (copy > 1 && buf_printf(&path, ".%u", copy) < 0))
            return NULL;
    }
    return (char *)take_ptr(path.data);
}

/* Two roots may each have a directory of that name: the later gets a number behind its name. */
int pack_take_cache(struct pack *p, unsigned root, const char *name, const char *source,
                    enum manifest_cache_kind kind, struct wp_error *err)
{
    struct walk_options options = {.numeric_owner = p->o->numeric_owner, .context = p->context};
    _cleanup_buf_ struct buf as = {0};
    unsigned copies = 0;
    size_t first;
    int r;

    for (size_t i = 0; i < p->manifest.cache_count; i++) {
        const char *taken = path_base(p->manifest.caches[i].cache);

        if (p->manifest.caches[i].kind != MANIFEST_CACHE_INSIDE &&
            strncmp(taken, name, strlen(name)) == 0 &&
            (taken[strlen(name)] == '\0' || taken[strlen(name)] == '.'))
            copies++;
    }
    if (buf_printf(&as, copies ? "%s/cache/%s.%u" : "%s/cache/%s", p->home, name, copies + 1) < 0)
        return error_nomem(err);
    r = pack_record_cache(p, (char *)as.data, source, kind, err);
    if (r < 0)
        return r;
    first = p->walk.count;
    r = walk_add(&p->walk, root, name, (char *)as.data, &options, err);
    if (r < 0)
        return r;
    walk_drop(&p->walk, first, is_no_cache, as.data);
    return 0;
}

/* 1, 0 or negative errno. */
static int is_directory_at(int fd, const char *name)
{
    struct stat st;
    int r = beneath_look(fd, name, &st);

    return r > 0 ? S_ISDIR(st.st_mode) : r;
}

static int find_outside(struct pack *p, const struct pack_names *names, const char *dir,
                        struct wp_error *err)
{
    _cleanup_free_ char *user_wide = wp_user_wide_cache_dir(NULL, NULL);
    enum manifest_cache_kind kind =
        user_wide && strcmp(user_wide, dir) == 0 ? MANIFEST_CACHE_USER_WIDE : MANIFEST_CACHE_DIR;
    _cleanup_closedir_ DIR *d = opendir(dir);
    struct dirent *item;
    int root = -1, is_suspect, r;
    size_t base;

    if (!d && kind == MANIFEST_CACHE_USER_WIDE && error_is_absence(-errno))
        return 0;
    if (!d && kind == MANIFEST_CACHE_USER_WIDE && errno == EACCES) { /* nobody asked for it */
        report(p->context, WP_WARNING, dir,
               "cannot be read: caches that may lie there are left behind");
        return 0;
    }
    if (!d)
        return error_set(err, errno, dir, "cannot read the cache directory");
    if (walk_has_dir(&p->walk, dirfd(d)))
        return 0;
    is_suspect = staging_has_leftovers_above(dir);
    if (is_suspect < 0)
        return error_set(err, -is_suspect, dir, "cannot look for earlier runs");
    while ((r = file_next(d, &item)) > 0) {
        _cleanup_free_ char *where = path_join(dir, item->d_name);
        const char *source, *zipped;
        int is_dir;

        if (!where)
            return error_nomem(err);
        if (!places_is_hash_name(item->d_name, &base))
            continue;
        is_dir = is_directory_at(dirfd(d), item->d_name);
        if (is_dir < 0)
            return error_set(err, -is_dir, where, "cannot stat");
        if (!is_dir)
            continue;
        source = caches_find(names->dirs, item->d_name);
        zipped = caches_find(names->zipped, item->d_name);
        if (source || zipped) {
            r = staging_check_done(where, is_suspect, err);
            if (r == 0 && root < 0)
                r = root = walk_add_root(&p->walk, dir, err);
            r = r < 0 ? r
                      : pack_take_cache(p, (unsigned)root, item->d_name, source ? source : zipped,
                                        source ? kind : MANIFEST_CACHE_USER_WIDE, err);
            if (r < 0)
                return r;
        } else if (caches_knows_base(names->dirs, item->d_name)) {
            warn_of_stranger(p, where, item->d_name);
        } else {
            report(p->context, WP_DETAIL, where,
                   "belongs to no directory of the tree: left behind");
        }
    }
    return r < 0 ? error_set(err, -r, dir, "cannot read the cache directory") : 0;
}

int pack_find_caches(struct pack *p, const struct pack_names *names, struct wp_error *err)
{
    int r = p->o->fresh_caches ? 0 : pack_find_inside(p, names->dirs, err);

    for (const char *const *dir = p->o->cache_dirs; dir && *dir && r == 0; dir++)
        r = find_outside(p, names, *dir, err);
    return r < 0 || p->o->fresh_caches ? r : pack_find_sealed(p, err);
}
