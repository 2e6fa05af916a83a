/* Reads one manifest: of the tree itself, or one that lies elsewhere. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "tree/beneath.h"
#include "trees.h"

/* Is it warmpack's own directory, and not one in a distribution's metadata? */
static bool is_own_place(const char *home)
{
    const char *place = path_base(home) - 1;
    size_t n = strlen(MANIFEST_DIR);

    return (size_t)(place - home) >= n && strncmp(place - n, MANIFEST_DIR, n) == 0;
}

static int read_text(const struct trees *trees, struct tree_manifest *t, int fd, const char *path,
                     struct wp_error *err)
{
    struct stat st;
    _cleanup_close_ int file = beneath_open_file(fd, path, &st);
    int r = file < 0 ? file : st.st_size > MANIFEST_LARGEST ? -EFBIG : 0;

    if (r < 0)
        return error_set(err, -r, t->name, "cannot be read");
    r = manifest_read_file(&t->m, file, (size_t)st.st_size, t->name, trees->pool, err);
    if (r == 0 && trees->trust)
        r = trust_check(trees->trust, &t->m, t->name, err);
    if (r < 0)
        return r;
    t->device = st.st_dev;
    t->inode = st.st_ino;
    t->prefix = trees_archive_prefix(&t->m);
    return t->prefix ? 0 : error_nomem(err);
}

/* Fills T with what HOME tells. */
static int name_home(const struct trees *trees, struct tree_manifest *t, const char *home,
                     struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(home, MANIFEST_NAME);
    int n = own_home_prefix(home);

    *t = (struct tree_manifest){.foreign = -1,
                                .home = strdup(home),
                                .name = path ? path_join(trees->dir, path) : NULL,
                                .base = strndup(home, n > 0 ? (size_t)n : 0),
                                .info = !is_own_place(home)};
    return t->home && t->name && t->base ? 0 : error_nomem(err);
}

int tree_manifest_read(const struct trees *trees, struct tree_manifest *t, const char *home,
                       struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(home, MANIFEST_NAME);
    struct stat st;
    int r = name_home(trees, t, home, err);

    if (r < 0 || !path)
        return error_nomem(err);
    r = beneath_look(trees->fd, path, &st);
    if (r < 0)
        return error_set(err, -r, t->name, "cannot be read");
    if (r == 0 || !S_ISREG(st.st_mode))
        return 0;
    r = read_text(trees, t, trees->fd, path, err);
    return r < 0 ? r : 1;
}

int tree_manifest_borrow(const struct trees *trees, struct tree_manifest *t,
                         const struct manifest *m, const char *home, unsigned strip,
                         struct wp_error *err)
{
    int r = name_home(trees, t, home, err);

    t->m = *m;
    t->prefix = trees_archive_prefix(m);
    if (r < 0 || !t->prefix)
        return error_nomem(err);
    t->strip = path_depth(t->prefix);
    if (t->strip < strip)
        t->strip = strip;
    return 0;
}

/* ---- Elsewhere --------------------------------------------------------------------------- */

/* The number of sources that are found with N components stripped. */
static size_t count_sources(const struct trees *trees, const struct manifest *m, unsigned n)
{
    size_t count = 0;

    for (size_t i = 0; i < m->index_count; i++) {
        const char *path = m->indexes[i].source ? path_strip(m->indexes[i].source, n) : NULL;
        struct stat st;

        count += path && beneath_stat(trees->fd, path, &st) == 0;
    }
    return count;
}

/* Opens the archive that was unpacked where the manifest DIR/manifest.jsonl lies. */
static int open_foreign(struct tree_manifest *t, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *physical = realpath(path, NULL);
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

/* As many components are stripped as lets most sources be found. */
static void choose_strip(const struct trees *trees, struct tree_manifest *t)
{
    size_t best = 0;

    for (unsigned n = 0; n <= TREES_MOST_STRIP; n++) {
        size_t count = count_sources(trees, &t->m, n);

        if (count > best) {
            best = count;
            t->strip = n;
        }
    }
}

int tree_manifest_read_foreign(const struct trees *trees, struct tree_manifest *t, const char *path,
                               struct wp_error *err)
{
    _cleanup_free_ char *below = NULL;
    int r;

    *t = (struct tree_manifest){.foreign = -1, .name = strdup(path), .base = strdup("")};
    if (!t->name || !t->base)
        return error_nomem(err);
    r = open_foreign(t, path, err);
    if (r < 0)
        return r;
    below = path_join(t->foreign_home, path_base(path));
    r = below ? read_text(trees, t, t->foreign, below, err) : error_nomem(err);
    if (r < 0)
        return r;
    t->foreign_strip = path_depth(t->prefix);
    choose_strip(trees, t);
    return 0;
}

void tree_manifest_clear(struct tree_manifest *t)
{
    tree_state_clear(t);
    buf_free(&t->state_text);
    for (size_t i = 0; i < t->dir_count; i++) {
        free(t->dirs[i].archived);
        free(t->dirs[i].path);
    }
    if (t->foreign >= 0)
        close(t->foreign);
    manifest_clear(&t->m);
    free(t->dirs);
    path_list_clear(&t->insides);
    free(t->packed_root);
    free(t->foreign_home);
    free(t->prefix);
    free(t->base);
    free(t->name);
    free(t->home);
    *t = (struct tree_manifest){.foreign = -1};
}
