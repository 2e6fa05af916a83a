/* Reads and stages state.jsonl beside a manifest: what was done with that in this tree. */

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "commit/staging.h"
#include "numba/caches.h"
#include "tree/beneath.h"
#include "tree/create.h"
#include "trees.h"

int trees_state_read(int fd, const char *home, struct manifest_state *state, struct buf *text,
                     uid_t *uid, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(home, STATE_NAME);
    struct stat st = {0};
    int r = path ? beneath_read(fd, path, STATE_LARGEST, text, &st) : -ENOMEM;

    *state = (struct manifest_state){0};
    if (error_is_absence(r))
        return 0;
    if (r < 0)
        return error_set(err, -r, path, "cannot be read");
    if (uid)
        *uid = st.st_uid;
    r = manifest_state_read(state, text->data, text->size, path, err);
    return r < 0 ? r : 1;
}

char **trees_bases(char *const *roots, size_t count, const char *below)
{
    char **bases = calloc(count + 1, sizeof *bases);

    for (size_t i = 0; bases && i < count; i++) {
        bases[i] = path_append(roots[i], below);
        if (!bases[i]) {
            caches_free_bases(bases);
            return NULL;
        }
    }
    return bases;
}

/* Finds the paths that the base had for Python when caches were last named for them. */
static int find_old_bases(struct tree_manifest *t, struct wp_error *err)
{
    const char *below = "";

    if (!t->has_state)
        return 0;
    if (t->strip > t->state.strip && path_depth(t->prefix) > t->state.strip)
        below = path_strip(t->prefix, t->state.strip);
    t->old_bases = trees_bases(t->state.roots, t->state.root_count, below);
    return t->old_bases ? 0 : error_nomem(err);
}

char *tree_place(const struct trees *trees, const struct tree_manifest *t)
{
    _cleanup_free_ char *dir = path_absolute(trees->dir);

    return dir ? path_join(dir, t->base) : NULL;
}

/* Finds the cache root of earlier times, which has moved with the tree if it lay in it. */
static int find_old_root(const struct trees *trees, struct tree_manifest *t, struct wp_error *err)
{
    const char *named = t->has_state ? t->state.cache_root : NULL;
    _cleanup_free_ char *old = named && *named == '/' ? path_normalise(named) : NULL;

    if (!named || *named != '/')
        return 0;
    if (!old)
        return error_nomem(err);
    for (char **base = t->old_bases; *base && !t->old_root; base++) {
        _cleanup_free_ char *now = tree_place(trees, t);

        if (!path_is_under(old, *base))
            continue;
        t->old_root = now ? path_append(now, path_from(old, *base)) : NULL;
        if (!t->old_root)
            return error_nomem(err);
    }
    if (!t->old_root)
        t->old_root = take_ptr(old);
    return 0;
}

void tree_state_clear(struct tree_manifest *t)
{
    caches_free_bases(take_ptr(t->old_bases));
    free(take_ptr(t->old_root));
    manifest_state_clear(&t->state);
    t->state_text.size = 0;
    t->has_state = false;
}

int tree_state_read(const struct trees *trees, struct tree_manifest *t, struct wp_error *err)
{
    unsigned depth = path_depth(t->prefix), strip;
    int r;

    tree_state_clear(t);
    r = trees_state_read(trees->fd, t->home, &t->state, &t->state_text, &t->state_uid, err);
    if (r < 0)
        return r;
    t->has_state = r > 0;
    strip = t->has_state && t->state.strip > depth ? t->state.strip : depth;
    if (strip > TREES_MOST_STRIP)
        return error_set(err, 0, t->name, "its state strips more components than names have");
    t->strip = strip;
    r = find_old_bases(t, err);
    return r < 0 ? r : find_old_root(trees, t, err);
}

bool tree_is_damage(int r)
{
    return beneath_is_no_file(r) || r == -EBADMSG || r == -ENOTSUP;
}

int tree_manifest_and_state_read(const struct trees *trees, struct tree_manifest *t,
                                 const char *home, struct wp_error *err)
{
    struct wp_error why = {0};
    int r = tree_manifest_read(trees, t, home, &why), state = 0;

    if (r > 0)
        state = tree_state_read(trees, t, &why);
    if (state < 0 && !tree_is_damage(state))
        r = state;
    if (r < 0 && tree_is_damage(r))
        return 0;
    if (r < 0)
        error_pass(err, &why);
    return r;
}

int trees_stage(const struct staging *s, const char *home, char *path, const void *data,
                size_t size, struct wp_error *err)
{
    const struct create_policy plain = {.permissions = true};
    struct entry e = {.path = path, .mode = 0644, .size = size};
    int r = create_dir(staging_tree(s, 0), home, 0700, err);

    clock_gettime(CLOCK_REALTIME, &e.mtime);
    return r < 0 ? r : create_file(staging_tree(s, 0), &plain, &e, data, size, err);
}

int trees_state_stage(const struct staging *s, const char *home, const struct buf *text,
                      struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(home, STATE_NAME);

    return path ? trees_stage(s, home, path, text->data, text->size, err) : error_nomem(err);
}
