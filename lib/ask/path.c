/* The job of `path`: tells where Numba looks for the cache of a source file. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"
#include "judge/on_disk.h"
#include "numba/places.h"
#include "numba/zipped.h"
#include "warmpack.h"

struct places {
    struct wp_cache_place *items;
    size_t count;
    const struct places_user *user;
};

/* Appends directory DIR (taken over), which is HERE on this machine (NULL: the same). */
static int add_place(struct places *p, enum wp_layout kind, char *dir, const char *here,
                     const char *why_not, struct wp_error *err)
{
    struct wp_cache_place *place;

    if (!dir || array_grow(p->items, p->count) < 0) {
        free(dir);
        return error_nomem(err);
    }
    place = &p->items[p->count++];
    *place = (struct wp_cache_place){.kind = kind, .dir = dir};
    if (!why_not) {
        int e = places_writable(here ? here : dir, p->user);

        if (e == ENOMEM)
            return error_nomem(err);
        why_not = e ? strerror(e) : NULL;
    }
    if (why_not && !(place->why_not = strdup(why_not)))
        return error_nomem(err);
    return 0;
}

static int add_hashed(struct places *p, enum wp_layout kind, const char *root, const char *dir,
                      struct wp_error *err)
{
    _cleanup_free_ char *absolute = path_absolute(root);
    _cleanup_free_ char *name = places_hash_name(dir);

    if (!name && errno == EILSEQ)
        return add_place(p, kind, absolute ? strdup(absolute) : NULL, NULL,
                         "the source's path is not UTF-8: Numba raises an error here", err);
    return name && absolute ? add_place(p, kind, path_join(absolute, name), NULL, NULL, err)
                            : error_nomem(err);
}

/* The places of a file in the directory that Python sees as DIR and that is HERE on this machine;
 * of one in a zip where that is HERE. */
static int add_places(struct places *p, const char *here, const char *dir,
                      const struct wp_verify_options *o, const char *user_wide, bool zipped,
                      struct wp_error *err)
{
    _cleanup_free_ char *in_tree = path_join(here, "__pycache__");
    int r = in_tree ? 0 : error_nomem(err);

    if (r == 0 && zipped) /* whatever NUMBA_CACHE_DIR says */
        return add_hashed(p, WP_LAYOUT_USER_WIDE, user_wide, dir, err);
    if (r == 0 && o->cache_dir && *o->cache_dir)
        r = add_hashed(p, WP_LAYOUT_CACHE_DIR, o->cache_dir, dir, err);
    if (r == 0)
        r = add_place(p, WP_LAYOUT_IN_TREE, path_join(dir, "__pycache__"), in_tree, NULL, err);
    if (r == 0)
        r = add_hashed(p, WP_LAYOUT_USER_WIDE, user_wide, dir, err);
    return r;
}

/* Numba takes the first place that it can make and write to. */
static void mark_used(struct places *p, size_t from)
{
    for (size_t i = from; i < p->count; i++)
        if (!p->items[i].why_not) {
            p->items[i].used = true;
            return;
        }
}

/* Does Python find a source at PATH in a zip? */
static bool is_in_zip(const char *path)
{
    unsigned char digest[32];

    return zipped_digest_at(path, digest) == 0;
}

/* Those of FILE in the tree that Python will see at each runtime root. HERE: where it lies now. */
static int add_runtime_places(struct places *p, const char *file, const char *here,
                              const struct wp_verify_options *o, const char *user_wide, bool zipped,
                              struct wp_error *err)
{
    _cleanup_free_ char *relative = path_normalise(file);
    _cleanup_free_ char *below = relative ? path_dir(relative) : NULL;

    if (!below)
        return error_nomem(err);
    if (relative[0] == '/')
        return error_set(err, 0, file, "with --runtime-root, a path below it is needed");
    for (const char *const *root = o->runtime_roots; *root; root++) {
        _cleanup_free_ char *base = path_absolute(*root);
        _cleanup_free_ char *dir = base ? path_join(base, below) : NULL;
        size_t from = p->count;
        int r = dir ? add_places(p, here, *below ? dir : base, o, user_wide, zipped, err)
                    : error_nomem(err);

        if (r < 0)
            return r;
        mark_used(p, from);
    }
    return 0;
}

int wp_cache_places(const char *file, const struct wp_verify_options *o,
                    struct wp_cache_place **places, size_t *count, struct wp_error *err)
{
    _cleanup_free_ char *absolute = path_absolute(file);
    _cleanup_free_ char *here = absolute ? path_dir(absolute) : NULL;
    _cleanup_free_ char *user_wide = NULL;
    struct places p = {0};
    struct verify v;
    struct stat st;
    bool zipped;
    int r;

    *places = NULL;
    *count = 0;
    if (!here)
        return error_set(err, errno, file, "cannot be found");
    r = options_check(NULL, o, err);
    if (r < 0)
        return r;
    r = stat(file, &st) < 0 ? -errno : 0;
    zipped = error_is_no_directory(r) && zipped_length(absolute);
    if (zipped && !is_in_zip(absolute))
        return error_set(err, 0, file, "is no source that Python could import from a zip");
    if (r < 0 && !zipped)
        return error_set(err, -r, file, "cannot stat");
    if (!zipped && S_ISDIR(st.st_mode))
        return error_set(err, EISDIR, file, "is no source file");
    r = verify_begin(&v, o->user, err);
    p.user = &v.user;
    user_wide = r == 0 ? places_user_wide(&v.user, v.is_caller) : NULL;
    if (r == 0 && !user_wide)
        r = error_nomem(err);
    if (r == 0 && !o->runtime_roots) {
        r = add_places(&p, here, *here ? here : "/", o, user_wide, zipped, err);
        mark_used(&p, 0);
    }
    if (r == 0 && o->runtime_roots)
        r = add_runtime_places(&p, file, here, o, user_wide, zipped, err);
    verify_end(&v);
    if (r < 0) {
        wp_cache_places_free(p.items, p.count);
        return r;
    }
    *places = p.items;
    *count = p.count;
    return 0;
}

void wp_cache_places_free(struct wp_cache_place *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(places[i].dir);
        free(places[i].why_not);
    }
    free(places);
}
