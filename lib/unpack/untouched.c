/* Unpacking, files that nobody has changed since: recording a run, and believing such a record. */

#include "untouched.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "numba/caches.h"
#include "tree/beneath.h"

enum { NANOSECONDS = 1000000000 };

static uint64_t to_ns(struct timespec t)
{
    return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec * NANOSECONDS + (uint64_t)t.tv_nsec;
}

static struct timespec from_ns(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NANOSECONDS),
                             .tv_nsec = (long)(ns % NANOSECONDS)};
}

/* ---- Believing --------------------------------------------------------------------------- */

/* Change times of other filesystems may be somebody else's, such as a server's, or none at all. */
static bool keeps_change_times(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return false;
    switch (fs.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
        return true;
    default:
        return false;
    }
}

/* Who can rename directories can exchange two files of one run. */
static bool is_own(int fd, const char *path)
{
    struct stat st;

    return beneath_stat(fd, path, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & S_IWOTH);
}

static bool are_dirs_own(const struct trees *trees, const struct tree_manifest *t)
{
    _cleanup_free_ char *above = strdup(t->home);
    bool own = above && is_own(trees->fd, "") && is_own(trees->fd, t->home);

    while (own && strchr(above, '/')) {
        *strrchr(above, '/') = '\0';
        own = is_own(trees->fd, above);
    }
    for (size_t i = 0; i < t->m.entry_count && own; i++) {
        const struct entry *e = &t->m.entries[i];
        bool gone = false;
        _cleanup_free_ char *path = e->type == ENTRY_DIR ? tree_path(t, e->path, &gone) : NULL;

        own = e->type != ENTRY_DIR || gone || (path && is_own(trees->fd, path));
    }
    return own;
}

static bool is_manifest(const struct trees *trees, const struct tree_manifest *t)
{
    _cleanup_free_ char *path = path_join(t->home, MANIFEST_NAME);
    _cleanup_buf_ struct buf text = {0};
    unsigned char digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];

    if (!path || !t->state.archive ||
        beneath_read(trees->fd, path, MANIFEST_LARGEST, &text, NULL) < 0)
        return false;
    sha256_of(text.data, text.size, digest);
    hex_encode(digest, sizeof digest, hex);
    return strcmp(hex, t->state.archive) == 0;
}

struct untouched untouched_files(const struct trees *trees, const struct tree_manifest *t)
{
    const struct manifest_state *state = &t->state;
    const struct untouched nothing = {0};
    bool gone = false;
    _cleanup_free_ char *witness = NULL;
    struct stat st;

    if (!t->has_state || !state->witness || t->state_uid != geteuid() || trees->trust ||
        !keeps_change_times(trees->fd))
        return nothing;
    witness = tree_path(t, state->witness, &gone);
    if (!witness || beneath_stat(trees->fd, witness, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_ino != state->inode || to_ns(st.st_ctim) != state->until || !are_dirs_own(trees, t) ||
        !is_manifest(trees, t))
        return nothing;
    return (struct untouched){
        .since = from_ns(state->since), .until = from_ns(state->until), .device = st.st_dev};
}

bool untouched_is(const struct untouched *u, const struct entry *e, const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_dev == u->device && (uint64_t)st->st_size == e->size &&
           time_is(st->st_mtim, e->mtime) && !time_is_before(st->st_ctim, u->since) &&
           time_is_before(st->st_ctim, u->until);
}

/* ---- Recording --------------------------------------------------------------------------- */

void untouched_begin(struct unpack *unpack)
{
    struct stat st;

    if (fstat(unpack->tree, &st) == 0)
        unpack->run.since = to_ns(st.st_ctim);
}

/* Gives PATH beneath FD the present as its change time, later than that of all that was changed
 * before. The clock of some filesystems ticks in hundredths of a second: WAITS for the next tick.
 * Where it does not, what was changed in this one is read again the next time. */
static int touch(int fd, const char *path, bool waits, struct stat *st)
{
    enum { MOST = 40 };
    const struct timespec part = {.tv_nsec = 500000};
    const char *name;
    _cleanup_close_ int dir = beneath_parent(fd, path, &name);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}}, first = {0};

    if (dir < 0 || fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    times[1] = st->st_mtim;
    for (int i = 0; i < (waits ? MOST : 2); i++) {
        if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ||
            fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0)
            return -1;
        if (i == 0)
            first = st->st_ctim;
        else if (time_is_before(first, st->st_ctim))
            break;
        if (i > 0 && waits)
            nanosleep(&part, NULL);
    }
    return 0;
}

/* One that is neither moved nor changed before it is in place, nor has other names. */
static bool may_be_witness(const struct unpacked *item)
{
    return item->e.type == ENTRY_FILE && !item->skipped && !item->inode && item->e.size &&
           strchr(item->e.path, '/') && !caches_is_part(item->e.path);
}

bool unpack_has_acl(const struct unpack *unpack)
{
    return fgetxattr(unpack->tree, "system.posix_acl_default", NULL, 0) >= 0;
}

void untouched_end(struct unpack *unpack)
{
    const struct unpacked *item = NULL;
    struct stat st;

    for (size_t i = 0; i < unpack->count && !item; i++)
        if (may_be_witness(unpack->items[i]))
            item = unpack->items[i];
    if (!item || unpack->o->mtime || unpack_has_acl(unpack) ||
        touch(unpack->tree, item->e.path, false, &st) < 0)
        return;
    unpack->run.until = to_ns(st.st_ctim);
    unpack->run.inode = st.st_ino;
    unpack->run.witness = item;
}

void untouched_end_again(struct unpack *unpack)
{
    struct stat st;

    if (!unpack->run.witness || unpack->result->relocated ||
        touch(unpack->target, unpack->run.witness->e.path, true, &st) < 0 ||
        st.st_ino != unpack->run.inode)
        return;
    unpack->run.until = to_ns(st.st_ctim);
}
