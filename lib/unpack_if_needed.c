/* Unpacking only where it is needed, by one of the processes that ask for it at once. */

#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"

/* Is DIR as this archive and these options would leave it? Finds out without inflating, where the
 * archive says where its manifest lies. */
static int is_current(struct unpack *u, struct wp_error *err)
{
    struct format_reader *reader = u->a->reader;
    _cleanup_buf_ struct buf path = {0}, text = {0};
    _cleanup_free_ char *name = NULL, *home = NULL;
    bool gone;
    int r = reader->ops->manifest(reader, &path, &text, err);

    if (r <= 0)
        return r;
    if (buf_terminate(&path) < 0)
        return error_nomem(err);
    name = unpack_name(u, (const char *)path.data, &gone);
    home = name ? path_dir(name) : NULL;
    if (!home)
        return error_nomem(err);
    if (!path_is_safe(home))
        return error_set(err, 0, home, "would lead outside the directory: refused");
    r = unpack_add_physical_root(u, err);
    if (r == 0)
        r = unpack_state_current(u, home, text.data, text.size);
    free(u->roots[1] && !u->o->runtime_roots ? take_ptr(u->roots[1]) : NULL);
    return r;
}

/* mkdir -p; how many directories had to be made, or -1 with errno. */
static int make_directories(const char *path)
{
    _cleanup_free_ char *above = path_dir(path);
    int made;

    if (mkdir(path, 0777) == 0)
        return 1;
    if (errno == EEXIST)
        return 0;
    if (errno != ENOENT || !above || !*above || (made = make_directories(above)) < 0)
        return -1;
    if (mkdir(path, 0777) == 0)
        return made + 1;
    return errno == EEXIST ? made : -1;
}

/* Removes the last MADE directories of PATH again, as far as they are empty. */
static void unmake_directories(const char *path, int made)
{
    _cleanup_free_ char *above = path_dir(path);

    if (made > 0 && rmdir(path) == 0 && above)
        unmake_directories(above, made - 1);
}

/* Waits for a lock that processes unpacking into DIR at once share. Its file goes away with it:
 * whoever gets the lock looks whether the file is still the one that he opened. */
static int lock_dir(const struct unpack *u, char **path, int *made, struct wp_error *err)
{
    *path = path_join(u->dir_path, ".warmpack.lock");
    if (!*path)
        return error_nomem(err);
    for (;;) {
        _cleanup_close_ int fd = open(*path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        struct stat a, b;

        if (fd < 0 && errno == ENOENT) {
            int n = make_directories(u->dir_path);

            if (n < 0)
                return error_set(err, errno, u->dir_path, "cannot be made");
            *made += n;
            continue;
        }
        if (fd < 0)
            return error_set(err, errno, *path, "cannot open the lock");
        while (flock(fd, LOCK_EX) < 0) {
            if (errno != EINTR || unpack_interrupted(u))
                return error_set(err, errno, *path, "cannot lock");
        }
        if (fstat(fd, &a) == 0 && lstat(*path, &b) == 0 && a.st_dev == b.st_dev &&
            a.st_ino == b.st_ino)
            return take_fd(&fd);
    }
}

int unpack_if_needed(struct unpack *u, struct wp_error *err)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_close_ int lock = -1;
    int made = 0;
    int r = is_current(u, err);

    if (r == 0) {
        lock = lock_dir(u, &path, &made, err);
        if (lock < 0)
            return lock;
        r = is_current(u, err); /* another process may have done it meanwhile */
    }
    if (r > 0) {
        u->result->unchanged = true;
        r = 0;
    } else if (r == 0) {
        r = unpack_staged(u, err);
    }
    if (lock >= 0)
        unlink(path);
    if (r < 0)
        unmake_directories(u->dir_path, made);
    return r;
}
