/* Rewrites the stamps of indexes in place. */

#include "restamp.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/own_names.h"
#include "base/path.h"
#include "base/temporary.h"
#include "judge/as_packed.h"
#include "numba/index.h"
#include "tree/behind.h"
#include "tree/beneath.h"

enum { LARGEST = 1 << 28 }; /* bytes of an index or .pyc that are looked at */

/* ---- A new file in place of an old one --------------------------------------------------- */

static int fill(int fd, const void *data, size_t n, const struct stat *like,
                const struct timespec *mtime)
{
    struct timespec times[2] = {like->st_atim, mtime ? *mtime : like->st_mtim};
    int r = file_write(fd, data, n);

    if (r < 0)
        return r;
    /* Only root can give a file away; to whom a file of ours is readable, the mode says. */
    if (fchown(fd, like->st_uid, like->st_gid) < 0 && geteuid() == 0)
        return -errno;
    if (fchmod(fd, like->st_mode & 0777) < 0 || futimens(fd, times) < 0)
        return -errno;
    return 0;
}

/* Is the file called NAME the one that ST was taken of? 1, 0 or negative errno. */
static int is_still(int dir, const char *name, const struct stat *st)
{
    struct stat now;

    if (fstatat(dir, name, &now, 0) < 0)
        return error_is_absence(-errno) ? 0 : -errno;
    return file_is_same(&now, st);
}

static int replace(int fd, const char *path, const void *data, size_t n, const struct stat *like,
                   const struct timespec *mtime, bool was_read)
{
    const char *name;
    _cleanup_close_ int dir = beneath_parent(fd, path, &name);
    _cleanup_free_ char *temporary = NULL;
    int out, r;

    if (dir < 0)
        return dir;
    out = temporary_make(dir, OWN_REPLACING, 0600, &temporary);
    if (out < 0)
        return out;
    r = fill(out, data, n, like, mtime);
    if (r == 0 && was_read)
        r = is_still(dir, name, like);
    else if (r == 0)
        r = 1;
    if (r > 0)
        return temporary_rename(dir, temporary, &out, name);
    close(out);
    (void)!unlinkat(dir, temporary, 0);
    return r == 0 ? -EBUSY : r;
}

int restamp_replace(int fd, const char *path, const void *data, size_t n, const struct stat *like,
                    const struct timespec *mtime)
{
    return replace(fd, path, data, n, like, mtime, false);
}

int restamp_replace_read(int fd, const char *path, const void *data, size_t n,
                         const struct stat *read, const struct timespec *mtime)
{
    return replace(fd, path, data, n, read, mtime, true);
}

int restamp_put(int fd, const char *path, const struct buf *text, const struct timespec *mtime)
{
    struct stat like = {.st_mode = 0644, .st_uid = geteuid(), .st_gid = getegid()};
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    (void)beneath_stat(fd, path, &like);
    return restamp_replace(fd, path, text->data, text->size, &like, mtime ? mtime : &now);
}

int restamp_read(int fd, const char *path, struct buf *out, struct stat *st)
{
    const char *name;
    int r = beneath_read(fd, path, LARGEST, out, st);
    _cleanup_close_ int dir = r == -ELOOP ? beneath_parent(fd, path, &name) : -1;

    return dir < 0 ? r : behind_read(dir, name, LARGEST, out, st);
}

/* ---- Indexes ----------------------------------------------------------------------------- */

/* Is the index TEXT, with its data, but for its stamp the one that was packed? 1, 0 or negative
 * errno. */
static int is_as_packed(int fd, const char *path, const struct index *index, const struct buf *text,
                        const struct manifest *m, const struct manifest_index *line)
{
    int r = as_packed_index(index, text, m, line);

    return r > 0 ? as_packed_data(fd, path, index, m, line) : r;
}

/* Does the index belong to the source's content? 1, 0 or negative errno. */
static int is_known(int fd, const char *path, const struct index *index, const struct buf *text,
                    const struct restamp_source *source, const struct manifest *m,
                    const struct manifest_index *line)
{
    const struct entry *e = source->packed;

    if (line && !line->valid)
        return false;
    if (stamp_matches(&index->stamp, source->before, e->size, e->sha256) == 1)
        return true;
    if (line && line->has_stamp && stamp_equal(&line->stamp, &index->stamp))
        return 1;
    return line ? is_as_packed(fd, path, index, text, m, line) : 0;
}

/* Reads the index; it points into TEXT. 1; 0: whoever judges it says why it is of no use; negative
 * errno. */
static int read_index(int fd, const char *path, struct index *index, struct buf *text,
                      struct stat *st)
{
    int r = restamp_read(fd, path, text, st);

    if (r < 0)
        return beneath_is_out_of_reach(r) ? 0 : r;
    r = index_read(index, text->data, text->size, NULL);
    return r == -ENOMEM ? r : r == 0;
}

int restamp_is_other(int fd, const char *path, const struct restamp_source *source,
                     const struct manifest *m, const struct manifest_index *line)
{
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_buf_ struct buf text = {0};
    struct stat st;
    int r = read_index(fd, path, &index, &text, &st);

    if (r <= 0 || index.stamp.kind == WP_STAMP_CONTENT)
        return r < 0 ? r : 0;
    r = is_known(fd, path, &index, &text, source, m, line);
    return r < 0 ? r : !r;
}

int restamp_is_packed(int fd, const char *path, const struct manifest *m,
                      const struct manifest_index *line)
{
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_buf_ struct buf text = {0};
    struct stat st;
    int r = read_index(fd, path, &index, &text, &st);

    return r > 0 ? is_as_packed(fd, path, &index, &text, m, line) : r;
}

static int rewrite(int fd, const char *path, const struct index *index, const struct buf *text,
                   const struct restamp_source *source, const struct entry *packed,
                   const struct stat *st, bool dry_run, struct wp_error *err)
{
    const struct entry *e = source->packed;
    struct wp_stamp to = stamp_of(index->stamp.kind, source->now, e->size, e->sha256);
    _cleanup_buf_ struct buf out = {0};
    struct wp_error why = {0};
    bool is_packed;
    int r = index_restamp(index, text->data, text->size, &to, &out, &why);

    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0)
        return 0; /* it stays stale, and is reported so */
    /* What is now the very file that was packed gets its time, too: the next run would set it. */
    is_packed = packed && packed->has_sha256 && sha256_is(out.data, out.size, packed->sha256);
    r = dry_run ? 0
                : restamp_replace_read(fd, path, out.data, out.size, st,
                                       is_packed ? &packed->mtime : NULL);
    if (r == -EBUSY)
        return 0; /* whoever put another one there knows better */
    return r < 0 ? error_set(err, -r, path, "cannot change the stamp") : 1;
}

int restamp_index(int fd, const char *path, const struct restamp_source *source,
                  const struct manifest *m, const struct manifest_index *line, bool dry_run,
                  struct wp_error *err)
{
    const struct entry *e = source->packed;
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_buf_ struct buf text = {0};
    struct stat st;
    int r = read_index(fd, path, &index, &text, &st);

    if (r < 0)
        return error_set(err, -r, path, "cannot be read");
    if (r == 0)
        return 0;
    if (stamp_matches(&index.stamp, source->now, e->size, e->sha256) == 1 ||
        index.stamp.kind == WP_STAMP_CONTENT) /* of other content, or of a source in a zip */
        return 0;
    r = is_known(fd, path, &index, &text, source, m, line);
    if (r <= 0)
        return r < 0 ? error_set(err, -r, path, "cannot be read") : 0;
    return rewrite(fd, path, &index, &text, source, m ? manifest_find(m, line->index) : NULL, &st,
                   dry_run, err);
}
