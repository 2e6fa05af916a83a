/* Asking a Python interpreter for what decides whether it loads from a cache. */

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "warmpack.h"

enum { PATIENCE = 120 /* seconds */, LONGEST_ANSWER = 1 << 20 };

extern char **environ;

/* What a module prints while it is imported must not mix with the answer. Python puts the working
 * directory on sys.path for -c: nothing is imported from there. */
static const char script[] =
    "import sys\n"
    "sys.path[:] = [p for p in sys.path if p]\n"
    "import os, json\n"
    "out = os.fdopen(os.dup(1), 'w')\n"
    "os.dup2(2, 1)\n"
    "import numba\n"
    "from numba.core import config, caching\n"
    "from numba.core.registry import cpu_target\n"
    "triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()\n"
    "json.dump({'python': '%d%d%s' % (sys.version_info[0], sys.version_info[1],\n"
    "                                 getattr(sys, 'abiflags', '')),\n"
    "           'numba': numba.__version__, 'triple': triple, 'cpu': cpu,\n"
    "           'features': features, 'cache_dir': getattr(config, 'CACHE_DIR', '') or None,\n"
    "           'locators': getattr(config, 'CACHE_LOCATOR_CLASSES', '') or None,\n"
    "           'classes': ','.join(c.__name__ for c in\n"
    "                               getattr(caching.CacheImpl, '_locator_classes', ())),\n"
    "           'no_svml': getattr(config, 'USING_SVML', None) is False},\n"
    "          out)\n"
    "out.close()\n";

struct asked {
    const char *python;
    pid_t pid;
    int out, err; /* read ends; -1: at their end */
    struct buf answer, complaint;
    int killed_by; /* the signal that ended it, but for our own; 0: none */
};

static int spawn(struct asked *a, int out, int err)
{
    char *const argv[] = {(char *)a->python, (char *)"-B", (char *)"-c", (char *)script, NULL};
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
    e = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!e)
        e = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (!e)
        e = posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    if (!e)
        e = posix_spawnp(&a->pid, a->python, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

/* Starts the interpreter. 0 or a positive errno. */
static int start(struct asked *a)
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
    e = spawn(a, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    a->out = out[0];
    a->err = err[0];
    return e;
}

/* Reads what is there. Of complaints the beginning is kept, of answers all, within bounds. */
static int take(int *fd, struct buf *to)
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
    if (to->size + (size_t)n > LONGEST_ANSWER)
        return -EFBIG;
    return buf_add(to, block, (size_t)n);
}

static int listen_to(struct asked *a, const volatile sig_atomic_t *interrupted)
{
    enum { STEP = 500 /* ms: how soon a signal is noticed that came just before poll */ };
    struct timespec begin, now;
    int r = 0;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (r == 0 && (a->out >= 0 || a->err >= 0)) {
        struct pollfd fds[] = {{a->out, POLLIN, 0}, {a->err, POLLIN, 0}};

        if (interrupted && *interrupted)
            return -EINTR;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begin.tv_sec > PATIENCE)
            return -ETIMEDOUT;
        if (poll(fds, 2, STEP) < 0) {
            if (errno != EINTR)
                return -errno;
            continue;
        }
        if (fds[0].revents)
            r = take(&a->out, &a->answer);
        if (r == 0 && fds[1].revents)
            r = take(&a->err, &a->complaint);
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
static void end(struct asked *a)
{
    enum { STEPS = 100 /* of 10 ms */ };
    const struct timespec step = {.tv_nsec = 10000000};
    siginfo_t how = {0};

    for (int i = 0; i < STEPS && a->out < 0 && a->err < 0 && how.si_pid == 0; i++) {
        if (i)
            nanosleep(&step, NULL);
        if (waitid(P_PID, (id_t)a->pid, &how, WEXITED | WNOHANG | WNOWAIT) < 0 && errno != EINTR)
            break;
    }
    if (how.si_pid && (how.si_code == CLD_KILLED || how.si_code == CLD_DUMPED))
        a->killed_by = how.si_status;
    kill(-a->pid, SIGKILL);
    while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Of one that has not answered. */
static int complain(struct asked *a, struct wp_error *err)
{
    const char *said = last_line(&a->complaint);

    if (a->killed_by)
        return error_set(err, 0, a->python,
                         "cannot be asked for its Numba: it was ended by signal %d (%s): %s",
                         a->killed_by, strsignal(a->killed_by), said);
    return error_set(err, 0, a->python, "cannot be asked for its Numba: %s", said);
}

static int member(char **out, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    *out = text ? strdup(text) : NULL;
    return text && !*out ? -ENOMEM : 0;
}

/* Does a locator in force stamp whole seconds? Those named in the environment replace the list. */
static int find_whole_seconds(struct wp_python *out, const json_t *o)
{
    _cleanup_free_ char *classes = NULL;
    const char *list;

    if (member(&classes, o, "classes") < 0)
        return -ENOMEM;
    list = out->locators ? out->locators : classes;
    /* A locator of somebody's own may do anything. */
    out->no_whole_seconds = list && !strstr(list, "FsAgnostic") && !strchr(list, '.');
    return 0;
}

static int understand(struct asked *a, struct wp_python *out, struct wp_error *err)
{
    json_t *o = json_loadb((const char *)a->answer.data, a->answer.size, 0, NULL);
    int r;

    if (!o || !json_is_object(o)) {
        json_decref(o);
        return complain(a, err);
    }
    r = member(&out->python, o, "python") || member(&out->numba, o, "numba") ||
                member(&out->triple, o, "triple") || member(&out->cpu, o, "cpu") ||
                member(&out->features, o, "features") || member(&out->cache_dir, o, "cache_dir") ||
                member(&out->locators, o, "locators") || find_whole_seconds(out, o)
            ? error_nomem(err)
            : 0;
    out->no_svml = json_is_true(json_object_get(o, "no_svml"));
    json_decref(o);
    if (r == 0 && (!out->python || !out->numba || !out->triple || !out->cpu || !out->features))
        r = error_set(err, 0, a->python, "does not say what its Numba compiles for");
    return r;
}

int wp_python_ask(const struct wp_context *context, const char *python, struct wp_python *out,
                  struct wp_error *err)
{
    struct asked a = {.python = python, .out = -1, .err = -1};
    int r;

    *out = (struct wp_python){0};
    r = start(&a);
    if (r > 0) {
        r = error_set(err, r, python, "cannot be run");
    } else {
        r = listen_to(&a, context_interrupted(context));
        end(&a);
        if (r == -EINTR)
            error_set(err, EINTR, NULL, "interrupted");
        else if (r == -EFBIG)
            error_set(err, 0, python, "cannot be asked for its Numba: it says too much");
        else if (r < 0)
            error_set(err, -r, python, "cannot be asked for its Numba");
        else
            r = understand(&a, out, err);
    }
    if (a.out >= 0)
        close(a.out);
    if (a.err >= 0)
        close(a.err);
    buf_free(&a.answer);
    buf_free(&a.complaint);
    if (r < 0)
        wp_python_clear(out);
    return r;
}

void wp_python_clear(struct wp_python *p)
{
    free(p->python);
    free(p->numba);
    free(p->triple);
    free(p->cpu);
    free(p->features);
    free(p->cache_dir);
    free(p->locators);
    *p = (struct wp_python){0};
}
