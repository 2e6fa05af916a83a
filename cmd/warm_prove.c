/* Proves on a copy at another path that what was packed is warm there. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "message.h"
#include "text.h"
#include "warm_job.h"
#include "warm_places.h"

/* The Python that ran the command: for it, code for other CPUs is to load there. */
static const char *python_of(const struct warm *w)
{
    const char *python = explain_text(w->builds[0].first.processes[0].facts, "executable");

    if (w->cpus.count == 1 && !w->builds[0].cpu->cpu.name && !getenv("NUMBA_CPU_NAME") &&
        !getenv("NUMBA_CPU_FEATURES"))
        return NULL; /* nothing but this machine's own */
    return *python ? python : "here";
}

/* The Python is asked without them, as it will run. */
static int extract_without_settings(struct wp_archive *archive, const struct wp_extract_options *o,
                                    struct wp_error *err)
{
    static const char *const names[] = {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"};
    _cleanup_(wp_extract_result_clear) struct wp_extract_result result = {0};
    char *values[2] = {NULL};
    int r = 0;

    for (size_t i = 0; i < 2; i++) {
        const char *value = getenv(names[i]);

        if (value && !(values[i] = strdup(value)))
            r = -ENOMEM;
        unsetenv(names[i]);
    }
    if (r == 0)
        r = wp_extract(archive, o, &result, err);
    for (size_t i = 0; i < 2; i++) {
        if (values[i] && setenv(names[i], values[i], 1) < 0)
            r = r < 0 ? r : -ENOMEM;
        free(values[i]);
    }
    return r;
}

static int unpack(struct warm *w)
{
    const char *path = w->merged ? w->merged : w->builds[0].archive;
    struct wp_extract_options o = {.retarget = python_of(w)};
    _cleanup_archive_ struct wp_archive *archive = NULL;
    struct wp_error err = {0};
    int r;

    w->copy = text_join(w->scratch, "elsewhere");
    if (!w->copy)
        return message_no_memory();
    o.dir = w->copy;
    r = wp_archive_open(w->context, path, &archive, &err);
    if (r == 0)
        r = extract_without_settings(archive, &o, &err);
    return message_outcome(r, &err);
}

/* Where the command is run: here, or at this place in the copy. */
static char *new_cwd(const struct warm *w)
{
    const char *const dirs[] = {w->dir, w->real, NULL};
    char *placed = warm_place(w->cwd, dirs, w->copy);
    struct stat st;

    if (placed && stat(placed, &st) == 0)
        return placed;
    free(placed);
    return strdup(w->cwd);
}

static int run_elsewhere(struct warm *w)
{
    static const char *const unset[] = {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_CACHE_DIR",
                                        NULL};
    const char *const dirs[] = {w->dir, w->real, NULL};
    _cleanup_free_ char *cwd = new_cwd(w);
    _cleanup_free_ char *python_path = warm_python_path(dirs, w->copy, w->cwd);
    char **command = cwd ? warm_command(w->command, dirs, w->copy, w->cwd, cwd) : NULL;
    const char *const set[] = {python_path, NULL};
    const struct child_options options = {.command = (const char *const *)command,
                                          .set = set,
                                          .unset = unset,
                                          .dir = cwd,
                                          .stdout_to_stderr = w->a->json};
    int status;

    if (!command || !python_path) {
        warm_command_free(command);
        return message_no_memory();
    }
    status = warm_run_command(w, &options, "in a copy elsewhere", &w->seconds, &w->there);
    warm_command_free(command);
    return status;
}

static bool is_in(const struct explain_report *r, const json_t *facts)
{
    for (size_t i = 0; i < r->compiled_count; i++)
        if (json_equal(json_object_get(r->compiled[i].facts, "function"),
                       json_object_get(facts, "function")) &&
            json_equal(json_object_get(r->compiled[i].facts, "signature"),
                       json_object_get(facts, "signature")))
            return true;
    return false;
}

/* Names what is compiled elsewhere, though not in a second run in place. */
static void judge(struct warm *w)
{
    for (size_t i = 0; i < w->there.compiled_count; i++) {
        const json_t *facts = w->there.compiled[i].facts;
        bool always = false;

        for (size_t k = 0; k < w->cpus.count; k++)
            always |= is_in(&w->builds[k].second, facts);
        if (always)
            continue;
        w->failed++;
        message_lost("%s %s is compiled elsewhere: %s: %s", explain_text(facts, "function"),
                     explain_text(facts, "signature"), explain_text(facts, "cause"),
                     explain_text(facts, "detail"));
    }
}

int warm_prove(struct warm *w)
{
    int status = unpack(w);

    if (!status)
        status = run_elsewhere(w);
    if (!status)
        judge(w);
    return status;
}
