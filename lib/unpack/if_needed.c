/* Unpacks only where it is needed, by one of the processes that ask for it at once. */

#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/lock_file.h"
#include "base/path.h"
#include "trees/trees.h"

/* Is the archive whose manifest is TEXT from somebody who is trusted? 1 or negative errno. */
static int check_trust(struct unpack *unpack, const struct buf *text, const char *path,
                       struct wp_error *err)
{
    _cleanup_(manifest_clear) struct manifest m = {0};
    int r = manifest_read(&m, text->data, text->size, path, unpack->a->pool, err);

    if (r == 0)
        r = trust_check(&unpack->trust, &m, path, err);
    return r < 0 ? r : 1;
}

/* As unpack_is_current; *HOME, allocated, is where in DIR the archive's manifest lies. */
static int is_current(struct unpack *unpack, char **home, struct wp_error *err)
{
    struct format_reader *reader = unpack->a->reader;
    _cleanup_buf_ struct buf path = {0}, text = {0};
    _cleanup_free_ char *name = NULL;
    bool gone;
    int r = reader->ops->manifest(reader, &path, &text, err);

    if (r <= 0)
        return r;
    if (buf_terminate(&path) < 0)
        return error_nomem(err);
    name = unpack_name(unpack, (const char *)path.data, &gone);
    *home = name ? path_dir(name) : NULL;
    if (!*home)
        return error_nomem(err);
    if (!path_is_safe(*home))
        return error_set(err, 0, *home, "would lead outside the directory: refused");
    if (access(unpack->dir, F_OK) < 0 && error_is_absence(-errno))
        return 0;
    r = unpack_plan_roots(unpack, err);
    if (r == 0)
        r = unpack_state_current(unpack, *home, text.data, text.size);
    return r > 0 && unpack->trust.count ? check_trust(unpack, &text, (const char *)path.data, err)
                                        : r;
}

int unpack_is_current(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_free_ char *home = NULL;

    return is_current(unpack, &home, err);
}

/* Removes what a killed run has left in a tree that is as it should be. */
static void sweep(const struct unpack *unpack, const char *home)
{
    _cleanup_close_ int fd = open(unpack->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct trees trees = {.dir = unpack->dir, .fd = fd, .context = unpack->a->context};

    (void)trees_sweep(&trees, home);
}

/* mkdir -p: the number of directories that had to be made, or -1 with errno. */
static int make_directories(const char *path)
{
    _cleanup_free_ char *above = path_dir(path);
    int made;

    if (mkdir(path, 0777) == 0)
        return 1;
    if (errno == EEXIST)
        return 0;
    if (!error_is_no_entry(-errno) || !above || !*above || (made = make_directories(above)) < 0)
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

static int open_dir(const struct unpack *unpack, struct unpack_lock *lock, struct wp_error *err)
{
    for (;;) {
        int made;

        cleanup_close(&lock->dir);
        lock->dir = open(unpack->dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (lock->dir < 0 && errno == EACCES)
            lock->dir = open(unpack->dir_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (lock->dir >= 0)
            return 0;
        if (!error_is_no_entry(-errno))
            return error_set(err, errno, unpack->dir_path, "cannot open directory");
        made = make_directories(unpack->dir_path);
        if (made < 0)
            return error_set(err, errno, unpack->dir_path, "cannot be made");
        lock->made += made;
    }
}

/* Waits for a lock that processes unpacking into DIR at once share. */
static int lock_dir(const struct unpack *unpack, struct unpack_lock *lock, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(unpack->dir_path, OWN_LOCK);
    int r = path ? -ENOENT : error_nomem(err);

    /* Where another one made the directory for nothing, it may be gone again. */
    while (error_is_no_entry(r)) {
        r = open_dir(unpack, lock, err);
        if (r < 0)
            return r;
        r = lock_file_take(&lock->file, lock->dir, OWN_LOCK, path, unpack->a->context, err);
    }
    return r;
}

/* Takes the lock's file away. Where nothing was unpacked, DIR is as it was. */
void unpack_needed_end(const struct unpack *unpack, struct unpack_lock *lock, bool failed)
{
    lock_file_release(&lock->file, lock->dir, OWN_LOCK, failed && !lock->file.waited);
    if (failed)
        unmake_directories(unpack->dir_path, lock->made);
    cleanup_close(&lock->dir);
}

/* The directory that the manifest in HOME speaks for: DIR, or one in it. */
static char *top_of(const struct unpack *unpack, const char *home)
{
    const int n = own_home_prefix(home);
    _cleanup_free_ char *top = strndup(home, n > 0 ? (size_t)n : 0);

    return top ? path_append(unpack->dir_path, top) : NULL;
}

/* Has a run that was killed, or is at work, left the directories in between? */
static int is_disturbed(const struct unpack *unpack, const char *home, struct wp_error *err)
{
    _cleanup_free_ char *top = top_of(unpack, home);
    int r = top ? staging_has_leftovers_above(top) : -ENOMEM;

    if (r == 0 && unpack->o->cache_dir)
        r = staging_has_leftovers_above(unpack->o->cache_dir);
    return r < 0 ? error_set(err, -r, unpack->dir, "cannot look for earlier runs") : r;
}

/* HOME: where the archive's manifest lies, or NULL where it does not. */
static int recover(const struct unpack *unpack, const char *home, struct wp_error *err)
{
    _cleanup_free_ char *top = home ? top_of(unpack, home) : NULL;
    int r = staging_recover_in(unpack->dir_path, true, unpack->a->context, err);

    if (r >= 0 && home)
        r = top ? staging_recover_in(top, false, unpack->a->context, err) : error_nomem(err);
    if (r >= 0 && unpack->o->cache_dir)
        r = staging_recover_in(unpack->o->cache_dir, true, unpack->a->context, err);
    return r < 0 ? r : 0;
}

int unpack_needed_begin(struct unpack *unpack, struct unpack_lock *lock, struct wp_error *err)
{
    _cleanup_free_ char *home = NULL, *again = NULL;
    int r = is_current(unpack, &home, err);

    if (r > 0) {
        r = is_disturbed(unpack, home, err);
        r = r < 0 ? r : !r;
    } else {
        free(take_ptr(home)); /* what lies there now may be somebody else's */
    }
    if (r == 0)
        r = lock_dir(unpack, lock, err);
    if (r == 0)
        r = recover(unpack, home, err);
    if (r == 0)
        r = is_current(unpack, &again, err); /* another process may have done it meanwhile */
    if (r > 0)
        sweep(unpack, again ? again : home);
    return r;
}
