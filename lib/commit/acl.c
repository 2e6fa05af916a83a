/* Gives what is staged the default ACL of the directory of the target that it goes into, as if it
 * had been made there: that ACL takes the place of the umask. Where modes are kept as they were
 * packed, they stay: as after chmod(2), those of the group become the ACL's mask. */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "staging_private.h"
#include "tree/beneath.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* As the kernel takes and gives them (linux/posix_acl_xattr.h): a version, then entries. */
enum { VERSION_SIZE = 4, ENTRY_SIZE = 8, LARGEST = 1 << 16 };
enum { TAG_USER_OBJ = 0x01, TAG_GROUP_OBJ = 0x04, TAG_MASK = 0x10, TAG_OTHER = 0x20 };

/* OUT stays empty where there is none. */
static int read_default(int dir, struct buf *out)
{
    ssize_t n;

    if (buf_reserve(out, LARGEST) < 0)
        return -ENOMEM;
    /* Descriptors that are only a path have no xattr calls of their own, and what they lead to may
     * be unreadable. */
    n = getxattr(file_fd_name(dir).text, ACL_DEFAULT, out->data, LARGEST);
    out->size = n < 0 ? 0 : (size_t)n;
    /* ENOENT: there is no /proc. */
    return n >= 0 || errno == ENODATA || errno == ENOTSUP || error_is_absence(-errno) ? 0 : -errno;
}

static void put_permissions(unsigned char *entry, mode_t bits, bool limits)
{
    uint16_t value;

    memcpy(&value, entry + 2, sizeof value);
    value = limits ? le16toh(value) & bits & 7 : bits & 7;
    value = htole16(value);
    memcpy(entry + 2, &value, sizeof value);
}

/* The access ACL of a file with MODE: ACL, with the permissions of the mode in it, or LIMITS: with
 * those that both give, as the kernel does for a new file. */
static void fit(unsigned char *acl, size_t n, mode_t mode, bool limits)
{
    unsigned char *group = NULL, *mask = NULL;

    for (size_t at = VERSION_SIZE; at + ENTRY_SIZE <= n; at += ENTRY_SIZE) {
        uint16_t tag;

        memcpy(&tag, acl + at, sizeof tag);
        tag = le16toh(tag);
        if (tag == TAG_USER_OBJ)
            put_permissions(acl + at, mode >> 6, limits);
        else if (tag == TAG_OTHER)
            put_permissions(acl + at, mode, limits);
        else if (tag == TAG_GROUP_OBJ)
            group = acl + at;
        else if (tag == TAG_MASK)
            mask = acl + at;
    }
    if (mask || group)
        put_permissions(mask ? mask : group, mode >> 3, limits);
}

mode_t staging_packed_mode(const struct staging *s, int area, const char *path)
{
    return s->o.packed_mode && area == 0 ? s->o.packed_mode(s->o.ctx, path) & 0777 : 0;
}

struct inheriting {
    struct staging *s;
    int area;
    const char *above;     /* where in AREA the paths of what is visited begin */
    const struct buf *acl; /* empty: what is staged has one that the target has not */
    mode_t umask;          /* which then counts */
};

/* Sets it as far as that is allowed: the target may be on a filesystem without ACLs. */
static bool set(const struct inheriting *i, const char *file, const struct stat *st, mode_t packed)
{
    unsigned char access[LARGEST];

    if (i->acl->size == 0) {
        (void)removexattr(file, ACL_ACCESS);
        if (S_ISDIR(st->st_mode))
            (void)removexattr(file, ACL_DEFAULT);
        return !packed || chmod(file, (st->st_mode & 07000) | (packed & ~i->umask)) == 0;
    }
    memcpy(access, i->acl->data, i->acl->size);
    fit(access, i->acl->size, packed ? packed | st->st_mode : st->st_mode, packed != 0);
    return setxattr(file, ACL_ACCESS, access, i->acl->size, 0) == 0 &&
           (!S_ISDIR(st->st_mode) ||
            setxattr(file, ACL_DEFAULT, i->acl->data, i->acl->size, 0) == 0);
}

/* Gives it to NAME of AT. */
static int inherit(void *ctx, int at, const char *name, const char *path)
{
    struct inheriting *i = ctx;
    _cleanup_free_ char *in_area = path_join(i->above, path);
    _cleanup_close_ int fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct file_fd_name proc = file_fd_name(fd);
    struct stat st;
    mode_t packed;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!in_area)
        return -ENOMEM;
    packed = staging_packed_mode(i->s, i->area, in_area);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return 0;
    if (!set(i, proc.text, &st, packed) || !S_ISDIR(st.st_mode))
        return 0;
    if (packed && fstat(fd, &st) == 0)
        staging_dir_set_mode(&i->s->areas[i->area], in_area, st.st_mode & 0777);
    return 1;
}

int staging_gives_acl(const struct staging *s, int area, const char *path)
{
    const int target = s->areas[area].target_fd;
    _cleanup_free_ char *at = strdup(path);
    _cleanup_close_ int fd = at ? beneath_open(target, at, O_PATH | O_DIRECTORY, 0) : -ENOMEM;
    _cleanup_buf_ struct buf acl = {0};
    int r;

    /* Directories that are to be made get it from the one above. */
    while (at && beneath_is_absence(fd)) {
        char *slash = strrchr(at, '/');

        if (!*at)
            return 0;
        *(slash ? slash : at) = '\0';
        fd = beneath_open(target, at, O_PATH | O_DIRECTORY, 0);
    }
    if (fd < 0)
        return fd;
    r = read_default(fd, &acl);
    return r < 0 ? r : acl.size > 0;
}

int staging_acl_inherit(struct staging *s, int area, const char *path, int at, int target)
{
    _cleanup_buf_ struct buf acl = {0}, own = {0};
    _cleanup_free_ char *above = NULL;
    int r = read_default(target, &acl);

    if (r == 0)
        r = read_default(at, &own);
    if (r < 0 || buf_equals(&own, &acl))
        return r; /* it has been made under the same */
    above = path_dir(path);
    if (!above)
        return -ENOMEM;
    return staging_visit(at, path_base(path), inherit,
                         &(struct inheriting){.s = s,
                                              .area = area,
                                              .above = above,
                                              .acl = &acl,
                                              .umask = acl.size ? 0 : file_umask()});
}
