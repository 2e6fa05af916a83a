/* Runs the command of a user as a shell would, and waits for its end. */

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "signals.h"

/* In the child. Tells through FD why the command cannot be run. */
static void become(const struct child_options *o, int fd)
{
    int why;

    for (const char *const *name = o->unset; name && *name; name++)
        unsetenv(*name);
    for (const char *const *s = o->set; s && *s; s++)
        if (putenv((char *)*s) != 0)
            goto failed;
    if (o->dir && chdir(o->dir) < 0)
        goto failed;
    if (o->stdout_to_stderr && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        goto failed;
    execvp(o->command[0], (char *const *)o->command);
failed:
    why = errno;
    if (write(fd, &why, sizeof why) < 0)
        _exit(127);
    _exit(127);
}

/* 0, or what the child says of its exec. */
static int read_cause(int fd)
{
    int why = 0;
    ssize_t n;

    do
        n = read(fd, &why, sizeof why);
    while (n < 0 && errno == EINTR);
    return n == sizeof why ? -why : 0;
}

/* A terminal sends its signals to the child, too; others ask this process alone. */
static void hand_on(pid_t pid)
{
    int caught = signals_caught();

    if (caught && caught != SIGPIPE && getpgid(pid) >= 0)
        kill(pid, (caught == SIGINT || caught == SIGQUIT) && isatty(STDIN_FILENO) ? 0 : caught);
}

static int wait_for(pid_t pid, int *status)
{
    int raw, told = 0, r;

    do {
        if (signals_caught() && told != signals_caught()) { /* perhaps while it was started */
            told = signals_caught();
            hand_on(pid);
        }
        r = waitpid(pid, &raw, 0);
        if (r < 0 && errno != EINTR)
            return -errno;
    } while (r < 0);
    *status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
    return 0;
}

int child_run(const struct child_options *o, int *status)
{
    int ends[2], r;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid < 0) {
        r = -errno;
        close(ends[0]);
        close(ends[1]);
        return r;
    }
    if (pid == 0)
        become(o, ends[1]);
    close(ends[1]);
    r = read_cause(ends[0]);
    close(ends[0]);
    if (r < 0) {
        waitpid(pid, NULL, 0);
        return r;
    }
    return wait_for(pid, status);
}
