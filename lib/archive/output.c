/* Writes the archive under a temporary name, and gives it its own once it is whole. */

#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"

/* A name beside TARGET that nobody else uses. */
static char *temporary_name(const char *target)
{
    _cleanup_free_ char *dir = path_dir(target);
    unsigned random[2];
    char *out = NULL;

    if (!dir || getrandom(random, sizeof random, 0) != sizeof random)
        return NULL;
    if (asprintf(&out, "%s%s.%.200s.%08x%08x", dir, *dir || target[0] == '/' ? "/" : "",
                 path_base(target), random[0], random[1]) < 0)
        return NULL;
    return out;
}

/* A file that has no name yet, so that a kill leaves nothing; where the filesystem cannot do
 * that, one with a temporary name. */
static int open_temporary(struct output *o, mode_t mode, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(o->target);

    if (!dir)
        return error_nomem(err);
    o->fd = open(*dir                  ? dir
                 : o->target[0] == '/' ? "/"
                                       : ".",
                 O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (o->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        o->temporary = temporary_name(o->target);
        if (!o->temporary)
            return error_nomem(err);
        o->fd = open(o->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
        if (o->fd < 0) {
            int saved = errno;

            free(take_ptr(o->temporary));
            errno = saved;
        }
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
    if (!exists && !error_is_absence(errno))
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
    o->target = exists ? path_physical(name) : strdup(name);
    if (!o->target)
        return error_set(err, errno, name, "cannot be found");
    if (!exists && lstat(name, &st) == 0)
        return error_set(err, 0, name, "is a symbolic link to nothing");
    if (exists)
        mode = st.st_mode & 0777;
    r = open_temporary(o, mode, err);
    if (r < 0)
        return r;
    if (exists && fchmod(o->fd, mode) < 0)
        return error_set(err, errno, name, "cannot set the mode of the archive");
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
    char self[64];

    o->temporary = temporary_name(o->target);
    if (!o->temporary)
        return error_nomem(err);
    snprintf(self, sizeof self, "/proc/self/fd/%d", o->fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, o->temporary, AT_SYMLINK_FOLLOW) == 0 ||
        linkat(o->fd, "", AT_FDCWD, o->temporary, AT_EMPTY_PATH) == 0)
        return 0;
    free(take_ptr(o->temporary));
    return error_set(err, errno, o->name, "cannot give the archive its name");
}

int output_commit(struct output *o, struct wp_error *err)
{
    int fd, r;

    if (!o->direct && !o->temporary) {
        r = link_temporary(o, err);
        if (r < 0)
            return r;
    }
    fd = take_fd(&o->fd);
    if (close(fd) < 0 && errno != EINTR)
        return error_set(err, errno, o->name, "cannot write");
    if (o->direct)
        return 0;
    if (rename(o->temporary, o->target) < 0)
        return error_set(err, errno, o->name, "cannot give the archive its name");
    free(take_ptr(o->temporary));
    return 0;
}

void output_close(struct output *o)
{
    if (o->temporary)
        unlink(o->temporary);
    if (o->fd >= 0)
        close(o->fd);
    free(o->temporary);
    free(o->target);
    free(o->name);
    *o = (struct output){.fd = -1};
}
