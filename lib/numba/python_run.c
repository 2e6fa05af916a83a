/* Runs a Python interpreter with a script of ours, and takes what it answers. */

#include "python_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json_parse.h"

enum { PATIENCE = 120 /* seconds */, LONGEST_COMPLAINT = 1 << 20 };

extern char **environ;

static int spawn(struct python_run *run, int out, int err)
{
    char *const argv[] = {(char *)run->python, (char *)"-B", (char *)"-c", (char *)run->script,
                          NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    int e = posix_spawn_file_actions_init(&actions);

    if (e)
        return e;
    e = posix_spawnattr_init(&attributes);
    if (e) {
        posix_spawn_file_actions_destroy(&actions);
        return e;
    }
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigaddset(&signals, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    /* A group of its own, so that what it starts is ended with it. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    if (run->in >= 0)
        e = posix_spawn_file_actions_adddup2(&actions, run->in, STDIN_FILENO);
    else
        e = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!e)
        e = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (!e)
        e = posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    if (!e)
        e = posix_spawnp(&run->pid, run->python, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

/* Starts the interpreter. 0 or a positive errno. */
static int start(struct python_run *run)
{
    int out[2], err[2], e;

    if (pipe2(out, O_CLOEXEC) < 0)
        return errno;
    if (pipe2(err, O_CLOEXEC) < 0) {
        e = errno;
        close(out[0]);
        close(out[1]);
        return e;
    }
    e = spawn(run, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    run->out = out[0];
    run->err = err[0];
    return e;
}

/* Reads what is there. Of complaints the beginning is kept, of answers all, within bounds. */
static int take(int *fd, struct buf *to, size_t longest)
{
    char block[4096];
    ssize_t n = read(*fd, block, sizeof block);

    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    if (n == 0) {
        close(*fd);
        *fd = -1;
        return 0;
    }
    if (to->size + (size_t)n > longest)
        return -EFBIG;
    return buf_add(to, block, (size_t)n);
}

/* Has it ended? It stays to be waited for. */
static bool has_ended(const struct python_run *run)
{
    siginfo_t how = {0};

    return waitid(P_PID, (id_t)run->pid, &how, WEXITED | WNOHANG | WNOWAIT) == 0 && how.si_pid != 0;
}

/* Until both of its outputs are closed. A process that it has started may hold them open for ever:
 * once it has ended itself, only what was already said counts. */
static int listen_to(struct python_run *run, const volatile sig_atomic_t *interrupted)
{
    enum { STEP = 500 /* ms: how soon a signal is noticed that came just before poll */ };
    struct timespec begin, now;
    bool ended = false;
    int r = 0;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (r == 0 && (run->out >= 0 || run->err >= 0)) {
        struct pollfd fds[] = {{run->out, POLLIN, 0}, {run->err, POLLIN, 0}};
        int ready;

        if (interrupted && *interrupted)
            return -EINTR;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begin.tv_sec > PATIENCE)
            return -ETIMEDOUT;
        ready = poll(fds, 2, ended ? 0 : STEP);
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready < 0)
            continue;
        if (ready == 0 && ended)
            return 0;
        ended = ready == 0 ? has_ended(run) : ended;
        if (fds[0].revents)
            r = take(&run->out, &run->answer, run->longest);
        if (r == 0 && fds[1].revents)
            r = take(&run->err, &run->complaint, LONGEST_COMPLAINT);
    }
    return r;
}

/* Its last line, which in a traceback says what is wrong. Changes the text. */
static const char *last_line(struct buf *text)
{
    char *s, *line;

    while (text->size && text->data[text->size - 1] == '\n')
        text->size--;
    if (buf_terminate(text) < 0 || !text->size)
        return "it said nothing";
    s = (char *)text->data;
    line = strrchr(s, '\n');
    return line ? line + 1 : s;
}

/* Waits for the end of what has closed its outputs, which comes at once where it has died, and ends
 * it where that does not come. What it may have left behind goes with it. */
static void end(struct python_run *run, bool listened)
{
    enum { STEPS = 100 /* of 10 ms */ };
    const struct timespec step = {.tv_nsec = 10000000};
    siginfo_t how = {0};

    for (int i = 0; i < STEPS && listened && how.si_pid == 0; i++) {
        if (i)
            nanosleep(&step, NULL);
        if (waitid(P_PID, (id_t)run->pid, &how, WEXITED | WNOHANG | WNOWAIT) < 0 && errno != EINTR)
            break;
    }
    if (how.si_pid && (how.si_code == CLD_KILLED || how.si_code == CLD_DUMPED))
        run->killed_by = how.si_status;
    kill(-run->pid, SIGKILL);
    while (waitpid(run->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int python_run_complain(struct python_run *run, struct wp_error *err)
{
    const char *said = last_line(&run->complaint);

    if (run->killed_by)
        return error_set(err, 0, run->python,
                         "cannot be asked for its Numba: it was ended by signal %d (%s): %s",
                         run->killed_by, strsignal(run->killed_by), said);
    return error_set(err, 0, run->python, "cannot be asked for its Numba: %s", said);
}

static int run_to_end(struct python_run *run, const struct wp_context *context,
                      struct wp_error *err)
{
    int r;

    r = start(run);
    if (r > 0)
        return error_set(err, r, run->python, "cannot be run");
    r = listen_to(run, context_interrupted(context));
    end(run, r == 0);
    if (r == -EINTR)
        return error_set(err, EINTR, NULL, "interrupted");
    if (r == -EFBIG)
        return error_set(err, 0, run->python, "cannot be asked for its Numba: it says too much");
    return r < 0 ? error_set(err, -r, run->python, "cannot be asked for its Numba") : 0;
}

/* A file in memory with what it is asked; its offset is the beginning. */
static int write_question(const struct buf *question, struct wp_error *err)
{
    _cleanup_close_ int fd = memfd_create("warmpack", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : file_write(fd, question->data, question->size);

    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    return r < 0 ? error_set(err, -r, NULL, "cannot write what an interpreter is asked")
                 : take_fd(&fd);
}

int python_run_ask(struct python_run *run, const struct wp_context *context,
                   const struct buf *question, json_type type, json_t **answer,
                   struct wp_error *err)
{
    _cleanup_close_ int in = question ? write_question(question, err) : -1;
    int r;

    *answer = NULL;
    run->out = run->err = -1;
    if (question && in < 0)
        return in;
    run->in = in;
    r = run_to_end(run, context, err);
    if (r == 0 && json_parse(answer, (const char *)run->answer.data, run->answer.size, 0, NULL) < 0)
        r = error_nomem(err);
    if (r == 0 && (!*answer || json_typeof(*answer) != type)) {
        json_decref(take_ptr(*answer));
        r = python_run_complain(run, err);
    }
    return r;
}

void python_run_clear(struct python_run *run)
{
    if (run->out >= 0)
        close(run->out);
    if (run->err >= 0)
        close(run->err);
    buf_free(&run->answer);
    buf_free(&run->complaint);
}
