/* Rewrites the stamps of indexes and .pyc files in place. */

#include "restamp.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/own_names.h"
#include "base/path.h"
#include "base/temporary.h"
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

int restamp_replace(int fd, const char *path, const void *data, size_t n, const struct stat *like,
                    const struct timespec *mtime)
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
    if (r == 0)
        return temporary_rename(dir, temporary, &out, name);
    close(out);
    (void)!unlinkat(dir, temporary, 0);
    return r;
}

/* Reads PATH; where a symbolic link stands there, what that leads to: the changed file then takes
 * the link's place. */
static int read_in_place(int fd, const char *path, struct buf *out, struct stat *st)
{
    const char *name;
    int r = beneath_read(fd, path, LARGEST, out, st);
    _cleanup_close_ int dir = r == -ELOOP ? beneath_parent(fd, path, &name) : -1;

    return dir < 0 ? r : behind_read(dir, name, LARGEST, out, st);
}

/* ---- Indexes ----------------------------------------------------------------------------- */

/* Is the index, but for its stamp, byte for byte the one that was packed? It may have been given
 * the time of another place before. 1, 0 or -ENOMEM. */
static int is_packed_text(const struct index *index, const struct buf *text,
                          const struct manifest_index *line, const struct entry *packed)
{
    _cleanup_buf_ struct buf back = {0};
    unsigned char digest[SHA256_SIZE];
    int r;

    if (!packed || !packed->has_sha256 || !line->has_stamp)
        return 0;
    r = index_restamp(index, text->data, text->size, &line->stamp, &back, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    sha256_of(back.data, back.size, digest);
    return memcmp(digest, packed->sha256, sizeof digest) == 0;
}

/* Does the index belong to the source's content? 1, 0 or -ENOMEM. */
static int is_known(const struct index *index, const struct buf *text,
                    const struct restamp_source *source, const struct manifest_index *line,
                    const struct entry *packed)
{
    const struct entry *e = source->packed;

    if (line && !line->valid)
        return false;
    if (stamp_matches(&index->stamp, source->before, e->size, e->sha256) == 1)
        return true;
    if (line && line->has_stamp && stamp_equal(&line->stamp, &index->stamp))
        return 1;
    return line ? is_packed_text(index, text, line, packed) : 0;
}

static int rewrite(int fd, const char *path, const struct index *index, const struct buf *text,
                   const struct restamp_source *source, const struct entry *packed,
                   const struct stat *st, bool dry_run, struct wp_error *err)
{
    const struct entry *e = source->packed;
    struct wp_stamp to = stamp_of(index->stamp.kind, source->now, e->size, e->sha256);
    _cleanup_buf_ struct buf out = {0};
    struct wp_error why = {0};
    bool is_packed = false;
    int r = index_restamp(index, text->data, text->size, &to, &out, &why);

    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0)
        return 0; /* it stays stale, and is reported so */
    /* What is now the very file that was packed gets its time, too: the next run would set it. */
    if (packed && packed->has_sha256) {
        unsigned char digest[SHA256_SIZE];

        sha256_of(out.data, out.size, digest);
        is_packed = memcmp(digest, packed->sha256, sizeof digest) == 0;
    }
    r = dry_run
            ? 0
            : restamp_replace(fd, path, out.data, out.size, st, is_packed ? &packed->mtime : NULL);
    return r < 0 ? error_set(err, -r, path, "cannot change the stamp") : 1;
}

int restamp_index(int fd, const char *path, const struct restamp_source *source,
                  const struct manifest_index *line, const struct entry *packed, bool dry_run,
                  struct wp_error *err)
{
    const struct entry *e = source->packed;
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_buf_ struct buf text = {0};
    struct stat st;
    int r = read_in_place(fd, path, &text, &st);

    if (r < 0 && r != -EACCES && !file_is_unfit(r) && !beneath_is_absence(r))
        return error_set(err, -r, path, "cannot be read");
    if (r == 0)
        r = index_read(&index, text.data, text.size, NULL);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0)
        return 0; /* whoever judges it says why it is of no use */
    if (stamp_matches(&index.stamp, source->now, e->size, e->sha256) == 1 ||
        index.stamp.kind == WP_STAMP_CONTENT) /* of other content, or of a source in a zip */
        return 0;
    r = is_known(&index, &text, source, line, packed);
    if (r <= 0)
        return r < 0 ? error_nomem(err) : 0;
    return rewrite(fd, path, &index, &text, source, packed, &st, dry_run, err);
}

/* ---- .pyc files: PEP 552 ----------------------------------------------------------------- */

enum { PYC_HEADER = 16, PYC_FLAGS = 4, PYC_MTIME = 8, PYC_SIZE = 12 };

static uint32_t get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

/* "MODULE.TAG.pyc" or "MODULE.TAG.opt-N.pyc"? A tag has no dot. */
static bool is_pyc_of(const char *name, const char *module, size_t n)
{
    size_t end = strlen(name);
    const char *tag, *dot;

    if (end < n + 6 || strncmp(name, module, n) != 0 || name[n] != '.' ||
        !path_has_suffix(name, ".pyc"))
        return false;
    tag = name + n + 1;
    dot = strchr(tag, '.');
    return dot == name + end - 4 || strncmp(dot, ".opt-", 5) == 0;
}

/* 1 where the file was changed. */
static int patch_pyc(int fd, const char *path, const struct restamp_source *source, bool dry_run,
                     struct wp_error *err)
{
    uint32_t now = (uint32_t)source->now.tv_sec, size = (uint32_t)source->packed->size, held;
    _cleanup_buf_ struct buf text = {0};
    struct stat st;
    int r = read_in_place(fd, path, &text, &st);

    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0 || text.size < PYC_HEADER || get_u32(text.data + PYC_FLAGS) != 0 ||
        get_u32(text.data + PYC_SIZE) != size)
        return 0;
    held = get_u32(text.data + PYC_MTIME);
    if (held == now ||
        (held != (uint32_t)source->before.tv_sec && held != (uint32_t)source->packed->mtime.tv_sec))
        return 0;
    put_u32(text.data + PYC_MTIME, now);
    r = dry_run ? 0 : restamp_replace(fd, path, text.data, text.size, &st, NULL);
    /* Python can do without: it compiles again. */
    return r == -ENOMEM || r == -ENOSPC || r == -EIO
               ? error_set(err, -r, path, "cannot change the source's time in it")
               : r == 0;
}

int restamp_pyc(int fd, const char *path, const struct restamp_source *source, bool dry_run,
                size_t *count, struct wp_error *err)
{
    const char *module = path_base(path);
    size_t n = strlen(module);
    _cleanup_free_ char *above = path_dir(path);
    _cleanup_free_ char *place = above ? path_join(above, "__pycache__") : NULL;
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    int r;

    if (!place)
        return error_nomem(err);
    if (!path_has_suffix(module, ".py"))
        return 0;
    r = beneath_list(fd, place, &d);
    if (r == -EACCES)
        return 0; /* Python can do without: it compiles again */
    while (r > 0 && (r = file_next(d, &item)) > 0) {
        int changed = is_pyc_of(item->d_name, module, n - 3)
                          ? patch_pyc(dirfd(d), item->d_name, source, dry_run, err)
                          : 0;

        if (!dry_run && temporary_is(item->d_name, OWN_REPLACING))
            temporary_remove_dead(dirfd(d), item->d_name, OWN_LINK_TAIL);
        if (changed < 0)
            return changed;
        *count += (size_t)changed;
    }
    return r < 0 ? error_set(err, -r, place, "cannot read directory") : 0;
}
