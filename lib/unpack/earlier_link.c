/* Unpacking, files of a tree that is replaced: makes those that nobody has touched the new tree's,
 * by hard links, which are the only ones when the old tree has gone. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/times.h"
#include "earlier.h"
#include "numba/caches.h"
#include "tree/beneath.h"
#include "tree/create.h"

/* As beneath_parent. HELD owns the descriptor. */
static int parent_of(struct earlier_dir *held, int root, const char *path, const char **name)
{
    const char *base = path_base(path);
    const size_t size = (size_t)(base - path);

    *name = base;
    if (held->fd >= 0 && held->size == size && memcmp(held->path, path, size) == 0)
        return held->fd;
    cleanup_close(&held->fd);
    *held =
        (struct earlier_dir){.fd = beneath_parent(root, path, name), .path = path, .size = size};
    return held->fd;
}

/* Would a new file of E have what the one with ST has? */
static bool is_as_wanted(const struct create_policy *p, const struct entry *e,
                         const struct stat *st)
{
    uid_t uid;
    gid_t gid;

    create_owner(p, e, &uid, &gid);
    if (!p->knows_owner && (uid == (uid_t)-1 || gid == (gid_t)-1))
        return false;
    return (st->st_mode & 07777) == create_mode(p, e) && time_is(st->st_mtim, create_mtime(p, e)) &&
           st->st_uid == (uid == (uid_t)-1 ? p->uid : uid) &&
           st->st_gid == (gid == (gid_t)-1 ? p->gid : gid);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           time_is(a->st_mtim, b->st_mtim);
}

/* Only where the directory that both are in is going to be swapped. */
bool earlier_link_file(struct earlier *x, const struct copy *c, struct earlier_dir *from,
                       struct earlier_dir *to)
{
    const size_t top = strcspn(c->e.path, "/") + 1;
    const struct known *known = c->from;
    const char *old, *new;
    struct stat st, now;
    int from_dir, to_dir;

    if (known->untouched->until.tv_sec == 0 || strncmp(known->path, c->e.path, top) != 0 ||
        caches_is_part(known->path))
        return false;
    from_dir = parent_of(from, x->trees.fd, known->path, &old);
    if (from_dir < 0 || fstatat(from_dir, old, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_nlink != 1 ||
        !untouched_is(known->untouched, known->e, &st) ||
        !is_as_wanted(&x->unpack->policy, &c->e, &st))
        return false;
    to_dir = parent_of(to, x->unpack->tree, c->e.path, &new);
    if (to_dir < 0 || linkat(from_dir, old, to_dir, new, 0) < 0)
        return false;
    if (fstatat(to_dir, new, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_nlink == 2 &&
        is_same_file(&st, &now))
        return true;
    (void)!unlinkat(to_dir, new, 0);
    return false;
}
