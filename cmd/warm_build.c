/* Runs the command in place, so that Numba compiles what it needs. */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "message.h"
#include "signals.h"
#include "text.h"
#include "warm_job.h"

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int warm_run_command(const struct warm *w, const struct child_options *options, const char *where,
                     double *seconds, struct explain_report *out)
{
    const double start = now();
    int child_status = 0;
    int status = watched_run(options, &child_status, out);

    if (seconds)
        *seconds = now() - start;
    if (status)
        return status;
    if (signals_caught()) {
        struct wp_error err = {0};

        return message_outcome(-EINTR, &err);
    }
    if (child_status)
        return message_error("%s: it ended with status %d, %s", w->command_text, child_status,
                             where);
    if (!out->process_count) {
        return message_error(
            "%s: no Python process of it that obeys PYTHONPATH imported Numba, %s: "
            "nothing is warmed",
            w->command_text, where);
    }
    if (out->disabled)
        return message_error("%s: NUMBA_DISABLE_JIT is set: nothing is warmed", w->command_text);
    return 0;
}

static int run_in_place(const struct warm *w, struct build *b, double *seconds,
                        struct explain_report *out)
{
    const struct wp_cpu *cpu = &b->cpu->cpu;
    _cleanup_free_ char *caches = b->caches ? text_printf("NUMBA_CACHE_DIR=%s", b->caches) : NULL;
    _cleanup_free_ char *name = cpu->name ? text_printf("NUMBA_CPU_NAME=%s", cpu->name) : NULL;
    _cleanup_free_ char *features =
        cpu->name ? text_printf("NUMBA_CPU_FEATURES=%s", cpu->features) : NULL;
    const char *set[4] = {NULL};
    size_t n = 0;

    if ((b->caches && !caches) || (cpu->name && (!name || !features)))
        return message_no_memory();
    if (caches)
        set[n++] = caches;
    if (cpu->name) {
        set[n++] = name;
        set[n++] = features;
    }
    const struct child_options options = {
        .command = w->command, .set = set, .stdout_to_stderr = w->a->json};
    return warm_run_command(w, &options, "in place", seconds, out);
}

static void count_warmed(struct build *b)
{
    for (size_t i = 0; i < b->first.compiled_count; i++) {
        const json_t *facts = b->first.compiled[i].facts;
        bool known = false;

        if (!json_is_true(json_object_get(facts, "saved")))
            continue;
        b->overloads++;
        for (size_t k = 0; k < i && !known; k++)
            known = json_is_true(json_object_get(b->first.compiled[k].facts, "saved")) &&
                    json_equal(json_object_get(b->first.compiled[k].facts, "function"),
                               json_object_get(facts, "function"));
        b->functions += !known;
    }
}

int warm_build(const struct warm *w, struct build *b)
{
    int status = 0;

    if (w->a->archive) {
        b->caches = text_printf("%s/caches-%zu", w->scratch, (size_t)(b - w->builds));
        if (!b->caches)
            return message_no_memory();
    }
    if (b->caches && mkdir(b->caches, 0700) < 0)
        return message_errno(b->caches);
    status = run_in_place(w, b, &b->seconds, &b->first);
    if (!status)
        status = run_in_place(w, b, NULL, &b->second);
    if (!status)
        count_warmed(b);
    return status;
}
