/* Preloaded: does, from within the program and in the middle of its work, what it must not be able
 * to do: changes FOREIGN_DIR. FOREIGN_OUT gets a line a try, through a descriptor that is opened
 * before the program begins: "main" or "other" for the thread, what was tried, and its errno. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int out = -1;
static char old[4096], new[4096];

__attribute__((constructor)) static void begin(void)
{
    const char *dir = getenv("FOREIGN_DIR"), *path = getenv("FOREIGN_OUT");

    if (!dir || !path)
        return;
    snprintf(old, sizeof old, "%s/old", dir);
    snprintf(new, sizeof new, "%s/new", dir);
    out = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void say(const char *what, int r)
{
    dprintf(out, "%s %s %d\n", gettid() == getpid() ? "main" : "other", what, r < 0 ? errno : 0);
}

/* Does a program start? What its exec said. */
static int start(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(errno);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return -1;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    return errno ? -1 : 0;
}

static void try_all(void)
{
    int saved = errno, fd;

    if (out < 0)
        return;
    fd = open(old, O_WRONLY);
    say("open", fd);
    close(fd);
    say("truncate", truncate(old, 0));
    fd = open(new, O_WRONLY | O_CREAT, 0600);
    say("create", fd);
    close(fd);
    say("mkdir", mkdir(new, 0700));
    say("symlink", symlink("x", new));
    say("link", link(old, new));
    say("rename", rename(old, new));
    say("unlink", unlink(old));
    say("start", start());
    errno = saved;
}

int renameat2(int a, const char *x, int b, const char *y, unsigned f)
{
    int (*real)(int, const char *, int, const char *, unsigned) = dlsym(RTLD_NEXT, "renameat2");

    try_all();
    return real(a, x, b, y, f);
}

int renameat(int a, const char *x, int b, const char *y)
{
    int (*real)(int, const char *, int, const char *) = dlsym(RTLD_NEXT, "renameat");

    try_all();
    return real(a, x, b, y);
}

int futimens(int fd, const struct timespec t[2])
{
    int (*real)(int, const struct timespec *) = dlsym(RTLD_NEXT, "futimens");

    try_all();
    return real(fd, t);
}
