/* Packing: names the directory of the manifest, and the ID that it is called by. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/little_endian.h"
#include "base/path.h"
#include "job.h"

/* The directory's name until the whole walk is known, of which the ID is a digest. */
static const char no_id[] = "0000000000000000";

/* The one directory in which everything lies; NULL: there is none. */
static char *single_top(const struct walk *w)
{
    size_t n = w->count ? strcspn(w->items[0].entry.path, "/") : 0;
    bool is_dir = false;

    if (!n)
        return NULL;
    for (size_t i = 0; i < w->count; i++) {
        const char *path = w->items[i].entry.path;

        if (strncmp(path, w->items[0].entry.path, n) != 0 || (path[n] && path[n] != '/'))
            return NULL;
        is_dir |= path[n] == '/' || w->items[i].entry.type == ENTRY_DIR;
    }
    return is_dir ? strndup(w->items[0].entry.path, n) : NULL;
}

/* The one directory NAME.dist-info at the top. Allocated. */
static char *wheel_metadata(const struct pack *p, struct wp_error *err)
{
    static const char suffix[] = WHEEL_DIR_SUFFIX;
    _cleanup_free_ char *found = NULL;

    for (size_t i = 0; i < p->walk.count; i++) {
        const char *path = p->walk.items[i].entry.path;
        size_t n = strcspn(path, "/"), tail = sizeof suffix - 1;

        if (n <= tail || strncmp(path + n - tail, suffix, tail) != 0 ||
            (!path[n] && p->walk.items[i].entry.type != ENTRY_DIR))
            continue;
        if (found && strlen(found) == n && strncmp(found, path, n) == 0)
            continue;
        if (found) {
            error_set(err, 0, p->o->archive,
                      "not made: a wheel has one " WHEEL_DIR_SUFFIX " directory, not both %s and "
                      "%.*s",
                      found, (int)n, path);
            return NULL;
        }
        found = strndup(path, n);
        if (!found) {
            error_nomem(err);
            return NULL;
        }
    }
    if (!found)
        error_set(err, 0, p->o->archive,
                  "not made: a wheel needs a NAME" WHEEL_DIR_SUFFIX " directory at its top");
    return take_ptr(found);
}

int pack_home(struct pack *p, struct wp_error *err)
{
    _cleanup_free_ char *top = NULL, *dir = NULL;

    if (p->o->format->home == FORMAT_HOME_WHEEL) {
        top = wheel_metadata(p, err);
        if (!top)
            return -EINVAL;
    } else if (p->o->format->home == FORMAT_HOME_EGG) {
        top = strdup(EGG_DIR);
        if (!top)
            return error_nomem(err);
    } else if (p->o->format->home == FORMAT_HOME_TREE) {
        top = single_top(&p->walk);
    }
    dir = path_join(top ? top : "",
                    p->o->format->home == FORMAT_HOME_EGG || p->o->format->home == FORMAT_HOME_WHEEL
                        ? METADATA_SUBDIR
                        : MANIFEST_DIR);
    p->home = dir ? path_join(dir, no_id) : NULL;
    return p->home ? 0 : error_nomem(err);
}

int pack_metadata(struct pack *p, struct wp_error *err)
{
    if (p->o->format->home == FORMAT_HOME_WHEEL)
        return pack_wheel(p, err);
    if (p->o->format->home != FORMAT_HOME_EGG)
        return 0;
    pack_drop(p, EGG_DIR "/not-zip-safe");
    return pack_egg_unzipped(p, err);
}

/* ---- The ID ------------------------------------------------------------------------------ */

/* A digest over names, types, sizes and times: it is known before anything is read. */
static int digest_walk(const struct pack *p, unsigned char digest[SHA256_SIZE])
{
    const struct walk *w = &p->walk;
    struct sha256 *sha = sha256_new();
    unsigned char fixed[25];

    if (!sha)
        return -ENOMEM;
    for (size_t i = 0; i < w->count; i++) {
        const struct entry *e = &w->items[i].entry;

        sha256_add(sha, e->path, strlen(e->path) + 1);
        if (e->target)
            sha256_add(sha, e->target, strlen(e->target) + 1);
        fixed[0] = (unsigned char)e->type;
        put_le(fixed + 1, 8, e->size);
        put_le(fixed + 9, 8, (uint64_t)e->mtime.tv_sec);
        put_le(fixed + 17, 8, (uint64_t)e->mtime.tv_nsec);
        sha256_add(sha, fixed, sizeof fixed);
    }
    if (p->o->with_locator)
        pack_digest_locator(sha);
    sha256_end(sha, digest);
    sha256_free(sha);
    return 0;
}

/* What lies in directory FROM lies in TO now. */
static int move_path(char **path, const char *from, const char *to)
{
    char *moved;

    if (!*path || !path_is_under(*path, from))
        return 0;
    if (asprintf(&moved, "%s%s", to, *path + strlen(from)) < 0)
        return -ENOMEM;
    free(*path);
    *path = moved;
    return 0;
}

/* All paths in there change alike, so that their order stays. */
static int rename_home(struct pack *p, const char *from)
{
    int r = 0;

    for (size_t i = 0; i < p->walk.count && r == 0; i++) {
        struct entry *e = &p->walk.items[i].entry;

        r = move_path(&e->path, from, p->home);
        if (r == 0 && e->type == ENTRY_HARDLINK)
            r = move_path(&e->target, from, p->home);
    }
    for (size_t i = 0; i < p->manifest.cache_count && r == 0; i++)
        r = move_path(&p->manifest.caches[i].cache, from, p->home);
    return r;
}

int pack_name_home(struct pack *p, struct wp_error *err)
{
    _cleanup_free_ char *before = take_ptr(p->home), *dir = path_dir(before);
    unsigned char digest[SHA256_SIZE];

    if (!dir || digest_walk(p, digest) < 0)
        return error_nomem(err);
    hex_encode(digest, OWN_ID_LENGTH / 2, p->id);
    p->home = path_join(dir, p->id);
    return !p->home || rename_home(p, before) < 0 ? error_nomem(err) : 0;
}
