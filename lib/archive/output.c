/* Writes the archive under a temporary name, and gives it its own once it is whole. */

#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/temporary.h"

enum { POUR = 256 << 10 }; /* bytes at once */

/* Temporary names begin so: where TARGET's is long, with a part of it. */
char *output_prefix(const struct output *o)
{
    char *out = NULL;

    return asprintf(&out, ".%.200s.", o->base) < 0 ? NULL : out;
}

/* A file that has no name yet, so that a kill leaves nothing; where the filesystem cannot do
 * that, one with a temporary name. What killed runs have left of the same archive goes. */
int output_begin(struct output *o, mode_t mode, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(o->target);
    _cleanup_free_ char *prefix = NULL;

    o->base = (char *)path_base(o->target);
    prefix = output_prefix(o);
    if (!dir || !prefix)
        return error_nomem(err);
    o->dir = open(*dir ? dir : o->target[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (o->dir < 0)
        return error_set(err, errno, o->name, "cannot create the archive");
    (void)temporary_sweep(o->dir, prefix, NULL);
    o->fd = openat(o->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (o->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        o->fd = temporary_make(o->dir, prefix, mode, &o->temporary);
        if (o->fd < 0)
            return error_set(err, -o->fd, o->name, "cannot create the archive");
    }
    return o->fd < 0 ? error_set(err, errno, o->name, "cannot create the archive") : 0;
}

int output_open(struct output *o, const char *name, const struct wp_context *context,
                struct wp_error *err)
{
    struct stat st;
    mode_t mode = 0666;
    bool exists;
    int r;

    *o = (struct output){.fd = -1,
                         .dir = -1,
                         .name = strdup(strcmp(name, "-") ? name : "standard output"),
                         .interrupted = context_interrupted(context)};
    if (!o->name)
        return error_nomem(err);
    if (strcmp(name, "-") == 0) {
        o->direct = true;
        o->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        return o->fd < 0 ? error_set(err, errno, o->name, "cannot be written") : 0;
    }
    exists = stat(name, &st) == 0;
    if (!exists && !error_is_absence(-errno))
        return error_set(err, errno, name, "cannot create the archive");
    if (exists && S_ISDIR(st.st_mode))
        return error_set(err, EISDIR, name, "cannot create the archive");
    if (exists && !S_ISREG(st.st_mode)) {
        o->direct = true;
        o->fd = open(name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return o->fd < 0 ? error_set(err, errno, name, "cannot be written") : 0;
    }
    if (exists && access(name, W_OK) < 0)
        return error_set(err, errno, name, "cannot be replaced");
    o->target = exists ? realpath(name, NULL) : strdup(name);
    if (!o->target)
        return error_set(err, errno, name, "cannot be found");
    if (!exists && lstat(name, &st) == 0)
        return error_set(err, 0, name, "is a symbolic link to nothing");
    if (exists)
        mode = st.st_mode & 0777;
    r = output_begin(o, mode, err);
    if (r < 0)
        return r;
    if (exists && fchmod(o->fd, mode) < 0)
        return error_set(err, errno, name, "cannot set the mode of the archive");
    o->replaces = exists;
    return 0;
}

int output_let_run(struct output *o, struct wp_error *err)
{
    struct stat st;

    if (o->direct || o->replaces)
        return 0;
    if (fstat(o->fd, &st) < 0 || fchmod(o->fd, st.st_mode | (st.st_mode & 0444) >> 2) < 0)
        return error_set(err, errno, o->name, "cannot set the mode of the archive");
    return 0;
}

int output_write(struct output *o, const void *data, size_t n, struct wp_error *err)
{
    const char *p = data;

    while (n) {
        if (file_wait(o->fd, POLLOUT, o->interrupted) < 0)
            return error_set(err, EINTR, o->name, "cannot write");
        ssize_t r = write(o->fd, p, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return error_set(err, errno, o->name, "cannot write");
        p += r;
        n -= (size_t)r;
        o->written += (uint64_t)r;
    }
    return 0;
}

int output_patch(struct output *o, uint64_t offset, const void *data, size_t n,
                 struct wp_error *err)
{
    int r = file_write_at(o->fd, data, n, offset);

    return r < 0 ? error_set(err, -r, o->name, "cannot write") : 0;
}

int output_restart(struct output *o, struct wp_error *err)
{
    if (o->direct)
        return o->written ? -EBUSY : 0;
    if (ftruncate(o->fd, 0) < 0 || lseek(o->fd, 0, SEEK_SET) < 0)
        return error_set(err, errno, o->name, "cannot write");
    o->written = 0;
    return 0;
}

/* Gives the nameless file a temporary name: linkat cannot replace a file, rename can. */
static int link_temporary(struct output *o, struct wp_error *err)
{
    _cleanup_free_ char *prefix = output_prefix(o);
    int r = prefix ? temporary_link(o->dir, prefix, o->fd, &o->temporary) : -ENOMEM;

    return r < 0 ? error_set(err, -r, o->name, "cannot give the archive its name") : 0;
}

/* EINVAL: there is nothing that could be on a disk. */
int output_sync_fd(const struct output *o, int fd, struct wp_error *err)
{
    if (!o->sync || fsync(fd) == 0 || errno == EINVAL)
        return 0;
    return error_set(err, errno, o->name, "cannot be written to the disk");
}

int output_sync_parent(const struct output *o, struct wp_error *err)
{
    _cleanup_close_ int dir =
        o->sync ? openat(o->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (o->sync && dir < 0)
        return error_set(err, errno, o->name, "its name cannot be written to the disk");
    return output_sync_fd(o, dir, err);
}

int output_spool(struct output *o, struct wp_error *err)
{
    int file = file_temporary(err);

    if (file < 0)
        return file;
    o->pipe = o->fd;
    o->fd = file;
    o->is_spooled = true;
    o->direct = false;
    return 0;
}

/* Hands on what was kept in a file. */
static int pour(struct output *o, struct wp_error *err)
{
    _cleanup_free_ unsigned char *data = malloc(POUR);
    _cleanup_close_ int file = o->fd;
    uint64_t at = 0, written = o->written;
    ssize_t n = 0;
    int r = data ? 0 : error_nomem(err);

    o->fd = o->pipe;
    o->is_spooled = false;
    o->direct = true;
    while (r == 0 && (n = file_read_at(file, data, POUR, at)) > 0) {
        r = output_write(o, data, (size_t)n, err);
        at += (uint64_t)n;
    }
    o->written = written;
    return r == 0 && n < 0 ? error_set(err, (int)-n, o->name, "cannot read back") : r;
}

int output_commit(struct output *o, struct wp_error *err)
{
    int r = o->is_spooled ? pour(o, err) : 0;

    if (r == 0 && o->staged)
        return output_dir_commit(o, err);
    r = r < 0 ? r : output_sync_fd(o, o->fd, err);
    if (r < 0)
        return r;
    if (o->direct) {
        int fd = take_fd(&o->fd);

        return close(fd) < 0 && errno != EINTR ? error_set(err, errno, o->name, "cannot write") : 0;
    }
    r = o->temporary ? 0 : link_temporary(o, err);
    if (r < 0)
        return r;
    r = temporary_rename(o->dir, o->temporary, &o->fd, o->base);
    free(take_ptr(o->temporary));
    if (r < 0)
        return error_set(err, -r, o->name, "cannot give the archive its name");
    return output_sync_parent(o, err);
}

void output_close(struct output *o)
{
    if (o->staged)
        output_dir_drop(o);
    if (o->is_spooled)
        cleanup_close(&o->pipe);
    if (o->temporary)
        unlinkat(o->dir, o->temporary, 0);
    if (o->fd >= 0)
        close(o->fd);
    cleanup_close(&o->dir);
    free(o->temporary);
    free(o->target);
    free(o->name);
    *o = (struct output){.fd = -1, .dir = -1};
}
