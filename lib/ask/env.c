/* The job of `env`: gathers caches and probes, and says what their settings are. */

#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "archive/archive.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "judge/judge.h"
#include "judge/keys.h"
#include "judge/notes.h"
#include "numba/caches.h"
#include "numba/features.h"
#include "numba/probe.h"

enum { LARGEST_PROBE = 1 << 20, MOST_TARGETS = 1000 };

int wp_env_new(const struct wp_context *context, struct wp_env **out, struct wp_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return error_nomem(err);
    (*out)->context = context;
    return 0;
}

void wp_env_free(struct wp_env *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->report_count; i++)
        wp_verify_report_clear(&e->reports[i]);
    for (size_t i = 0; i < e->probe_count; i++) {
        free(e->probes[i].name);
        wp_probe_clear(&e->probes[i].probe);
    }
    free(e->reports);
    free(e->probes);
    free(e->retargeted);
    free(e);
}

/* ---- Gathering --------------------------------------------------------------------------- */

static bool is_unread(const struct wp_index_status *s)
{
    return s->status == WP_CORRUPT || s->status == WP_UNREADABLE;
}

/* Takes what is in FOUND. What an index that cannot be read needs is not known. */
static int add_report(struct wp_env *e, struct wp_verify_report *found, const char *name,
                      struct wp_error *err)
{
    for (size_t i = 0; i < found->count; i++)
        if (is_unread(&found->indexes[i]))
            report(e->context, WP_WARNING, found->indexes[i].index, "left out: %s",
                   found->indexes[i].reason);
    if (found->count == 0)
        return error_set(err, 0, name, "has no cache index");
    if (found->by_status[WP_CORRUPT] + found->by_status[WP_UNREADABLE] == found->count)
        return error_set(err, 0, name, "has no cache index that can be read");
    if (array_add(e->reports, e->report_count, *found) < 0)
        return error_nomem(err);
    *found = (struct wp_verify_report){0};
    return 0;
}

static int add_probe(struct wp_env *e, const char *path, const struct buf *text,
                     struct wp_error *err)
{
    struct env_probe *p;

    if (array_grow(e->probes, e->probe_count) < 0)
        return error_nomem(err);
    p = &e->probes[e->probe_count++];
    *p = (struct env_probe){.name = strdup(path)};
    return p->name ? probe_read(&p->probe, text, path, err) : error_nomem(err);
}

/* Does what stands in the pipe FD begin like a probe? It stays there. 1, 0 or negative errno. */
static int pipe_has_probe(int fd, const volatile sig_atomic_t *interrupted)
{
    enum { BEGINNING = 64 };
    _cleanup_close_ int from = -1, to = -1;
    _cleanup_buf_ struct buf text = {0};
    int ends[2], r;
    ssize_t n;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    from = ends[0];
    to = ends[1];
    do {
        r = file_wait(fd, POLLIN, interrupted);
        if (r < 0)
            return r;
        n = tee(fd, to, BEGINNING, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    close(take_fd(&to));
    r = file_read_rest(from, (size_t)n, BEGINNING, &text);
    return r < 0 ? r : probe_is_like(&text);
}

static int read_pipe(int fd, const volatile sig_atomic_t *interrupted, struct buf *text)
{
    enum { STEP = 4096 };

    while (text->size <= LARGEST_PROBE) {
        int r = buf_reserve(text, STEP);
        ssize_t n;

        if (r == 0)
            r = file_wait(fd, POLLIN, interrupted);
        if (r < 0)
            return r;
        n = read(fd, text->data + text->size, STEP);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        text->size += n > 0 ? (size_t)n : 0;
    }
    return -EFBIG;
}

/* Is it a pipe without a name, which was inherited, such as a shell's <(...)? It can be opened any
 * number of times. One with a name waits for a writer each time: that is left for an archive. */
static bool is_inherited_pipe(const char *path, const struct stat *st)
{
    struct statfs fs;

    return S_ISFIFO(st->st_mode) && statfs(path, &fs) == 0 && fs.f_type == PIPEFS_MAGIC;
}

/* PATH is such a pipe: with a probe, or with an archive. */
static int add_pipe(struct wp_env *e, const char *path, struct wp_error *err)
{
    const volatile sig_atomic_t *interrupted = context_interrupted(e->context);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    _cleanup_buf_ struct buf text = {0};
    int r = fd < 0 ? -errno : pipe_has_probe(fd, interrupted);

    if (r == 0)
        return 1;
    if (r > 0)
        r = read_pipe(fd, interrupted, &text);
    if (r == -EINTR)
        return error_set(err, EINTR, NULL, "interrupted");
    return r < 0 ? error_set(err, -r, path, "cannot be read") : add_probe(e, path, &text, err);
}

int wp_env_add_path(struct wp_env *e, const char *path, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    _cleanup_(wp_verify_report_clear) struct wp_verify_report found = {0};
    struct stat st;
    int r;

    if (stat(path, &st) < 0)
        return error_set(err, errno, path, "cannot stat");
    if (S_ISDIR(st.st_mode) || caches_is_index(path)) {
        r = wp_inspect_path(e->context, path, &found, err);
        if (r == 0)
            r = add_report(e, &found, path, err);
        return r == 0 && S_ISDIR(st.st_mode)
                   ? env_find_retargeted(e, path, &e->reports[e->report_count - 1], err)
                   : r;
    }
    if (is_inherited_pipe(path, &st))
        return add_pipe(e, path, err);
    if (!S_ISREG(st.st_mode) || st.st_size > LARGEST_PROBE)
        return 1;
    r = file_read(path, LARGEST_PROBE, &text, NULL);
    if (r < 0)
        return error_set(err, -r, path, "cannot be read");
    return probe_is_like(&text) ? add_probe(e, path, &text, err) : 1;
}

int wp_env_add_archive(struct wp_env *e, const char *name, struct wp_archive *a,
                       struct wp_error *err)
{
    _cleanup_(wp_verify_report_clear) struct wp_verify_report found = {0};
    int r = wp_inspect_archive(a, &found, err);

    return r < 0 ? r : add_report(e, &found, name, err);
}

/* ---- Targets ----------------------------------------------------------------------------- */

static int add_target(struct env_target **list, size_t *count, const struct env_target *t)
{
    for (size_t i = 0; i < *count; i++)
        if (text_same((*list)[i].triple, t->triple) && text_same((*list)[i].cpu, t->cpu) &&
            text_same((*list)[i].features, t->features) &&
            text_same((*list)[i].machine, t->machine))
            return 0;
    if (*count == MOST_TARGETS)
        return -E2BIG;
    return array_add(*list, *count, *t);
}

int env_targets(const struct wp_env *e, struct env_target **out, size_t *count,
                struct wp_error *err)
{
    int r = 0;

    *out = NULL;
    *count = 0;
    for (size_t i = 0; i < e->report_count; i++)
        for (size_t k = 0; k < e->reports[i].count; k++) {
            const struct wp_index_status *s = &e->reports[i].indexes[k];

            for (size_t o = 0; o < s->overload_count && r == 0; o++)
                if (s->overloads[o].cpu)
                    r = add_target(out, count,
                                   &(struct env_target){.from = s->index,
                                                        .triple = s->overloads[o].triple,
                                                        .cpu = s->overloads[o].cpu,
                                                        .features = s->overloads[o].features});
        }
    for (size_t i = 0; i < e->probe_count && r == 0; i++) {
        const struct env_probe *p = &e->probes[i];

        r = add_target(out, count,
                       &(struct env_target){.from = p->name,
                                            .triple = p->probe.python.triple,
                                            .cpu = p->probe.python.cpu,
                                            .features = p->probe.python.features,
                                            .machine = p->probe.machine});
    }
    if (r == -E2BIG)
        return error_set(err, 0, NULL, "these caches are for more CPUs than can be told apart");
    if (r < 0)
        return error_nomem(err);
    return *count ? 0 : error_set(err, 0, NULL, "no overload in these caches is for a CPU");
}

/* Numba aborts where it is told to compile for a CPU of another architecture. A probe speaks of
 * another machine than this one, which then counts. */
int env_drop_foreign(const struct wp_env *e, struct env_target *t, size_t *count,
                     struct wp_error *err)
{
    const enum features_arch here = features_arch_here();
    size_t own = 0;

    for (size_t i = 0; i < *count; i++)
        if (e->probe_count || !t[i].triple ||
            features_arch_can_run(here, features_arch_of(t[i].triple)))
            t[own++] = t[i];
    if (!own)
        return error_set(err, 0, t[0].from,
                         "is for %s: no setting makes it load on this machine, which is %s",
                         t[0].triple, features_arch_name(here));
    *count = own;
    return 0;
}

/* ---- Settings ---------------------------------------------------------------------------- */

void wp_cpu_clear(struct wp_cpu *c)
{
    free(c->triple);
    free(c->name);
    free(c->features);
    *c = (struct wp_cpu){0};
}

static int settings_of(const struct env_target *t, size_t count, struct wp_cpu *out,
                       struct wp_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!t[i].cpu || !t[i].features)
            return error_set(err, 0, t[i].from,
                             "says nothing of Numba: probe with --python, or use --common");
        if (!features_is_plain(t[i].cpu) || !features_is_plain(t[i].features))
            return error_set(err, 0, t[i].from, "has a CPU in its key that no machine has");
        if (strcmp(t[i].cpu, t[0].cpu) != 0 || strcmp(t[i].features, t[0].features) != 0 ||
            !text_same(t[i].triple, t[0].triple))
            return error_set(err, 0, t[i].from,
                             "is for another CPU (%s) than %s (%s): no one setting loads both",
                             t[i].cpu, t[0].from, t[0].cpu);
    }
    out->triple = t[0].triple ? strdup(t[0].triple) : NULL;
    out->name = strdup(t[0].cpu);
    out->features = strdup(t[0].features);
    return out->name && out->features ? 0 : error_nomem(err);
}

/* Says which code settings alone would make load, where keys were made another CPU's. */
static void tell_others(const struct wp_env *e, const struct env_target *t, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!env_is_retargeted(e, t[i].cpu, t[i].features))
            report(e->context, WP_WARNING, t[i].from,
                   "is for CPU %s still: with the settings for that, what was retargeted would not "
                   "load",
                   t[i].cpu);
}

int wp_env_settings(const struct wp_env *e, struct wp_cpu *out, struct wp_error *err)
{
    struct env_target *targets;
    size_t count;
    int r = env_targets(e, &targets, &count, err);

    *out = (struct wp_cpu){0};
    if (r == 0 && e->retargeted_count && !e->probe_count) {
        tell_others(e, targets, count);
        free(targets);
        return 0;
    }
    if (r == 0)
        r = env_drop_foreign(e, targets, &count, err);
    if (r == 0)
        r = settings_of(targets, count, out, err);
    free(targets);
    if (r < 0)
        wp_cpu_clear(out);
    return r;
}

/* ---- Checking ---------------------------------------------------------------------------- */

size_t wp_env_probes(const struct wp_env *e)
{
    return e->probe_count;
}

/* Judges S as it would be on the probed machine, and adds what is told of it. */
static int check_index(const struct wp_index_status *s, const struct judge_expect *expect,
                       struct wp_env_check *out)
{
    struct wp_index_status copy = *s; /* its overloads are borrowed */
    bool unread = is_unread(s);
    int run = unread ? 0 : judge_can_run(s, expect), r = run < 0 ? run : 0;

    copy.reason = unread ? strdup(s->reason) : NULL;
    if (unread)
        r = copy.reason ? 0 : -ENOMEM;
    else if (r == 0)
        r = judge_against(&copy, expect);
    if (r == 0)
        r = note_unknown(&out->verify, s);
    copy.index = strdup(s->index);
    copy.source = NULL;
    copy.numba = s->numba ? strdup(s->numba) : NULL;
    copy.python = s->python ? strdup(s->python) : NULL;
    copy.overloads = NULL;
    copy.overload_count = 0;
    if (r < 0 || !copy.index) {
        judge_clear(&copy);
        return -ENOMEM;
    }
    out->total++;
    out->load += wp_status_loads(copy.status);
    out->run += run == 1;
    return judge_add(&out->verify, &copy);
}

void wp_env_check_clear(struct wp_env_check *c)
{
    wp_verify_report_clear(&c->verify);
    *c = (struct wp_env_check){0};
}

/* A machine's features are those of its Numba's triple. */
static enum features_arch arch_of_probe(const struct wp_probe *p)
{
    return p->python.triple ? features_arch_of(p->python.triple) : features_arch_here();
}

int wp_env_check(const struct wp_env *e, size_t probe, struct wp_env_check *out,
                 struct wp_error *err)
{
    const struct env_probe *p = &e->probes[probe];
    struct features_code host = {0};
    struct judge_expect expect = {.numba = p->probe.python.numba,
                                  .python = p->probe.python.python,
                                  .triple = p->probe.python.triple,
                                  .cpu = p->probe.python.cpu,
                                  .features = p->probe.python.features,
                                  .who = p->name,
                                  .machine = "that machine"};
    int r = 0;

    *out = (struct wp_env_check){.probe = p->name};
    if (!e->report_count)
        return error_set(err, 0, NULL, "there are probes, but no caches to check");
    if (!p->probe.python.cpu)
        return error_set(err, 0, p->name, "says nothing of Numba: probe with --python");
    expect.host.arch = arch_of_probe(&p->probe);
    if (p->probe.machine) {
        r = features_of_code(&host, arch_of_probe(&p->probe), "", p->probe.machine);
        expect.host = host.set;
        expect.has_host = true;
    }
    for (size_t i = 0; i < e->report_count; i++)
        for (size_t k = 0; k < e->reports[i].count && r == 0; k++)
            r = check_index(&e->reports[i].indexes[k], &expect, out);
    features_code_clear(&host);
    if (r < 0) {
        wp_verify_report_clear(&out->verify);
        return error_nomem(err);
    }
    return 0;
}
