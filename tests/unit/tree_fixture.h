#pragma once
/* A scratch directory for each test, and steps to be done as another user. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tree/beneath.h"

struct scratch {
    char path[64];
    int fd;
};

static inline int scratch_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof *s);
    if (!s)
        return -1;
    strcpy(s->path, "/tmp/warmpack-test-XXXXXX");
    if (!mkdtemp(s->path) || chmod(s->path, 0755) < 0)
        return -1;
    s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = s;
    return s->fd < 0 ? -1 : 0;
}

static inline int scratch_teardown(void **state)
{
    struct scratch *s = *state;
    close(s->fd);
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = beneath_remove(root, s->path + 1);
    close(root);
    free(s);
    return r;
}

static inline void make_dir(int at, const char *name, mode_t mode)
{
    assert_int_equal(mkdirat(at, name, 0700), 0);
    assert_int_equal(fchmodat(at, name, mode, 0), 0);
}

static inline void make_file(int at, const char *name, const char *text)
{
    int fd = openat(at, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0644), 0); /* whatever the umask is */
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* Is there anything of this name (a dangling symlink, too)? */
static inline bool exists(int at, const char *name)
{
    struct stat st;
    return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What STEP returns (-124 to 0) when a user without privileges runs it: who runs the tests, or
 * nobody where that is root. STEP must not assert. */
static inline int as_user(int (*step)(void *arg), void *arg)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
            _exit(125);
        _exit(-step(arg) & 0xff);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

/* What STEP returns when run where SOURCE (NULL: a small, empty tmpfs) is mounted on PATH, which
 * only it sees; 1 where this is not allowed here. */
static inline int with_mount(const char *source, const char *path, int (*step)(void *arg),
                             void *arg)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            (source ? mount(source, path, NULL, MS_BIND, NULL)
                    : mount("tmpfs", path, "tmpfs", 0, "size=64k")) < 0)
            _exit(255);
        _exit(-step(arg) & 0xff);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 255 ? 1 : -WEXITSTATUS(status);
}
