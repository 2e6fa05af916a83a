/* Landlock: what the kernel refuses even if a fault in warmpack were used against its user. */

#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- The kernel's interface ----------------------------------------------------------------
 * Headers of distributions lack what newer kernels can do: names are linux/landlock.h's. */

/* gcov writes what it has counted when the process ends, far from DIR. */
#if defined SYS_landlock_create_ruleset && !defined WARMPACK_COVERAGE

enum { VERSION = 1, RULE_PATH_BENEATH = 1 };

/* Rights to files. REMOVE_DIR is not among those handled: it takes empty directories alone, and
 * directories made above DIR are removed again where nothing comes of the job. */
#define FS_EXECUTE UINT64_C(0x1)
#define FS_WRITE_FILE UINT64_C(0x2)
#define FS_REMOVE_FILE UINT64_C(0x20)
#define FS_MAKE UINT64_C(0x1fc0) /* every kind of file */
#define FS_REFER UINT64_C(0x2000)
#define FS_TRUNCATE UINT64_C(0x4000)
#define FS_IOCTL_DEV UINT64_C(0x8000)

#define NET_BIND_AND_CONNECT_TCP UINT64_C(0x3)
#define SCOPE_ABSTRACT_SOCKET_AND_SIGNAL UINT64_C(0x3)

struct ruleset {
    uint64_t fs, net, scoped;
};

struct path_beneath {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

static const uint64_t allowed_beneath =
    FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE | FS_REFER | FS_TRUNCATE;

/* Fills R with what version ABI of the interface can handle, and *SIZE with R's size there. Version
 * 1 refuses every rename from one directory into another, which a commit needs. */
static bool choose(struct ruleset *r, size_t *size, long abi)
{
    if (abi < 2)
        return false;
    r->fs = allowed_beneath | FS_EXECUTE | FS_IOCTL_DEV;
    if (abi < 5)
        r->fs &= ~FS_IOCTL_DEV;
    if (abi < 3)
        r->fs &= ~FS_TRUNCATE;
    if (abi >= 4 && geteuid() != 0) /* names of users may come through the network */
        r->net = NET_BIND_AND_CONNECT_TCP;
    if (abi >= 6)
        r->scoped = SCOPE_ABSTRACT_SOCKET_AND_SIGNAL;
    *size = abi >= 6 ? 3 * sizeof(uint64_t) : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    return true;
}

/* Opens directory PATH, or where that is missing the one that it would be made in. */
static int open_existing(const char *path)
{
    char *above = strdup(path);
    int fd = -1, saved;

    while (above) {
        char *slash;

        fd = open(*above ? above : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 || errno != ENOENT || !*above)
            break;
        slash = strrchr(above, '/');
        if (slash == above && above[1])
            above[1] = '\0';
        else
            *(slash && slash != above ? slash : above) = '\0';
    }
    saved = above ? errno : ENOMEM;
    free(above);
    errno = saved;
    return fd;
}

/* What is no directory needs no rule: nothing will be written beneath it. */
static bool allow(int ruleset, const char *dir, uint64_t handled)
{
    struct path_beneath rule = {.allowed = allowed_beneath & handled, .fd = open_existing(dir)};
    bool added;

    if (rule.fd < 0)
        return errno == ENOTDIR;
    added = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0;
    close(rule.fd);
    return added;
}

void confine_to(void *user_data, const char *const *dirs, size_t count)
{
    struct ruleset rules = {0};
    size_t size;
    bool added = true;
    int fd;

    (void)user_data;
    if (!choose(&rules, &size, syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION)))
        return;
    fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (fd < 0)
        return;
    for (size_t i = 0; i < count && added; i++)
        added = allow(fd, dirs[i], rules.fs);
    if (added && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        (void)syscall(SYS_landlock_restrict_self, fd, 0);
    close(fd);
}

#else

void confine_to(void *user_data, const char *const *dirs, size_t count)
{
    (void)user_data;
    (void)dirs;
    (void)count;
}

#endif
