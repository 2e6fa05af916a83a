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
#include "job.h"
#include "tree/beneath.h"

/* ---- Names ------------------------------------------------------------------------------- */

/* Is it warmpack's own directory, and not one in a distribution's metadata? */
static bool is_own_place(const char *home)
{
    const char *place = path_base(home) - 1;
    size_t n = strlen(MANIFEST_DIR);

    return (size_t)(place - home) >= n && strncmp(place - n, MANIFEST_DIR, n) == 0;
}

unsigned restore_depth(const char *path)
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
    int n = m->home ? own_home_prefix(m->home) : -1;

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
    depth = restore_depth(archived);
    *gone = t->strip > depth;
    if (*gone)
        return NULL;
    left = t->strip == depth ? "" : path_strip(archived, t->strip);
    return *left ? path_join(t->base, left) : strdup(t->base);
}

/* ---- Manifests --------------------------------------------------------------------------- */

void restore_tree_close(struct restore_tree *t)
{
    cleanup_close(&t->lock);
    cleanup_close(&t->old_fd);
    cleanup_close(&t->cache_fd);
    cleanup_close(&t->user_fd);
}

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
    restore_state_forget(t);
    for (size_t i = 0; i < t->inside_count; i++)
        free(t->insides[i]);
    free(t->insides);
    restore_tree_close(t);
    cleanup_close(&t->foreign);
    free(t->prefix);
    manifest_clear(&t->m);
    buf_free(&t->state_text);
    free(t->files);
    free(t->dirs);
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
    /* O_NONBLOCK: a FIFO that stands there must not hold us up. */
    _cleanup_close_ int file = beneath_open(fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    unsigned char digest[SHA256_SIZE];
    struct stat st;
    int res = file < 0 ? file : fstat(file, &st) < 0 ? -errno : 0;

    if (res == 0 && !S_ISREG(st.st_mode))
        res = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    if (res == 0 && st.st_size > MANIFEST_LARGEST)
        res = -EFBIG;
    if (res == 0)
        res = sha256_of_file(file, digest);
    if (res < 0)
        return error_set(err, -res, t->name, "cannot be read");
    hex_encode(digest, sizeof digest, t->archive);
    return manifest_read_file(&t->m, file, (size_t)st.st_size, t->name, r->pool, err);
}

static int take_home(struct restore *r, const char *home, const char *path, const struct stat *st,
                     struct wp_error *err)
{
    struct restore_tree *t = add_tree(r);
    int res;

    if (!t)
        return error_nomem(err);
    t->device = st->st_dev;
    t->inode = st->st_ino;
    t->home = strdup(home);
    t->name = path_join(r->dir, path);
    t->base = strndup(home, (size_t)own_home_prefix(home));
    t->info = !is_own_place(home);
    if (!t->home || !t->name || !t->base)
        return error_nomem(err);
    res = read_manifest(r, t, r->fd, path, err);
    if (res < 0)
        return res;
    t->prefix = archive_prefix(&t->m);
    return t->prefix ? restore_state_read(r, t, err) : error_nomem(err);
}

/* Is it this manifest that is to blame, and not the machine or the user? */
static bool is_damage(int res)
{
    return res < 0 && res != -ENOMEM && res != -EINTR && res != -EMFILE && res != -ENFILE;
}

/* The tree that was added last is passed over for WHY. */
static int pass_over(struct restore *r, const struct wp_error *why, struct wp_error *err)
{
    restore_tree_clear(&r->trees[--r->tree_count]);
    if (array_grow(r->damaged, r->damaged_count) < 0)
        return error_nomem(err);
    r->damaged[r->damaged_count++] = *why;
    return 0;
}

int restore_take_home(struct restore *r, const char *home, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(home, MANIFEST_NAME);
    struct wp_error why = {0};
    struct stat st;
    int res;

    if (!path)
        return error_nomem(err);
    if (beneath_stat(r->fd, path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    res = take_home(r, home, path, &st, &why);
    if (is_damage(res))
        return pass_over(r, &why, err);
    if (res < 0 && err && !err->code)
        *err = why;
    return res;
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
    int n = home ? own_home_prefix(home) : -1;

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

    if (!tree || !home || !path_is_under(home, tree) ||
        strcmp(path_base(physical), MANIFEST_NAME) != 0)
        return NULL;
    while (home[n] == '/')
        n++;
    return own_home_prefix(home + n) >= 0 ? strdup(home + n) : NULL;
}

static int take_manifest(struct restore *r, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *home = own_home(r, path);
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
    t->prefix = archive_prefix(&t->m);
    if (!t->prefix)
        return error_nomem(err);
    t->foreign_strip = restore_depth(t->prefix);
    for (unsigned n = 0; n <= RESTORE_MOST_STRIP; n++) {
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
    if (r->damaged_count) {
        if (err && !err->code)
            *err = r->damaged[0];
        return -r->damaged[0].code;
    }
    error_set(
        err, 0, r->dir,
        "no manifest of warmpack is in it, nor below: is it the directory that an archive was "
        "unpacked in?");
    return -ENOENT;
}
