/* Repairing, first step: the manifests of a tree, what was done with them before, and how names of
 * the archive become paths of the tree. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "restore.h"
#include "tree/beneath.h"

enum { ID_LENGTH = 16, MOST_STRIP = 32 };

/* ---- Names ------------------------------------------------------------------------------- */

int restore_home_prefix(const char *path)
{
    const char *id = path_base(path), *place, *info;
    size_t n;

    if (strlen(id) != ID_LENGTH || strspn(id, "0123456789abcdef") != ID_LENGTH || id == path)
        return -1;
    for (place = id - 1; place > path && place[-1] != '/'; place--)
        ;
    if (strncmp(place, MANIFEST_DIR "/", strlen(MANIFEST_DIR) + 1) == 0)
        return place == path ? 0 : (int)(place - path) - 1;
    if (strncmp(place, "warmpack/", 9) != 0 || place == path)
        return -1;
    for (info = place - 1; info > path && info[-1] != '/'; info--)
        ;
    n = (size_t)(place - info) - 1;
    if ((n != 8 || strncmp(info, "EGG-INFO", 8) != 0) &&
        (n < 11 || strncmp(info + n - 10, ".dist-info", 10) != 0))
        return -1;
    return info == path ? 0 : (int)(info - path) - 1;
}

/* Is it warmpack's own directory, and not one in a distribution's metadata? */
static bool is_own_place(const char *home)
{
    const char *place = path_base(home) - 1;
    size_t n = strlen(MANIFEST_DIR);

    return (size_t)(place - home) >= n && strncmp(place - n, MANIFEST_DIR, n) == 0;
}

static unsigned depth_of(const char *path)
{
    unsigned n = *path ? 1 : 0;

    for (; *path; path++)
        n += *path == '/';
    return n;
}

/* The one directory in which everything of the manifest lies. Allocated; "" where there is none,
 * NULL on no memory. */
static char *single_top(const struct manifest *m)
{
    const char *first = m->entry_count ? m->entries[0].path : "";
    size_t n = strcspn(first, "/");

    for (size_t i = 0; i < m->entry_count; i++) {
        const char *path = m->entries[i].path;

        if (strncmp(path, first, n) != 0 || (path[n] && path[n] != '/') ||
            (!path[n] && m->entries[i].type != ENTRY_DIR))
            return strdup("");
    }
    return strndup(first, n);
}

/* The directory of the archive in which its home lies. Allocated. */
static char *archive_prefix(const struct manifest *m)
{
    int n = m->home ? restore_home_prefix(m->home) : -1;

    return n >= 0 ? strndup(m->home, (size_t)n) : single_top(m);
}

/* What installers make of "NAME.data/purelib/PATH" of a wheel: PATH. Scripts, headers and data go
 * out of the tree: NULL. Other names stay. */
static const char *installed_name(const struct restore_tree *t, const char *archived)
{
    size_t n = strcspn(archived, "/");

    if (!t->info || n <= 5 || strncmp(archived + n - 5, ".data", 5) != 0)
        return archived;
    archived += n + (archived[n] == '/');
    if (strncmp(archived, "purelib/", 8) == 0 || strncmp(archived, "platlib/", 8) == 0)
        return archived + 8;
    return NULL;
}

const char *restore_below_base(const struct restore_tree *t, const char *path)
{
    path += strlen(t->base);
    return *path == '/' ? path + 1 : path;
}

char *restore_path(const struct restore_tree *t, const char *archived, bool *gone)
{
    unsigned depth;
    const char *left;

    archived = installed_name(t, archived);
    *gone = !archived;
    if (*gone)
        return NULL;
    depth = depth_of(archived);
    *gone = t->strip > depth;
    if (*gone)
        return NULL;
    left = t->strip == depth ? "" : path_strip(archived, t->strip);
    return *left ? path_join(t->base, left) : strdup(t->base);
}

/* ---- State ------------------------------------------------------------------------------- */

static int read_state(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(t->home, STATE_NAME);
    struct stat st = {0};
    int res = path ? beneath_read(r->fd, path, STATE_LARGEST, &t->state_text, &st) : -ENOMEM;

    if (res == -ENOENT)
        return 0;
    if (res < 0)
        return error_set(err, -res, path, "cannot be read");
    res = manifest_state_read(&t->state, t->state_text.data, t->state_text.size, path, err);
    t->has_state = res == 0;
    t->state_uid = st.st_uid;
    return res;
}

/* The paths that the base had for Python when caches were last named for them. */
static int find_old_bases(struct restore_tree *t, const char *prefix, struct wp_error *err)
{
    const char *below = "";

    if (!t->has_state)
        return 0;
    if (t->strip > t->state.strip && depth_of(prefix) > t->state.strip)
        below = path_strip(prefix, t->state.strip);
    t->old_bases = calloc(t->state.root_count + 1, sizeof *t->old_bases);
    if (!t->old_bases)
        return error_nomem(err);
    for (size_t i = 0; i < t->state.root_count; i++) {
        const char *root = t->state.roots[i];

        t->old_bases[i] = *below ? path_join(root, below) : strdup(root);
        if (!t->old_bases[i])
            return error_nomem(err);
    }
    return 0;
}

/* Where the cache root of earlier times is now: it has moved with the tree if it lay in it. */
static int find_old_root(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    const char *named = t->has_state ? t->state.cache_root : NULL;
    _cleanup_free_ char *old = named && *named == '/' ? path_normalise(named) : NULL;

    if (!named || *named != '/')
        return 0;
    if (!old)
        return error_nomem(err);
    for (char **base = t->old_bases; *base && !t->old_root; base++) {
        _cleanup_free_ char *now = path_join(r->dir_path, t->base);
        const char *below = old + strlen(*base);

        if (!path_is_under(old, *base))
            continue;
        while (*below == '/')
            below++;
        t->old_root = !now ? NULL : *below ? path_join(now, below) : strdup(now);
        if (!t->old_root)
            return error_nomem(err);
    }
    if (!t->old_root)
        t->old_root = take_ptr(old);
    return 0;
}

/* ---- Manifests --------------------------------------------------------------------------- */

void restore_tree_clear(struct restore_tree *t)
{
    staging_free(t->staging);
    layout_clear(&t->layout);
    for (size_t i = 0; t->files && i < t->m.entry_count; i++)
        free(t->files[i].path);
    for (size_t i = 0; i < t->dir_count; i++) {
        free(t->dirs[i].archived);
        free(t->dirs[i].path);
    }
    for (char **b = t->old_bases; b && *b; b++)
        free(*b);
    for (size_t i = 0; i < t->inside_count; i++)
        free(t->insides[i]);
    free(t->insides);
    cleanup_close(&t->lock);
    cleanup_close(&t->foreign);
    cleanup_close(&t->old_fd);
    cleanup_close(&t->cache_fd);
    cleanup_close(&t->user_fd);
    manifest_clear(&t->m);
    manifest_state_clear(&t->state);
    buf_free(&t->state_text);
    free(t->files);
    free(t->dirs);
    free(t->old_bases);
    free(t->old_root);
    free(t->home);
    free(t->name);
    free(t->base);
    free(t->foreign_home);
    free(t->state_cache_dir);
}

static struct restore_tree *add_tree(struct restore *r)
{
    struct restore_tree *t;

    if (array_grow(r->trees, r->tree_count) < 0)
        return NULL;
    t = &r->trees[r->tree_count++];
    *t = (struct restore_tree){
        .lock = -1, .foreign = -1, .old_fd = -1, .cache_fd = -1, .user_fd = -1};
    return t;
}

static int read_manifest(struct restore *r, struct restore_tree *t, int fd, const char *path,
                         struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    unsigned char digest[SHA256_SIZE];
    int res = beneath_read(fd, path, MANIFEST_LARGEST, &text, NULL);

    if (res < 0)
        return error_set(err, -res, t->name, "cannot be read");
    sha256_of(text.data, text.size, digest);
    hex_encode(digest, sizeof digest, t->archive);
    return manifest_read(&t->m, text.data, text.size, t->name, r->pool, err);
}

int restore_take_home(struct restore *r, const char *home, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(home, MANIFEST_NAME);
    _cleanup_free_ char *prefix = NULL;
    struct restore_tree *t;
    struct stat st;
    unsigned depth;
    int res;

    if (!path)
        return error_nomem(err);
    if (beneath_stat(r->fd, path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    t = add_tree(r);
    if (!t)
        return error_nomem(err);
    t->home = strdup(home);
    t->name = path_join(r->dir, path);
    t->base = strndup(home, (size_t)restore_home_prefix(home));
    t->info = !is_own_place(home);
    if (!t->home || !t->name || !t->base)
        return error_nomem(err);
    res = restore_lock(r, t, err);
    if (res == 0)
        res = read_manifest(r, t, r->fd, path, err);
    if (res == 0)
        res = read_state(r, t, err);
    if (res < 0)
        return res;
    prefix = archive_prefix(&t->m);
    if (!prefix)
        return error_nomem(err);
    depth = depth_of(prefix);
    t->strip = t->has_state && t->state.strip > depth ? t->state.strip : depth;
    if (t->strip > MOST_STRIP)
        return error_set(err, 0, t->name, "its state strips more components than names have");
    res = find_old_bases(t, prefix, err);
    return res < 0 ? res : find_old_root(r, t, err);
}

/* ---- --manifest -------------------------------------------------------------------------- */

/* How many sources would be found with N components stripped? */
static size_t count_sources(const struct restore *r, const struct manifest *m, unsigned n)
{
    size_t count = 0;

    for (size_t i = 0; i < m->index_count; i++) {
        const char *path = m->indexes[i].source ? path_strip(m->indexes[i].source, n) : NULL;
        struct stat st;

        count += path && beneath_stat(r->fd, path, &st) == 0;
    }
    return count;
}

/* Opens the archive that was unpacked where the manifest DIR/manifest.jsonl lies. */
static int open_foreign(struct restore_tree *t, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *physical = path_physical(path);
    _cleanup_free_ char *home = physical ? path_dir(physical) : NULL;
    _cleanup_free_ char *above = NULL;
    int n = home ? restore_home_prefix(home) : -1;

    if (!home)
        return error_set(err, errno, path, "cannot be read");
    /* A manifest that was copied out has its caches beside it, if anywhere. */
    above = n >= 0 ? strndup(home, (size_t)n) : strdup(home);
    if (!above)
        return error_nomem(err);
    t->foreign = open(*above ? above : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->foreign < 0)
        return error_set(err, errno, above, "cannot be opened");
    t->foreign_home = strdup(n >= 0 ? home + strlen(above) + 1 : "");
    return t->foreign_home ? 0 : error_nomem(err);
}

/* Does PATH lie in the tree, where its own manifests lie? Then its home there; NULL otherwise. */
static char *own_home(const struct restore *r, const char *path)
{
    _cleanup_free_ char *tree = path_physical(r->dir);
    _cleanup_free_ char *physical = path_physical(path);
    _cleanup_free_ char *home = physical ? path_dir(physical) : NULL;
    size_t n = tree ? strlen(tree) : 0;

    if (!tree || !home || !path_is_under(home, tree) || strcmp(path_base(physical), MANIFEST_NAME))
        return NULL;
    while (home[n] == '/')
        n++;
    return restore_home_prefix(home + n) >= 0 ? strdup(home + n) : NULL;
}

static int take_manifest(struct restore *r, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *home = own_home(r, path);
    _cleanup_free_ char *prefix = NULL;
    struct restore_tree *t;
    size_t best = 0;
    int res;

    if (home)
        return restore_take_home(r, home, err);
    t = add_tree(r);
    if (!t)
        return error_nomem(err);
    r->grafting = true;
    t->name = strdup(path);
    t->base = strdup("");
    if (!t->name || !t->base)
        return error_nomem(err);
    res = open_foreign(t, path, err);
    if (res == 0) {
        _cleanup_free_ char *below = path_join(t->foreign_home, path_base(path));

        res = below ? read_manifest(r, t, t->foreign, below, err) : error_nomem(err);
    }
    if (res < 0)
        return res;
    prefix = archive_prefix(&t->m);
    if (!prefix)
        return error_nomem(err);
    t->foreign_strip = depth_of(prefix);
    for (unsigned n = 0; n <= MOST_STRIP; n++) {
        size_t count = count_sources(r, &t->m, n);

        if (count > best) {
            best = count;
            t->strip = n;
        }
    }
    return 0;
}

int restore_find(struct restore *r, struct wp_error *err)
{
    int res = r->o->manifest ? take_manifest(r, r->o->manifest, err) : restore_walk(r, err);

    if (res < 0 || r->tree_count)
        return res;
    error_set(
        err, 0, r->dir,
        "no manifest of warmpack is in it, nor below: is it the directory that an archive was "
        "unpacked in?");
    return -ENOENT;
}
