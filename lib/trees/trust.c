/* Tells how far state.jsonl is to be believed. It lies in the tree, and a tree may have come from
 * anybody: a tool that unpacks what it is given unpacks a state.jsonl, too. In the tree it may say
 * what it likes. Of a cache root outside of it, it is believed
 *
 * - where whoever wrote it could have written there: it is ours, root's, or belongs to the owner of
 *   that directory; or the same directory is named on the command line;
 * - where caches of this very tree lie there: under a name that one of its source directories has,
 *   now or by an earlier path, an index that fits a source of the tree.
 *
 * From there only indexes that fit one are taken. So a state that names another tree, and the cache
 * root of somebody else, gets nothing moved, copied or made there. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "manifest/zipped_sources.h"
#include "numba/caches.h"
#include "numba/index.h"
#include "numba/places.h"
#include "numba/zipped.h"
#include "tree/beneath.h"
#include "trees.h"

/* ---- Indexes ----------------------------------------------------------------------------- */

/* Is the stamp one that the manifest knows, or that a source which is as packed had till now? Times
 * to the nanosecond are hard to guess. */
static bool is_of_archive(const struct tree_trust *trust, const struct wp_stamp *stamp,
                          const char *name, const char *module, size_t dir)
{
    const struct manifest_index *line = tree_index_line(trust->t, dir, name);
    _cleanup_free_ char *archived = path_join(trust->t->dirs[dir].archived, module);

    return (line && line->has_stamp && stamp_equal(&line->stamp, stamp)) ||
           (archived && trust->is_of_source(trust->ctx, archived, stamp));
}

/* Is it of the file that lies at SOURCE of the tree now? Not through a link, which could lead to
 * the source of another tree. 1, 0 or negative errno. */
static int is_of_file(const struct trees *trees, const struct wp_stamp *stamp, const char *source)
{
    _cleanup_free_ char *zip = zipped_file(source);
    struct stat st;
    _cleanup_close_ int fd = beneath_open_file(trees->fd, zip ? zip : source, &st);
    bool by_content = stamp->kind == WP_STAMP_CONTENT && !zip;
    unsigned char digest[SHA256_SIZE];
    int r = fd >= 0 && by_content ? sha256_of_file(fd, digest) : fd;

    if (r < 0)
        return beneath_is_no_file(r) ? 0 : r;
    return stamp_matches(stamp, st.st_mtim, (uint64_t)st.st_size, by_content ? digest : NULL) == 1;
}

static bool exists(void *ctx, const char *path)
{
    const struct trees *trees = ctx;

    return zipped_sources_exist(trees->fd, path);
}

int tree_fits(const struct tree_trust *trust, int fd, const char *name, size_t dir)
{
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_buf_ struct buf text = {0};
    _cleanup_free_ char *source = NULL;
    bool found;
    int r = beneath_read(fd, name, INDEX_LARGEST, &text, NULL);

    if (r < 0)
        return beneath_is_no_file(r) ? 0 : r;
    r = index_read(&index, text.data, text.size, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    source = caches_source_of(name, trust->t->dirs[dir].path, exists, (void *)trust->trees, &found);
    if (!source)
        return 0;
    return is_of_archive(trust, &index.stamp, name, path_base(source), dir)
               ? 1
               : is_of_file(trust->trees, &index.stamp, source);
}

/* ---- Cache roots ------------------------------------------------------------------------- */

/* Does an index of source directory DIR of the tree lie in directory NAME of cache root FD? 1, 0 or
 * negative errno. */
static int holds_own(const struct tree_trust *trust, int fd, const char *name, size_t dir)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    int r = beneath_list(fd, name, &d), fits = 0;

    while (r > 0 && fits == 0 && (r = file_next(d, &item)) > 0)
        if (caches_is_index(item->d_name))
            fits = tree_fits(trust, dirfd(d), item->d_name, dir);
    return fits ? fits : r;
}

/* Does one of the names lie there that BASES give to the source directories? BELOW_BASE: the bases
 * are paths of the tree's own base, not of the directory that is repaired. */
static int holds_names(const struct tree_trust *trust, int fd, char **bases, bool below_base)
{
    const struct tree_manifest *t = trust->t;
    int r = 0;

    for (char **base = bases; base && *base; base++) {
        for (size_t i = 0; i < t->dir_count; i++) {
            const char *below = below_base ? path_from(t->dirs[i].path, t->base) : t->dirs[i].path;
            _cleanup_free_ char *path = path_append(*base, below);
            _cleanup_free_ char *name = path ? places_hash_name(path) : NULL;

            r = name ? holds_own(trust, fd, name, i) : 0;
            if (r != 0)
                return r;
        }
    }
    return 0;
}

static bool may_be_told(const struct tree_manifest *t, const struct stat *st)
{
    return t->state_uid == geteuid() || t->state_uid == 0 || t->state_uid == st->st_uid;
}

int tree_trusts_old_root(const struct tree_trust *trust, char **roots, const char *cache_dir,
                         const struct wp_context *context, struct wp_error *err)
{
    const struct tree_manifest *t = trust->t;
    _cleanup_free_ char *given = cache_dir ? path_absolute(cache_dir) : NULL;
    _cleanup_free_ char *base = tree_place(trust->trees, t);
    _cleanup_close_ int fd = -1;
    const char *why;
    struct stat st;
    int r;

    if (!base || (cache_dir && !given))
        return error_nomem(err);
    if (!t->old_root || path_is_under(t->old_root, base))
        return 1;
    fd = open(t->old_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && (error_is_absence(-errno) || errno == EACCES))
        return TREE_ROOT_AWAY;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, errno, t->old_root, "cannot open the cache directory");
    if (!(given && strcmp(given, t->old_root) == 0) && !may_be_told(t, &st))
        why = "belongs to somebody else than who wrote that";
    else {
        r = holds_names(trust, fd, roots, false);
        if (r == 0)
            r = holds_names(trust, fd, t->old_bases, true);
        if (r == -EACCES)
            return TREE_ROOT_AWAY;
        if (r < 0)
            return error_set(err, -r, t->old_root, "cannot read the cache directory");
        if (r > 0)
            return 1;
        why = "holds no cache of a source in this tree";
    }
    report(context, WP_WARNING, t->name,
           "the state beside it names the cache directory %s, which %s: it is left alone",
           t->old_root, why);
    return 0;
}
