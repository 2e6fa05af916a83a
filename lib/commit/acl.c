/* Gives what is staged the default ACL of the directory of the target that it goes into, as if it
 * had been made there. The permissions of its mode stay what they are: as after chmod(2), those of
 * the group become the ACL's mask. */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

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

/* Descriptors that are only a path have no xattr calls of their own, and what they lead to may be
 * unreadable. */
struct proc_name {
    char text[sizeof "/proc/self/fd/" + 10];
};

static struct proc_name proc_name(int fd)
{
    struct proc_name name;

    snprintf(name.text, sizeof name.text, "/proc/self/fd/%d", fd);
    return name;
}

/* OUT stays empty where there is none. */
static int read_default(int dir, struct buf *out)
{
    ssize_t n;

    if (buf_reserve(out, LARGEST) < 0)
        return -ENOMEM;
    n = getxattr(proc_name(dir).text, ACL_DEFAULT, out->data, LARGEST);
    out->size = n < 0 ? 0 : (size_t)n;
    return 0;
}

static void put_permissions(unsigned char *entry, mode_t bits)
{
    const uint16_t value = htole16((uint16_t)(bits & 7));

    memcpy(entry + 2, &value, sizeof value);
}

/* The access ACL of a file with MODE: ACL, with the permissions of the mode in it. */
static void fit(unsigned char *acl, size_t n, mode_t mode)
{
    unsigned char *group = NULL, *mask = NULL;

    for (size_t at = VERSION_SIZE; at + ENTRY_SIZE <= n; at += ENTRY_SIZE) {
        uint16_t tag;

        memcpy(&tag, acl + at, sizeof tag);
        tag = le16toh(tag);
        if (tag == TAG_USER_OBJ)
            put_permissions(acl + at, mode >> 6);
        else if (tag == TAG_OTHER)
            put_permissions(acl + at, mode);
        else if (tag == TAG_GROUP_OBJ)
            group = acl + at;
        else if (tag == TAG_MASK)
            mask = acl + at;
    }
    if (mask || group)
        put_permissions(mask ? mask : group, mode >> 3);
}

/* Gives it to NAME of AT, and adds it to P if it is a directory, as PATH. */
static void inherit(struct path_list *p, int at, const char *name, const char *path,
                    const struct buf *acl)
{
    _cleanup_close_ int fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    unsigned char access[LARGEST];
    struct proc_name proc = proc_name(fd);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)))
        return;
    /* Somebody else may have another name of it in the target, where it stays as it is. */
    if (S_ISREG(st.st_mode) && st.st_nlink > 1)
        return;
    memcpy(access, acl->data, acl->size);
    fit(access, acl->size, st.st_mode);
    if (setxattr(proc.text, ACL_ACCESS, access, acl->size, 0) < 0 || !S_ISDIR(st.st_mode))
        return;
    if (setxattr(proc.text, ACL_DEFAULT, acl->data, acl->size, 0) == 0)
        (void)path_list_add(p, strdup(path));
}

int staging_acl_inherit(int at, const char *name, int target)
{
    _cleanup_(path_list_clear) struct path_list p = {0};
    _cleanup_buf_ struct buf acl = {0}, own = {0};

    if (read_default(target, &acl) < 0)
        return -ENOMEM;
    if (acl.size == 0)
        return 0;
    if (read_default(at, &own) < 0)
        return -ENOMEM;
    if (own.size == acl.size && memcmp(own.data, acl.data, acl.size) == 0)
        return 0; /* it has been made under the same */
    inherit(&p, at, name, name, &acl);
    for (size_t i = 0; i < p.count; i++) {
        int fd = beneath_open(at, p.v[i], O_RDONLY | O_DIRECTORY, 0);
        _cleanup_closedir_ DIR *d = fd < 0 ? NULL : file_list(fd);

        for (struct dirent *e; d && file_next(d, &e) > 0;) {
            _cleanup_free_ char *path = path_join(p.v[i], e->d_name);

            if (path)
                inherit(&p, dirfd(d), e->d_name, path, &acl);
        }
    }
    return 0;
}
