/* Writes the journal: what a commit does, as text that is whole or counts as not there.
 *
 *   warmpack-journal 1 merge            or "keep": files that exist stay
 *   area .warmpack-AbCdEf /srv/app      staging directory and physical path of each target
 *   mode 0 99 755 555 app/lib           area, inode, new and old mode (octal), path
 *   remove 0 app/old                    the operation's number in the list names what is set aside
 *   put 0 1234 1 app/k.py               area, inode of the staged thing, something is there, path
 *   dir 0 755 -1 -1 1795339396 456441290 app
 *   end 6 SHA256                        of every byte before this line
 *
 * Paths are percent-encoded where a byte would end or disturb a line. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "staging_private.h"

static int add_encoded(struct buf *b, const char *path)
{
    for (const char *p = path; *p;) {
        const char *q = p;
        while ((unsigned char)*q > ' ' && *q != '%' && *q != 0x7f)
            q++;
        int r = buf_add(b, p, (size_t)(q - p));
        if (r == 0 && *q)
            r = buf_printf(b, "%%%02x", (unsigned char)*q++);
        if (r < 0)
            return r;
        p = q;
    }
    return buf_add(b, "\n", 1);
}

static int add_op(struct buf *b, const struct staging_op *op)
{
    int r = 0;
    switch (op->kind) {
    case OP_MODE:
        r = buf_printf(b, "mode %u %" PRIu64 " %o %o ", op->area, (uint64_t)op->ino, op->mode,
                       op->before);
        break;
    case OP_REMOVE:
        r = buf_printf(b, "remove %u ", op->area);
        break;
    case OP_PUT:
        r = buf_printf(b, "put %u %" PRIu64 " %d ", op->area, (uint64_t)op->ino, op->replaces);
        break;
    case OP_DIR:
        r = buf_printf(b, "dir %u %o %lld %lld %lld %ld ", op->area, op->mode,
                       op->uid == (uid_t)-1 ? -1LL : (long long)op->uid,
                       op->gid == (gid_t)-1 ? -1LL : (long long)op->gid,
                       (long long)op->mtime.tv_sec, op->mtime.tv_nsec);
        break;
    }
    return r < 0 ? r : add_encoded(b, op->path);
}

static int compose(struct buf *b, const struct staging_area *areas, size_t n,
                   const struct staging_plan *plan)
{
    int r = buf_printf(b, STAGING_JOURNAL_HEADER "%s\n", plan->keep_old ? "keep" : "merge");
    for (size_t i = 0; i < n && r == 0; i++) {
        r = buf_printf(b, "area %s ", areas[i].name);
        if (r == 0)
            r = add_encoded(b, areas[i].physical);
    }
    for (size_t i = 0; i < plan->count && r == 0; i++)
        r = add_op(b, &plan->ops[i]);
    if (r < 0)
        return r;
    if (b->size > STAGING_JOURNAL_LARGEST)
        return -EFBIG;
    unsigned char digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    sha256_of(b->data, b->size, digest);
    hex_encode(digest, sizeof digest, hex);
    return buf_printf(b, "end %zu %s\n", plan->count, hex);
}

/* EINVAL: the filesystem has no fsync. */
static int sync_fd(int fd)
{
    while (fsync(fd) < 0) {
        if (errno == EINTR)
            continue;
        return errno == EINVAL || errno == EROFS ? 0 : -errno;
    }
    return 0;
}

/* Makes a small file that is on the disk when this returns. */
static int write_file(int dir, const char *name, const void *data, size_t n)
{
    _cleanup_close_ int fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = file_write(fd, data, n);
    if (r == 0)
        r = sync_fd(fd);
    if (r == 0 && close(take_fd(&fd)) < 0 && errno != EINTR)
        r = -errno;
    return r;
}

int staging_journal_point(const struct staging_area *first, const struct staging_area *a,
                          struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(first->physical, first->name);
    if (!path)
        return error_nomem(err);
    int r = write_file(a->stage_fd, STAGING_JOURNAL_AT, path, strlen(path));
    return r < 0 ? error_set(err, -r, a->target, "cannot write to the staging directory") : 0;
}

int staging_journal_write(const struct staging_area *areas, size_t n,
                          const struct staging_plan *plan, struct wp_error *err)
{
    _cleanup_buf_ struct buf b = {0};
    int dir = areas[0].stage_fd;
    int r = compose(&b, areas, n, plan);
    if (r == 0)
        r = staging_step("write journal");
    if (r == 0)
        r = write_file(dir, STAGING_JOURNAL_TMP, b.data, b.size);
    if (r == 0)
        r = staging_step("rename journal");
    if (r == 0 && renameat(dir, STAGING_JOURNAL_TMP, dir, STAGING_JOURNAL) < 0)
        r = -errno;
    if (r == 0) {
        r = sync_fd(dir);
        if (r < 0)
            (void)!unlinkat(dir, STAGING_JOURNAL, 0);
    }
    if (r < 0) {
        (void)!unlinkat(dir, STAGING_JOURNAL_TMP, 0);
        return error_set(err, -r, areas[0].target, "cannot write the journal");
    }
    return 0;
}
