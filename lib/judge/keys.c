/* Judges the keys of an index: versions, and the CPUs that its code is for. */

#include "keys.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "judge.h"
#include "overloads.h"

int judge_expect_begin(struct judge_expect *e, const struct wp_context *context,
                       const struct wp_verify_options *o, struct wp_error *err)
{
    int r = 0;

    *e = (struct judge_expect){.machine = "this machine"};
    e->has_host = features_of_host(&e->host);
    if (o->python) {
        r = wp_python_ask(context, o->python, &e->asked, err);
        e->numba = e->asked.numba;
        e->python = e->asked.python;
        e->triple = e->asked.triple;
        e->cpu = e->asked.cpu;
        e->features = e->asked.features;
        e->who = o->python;
        return r;
    }
    e->cpu = o->cpu_name;
    e->features = o->cpu_features;
    /* Only this name empties the list by itself (numba/core/config.py). */
    if (!e->features && e->cpu && strcasecmp(e->cpu, "generic") == 0)
        e->features = "";
    e->keeps_host = e->cpu && !e->features;
    e->who = e->cpu ? "NUMBA_CPU_NAME" : "NUMBA_CPU_FEATURES";
    return r;
}

void judge_expect_end(struct judge_expect *e)
{
    wp_python_clear(&e->asked);
    *e = (struct judge_expect){0};
}

bool judge_expect_knows(const struct judge_expect *e)
{
    return e->numba || e->cpu || e->features;
}

static bool differs(const char *have, const char *want)
{
    return want && strcmp(have, want) != 0;
}

static bool is_for_it(const struct wp_overload *o, const struct judge_expect *e)
{
    if (e->keeps_host && !features_is_full(o->features))
        return false;
    return !differs(o->triple, e->triple) && !differs(o->cpu, e->cpu) &&
           !differs(o->features, e->features);
}

/* Can this machine run the overload? 1; 0 with WHY filled; -ENOMEM. */
static int can_run(const struct wp_overload *o, const struct judge_expect *e, struct buf *why)
{
    const enum features_arch arch = features_arch_of(o->triple);
    struct features_code code;
    int r = 0;

    if (!features_arch_can_run(e->host.arch, arch)) {
        const struct features other = {.arch = arch};

        r = features_missing(&other, &e->host, why);
        return r < 0 ? r : 0;
    }
    if (!e->has_host || (arch != FEATURES_X86_64 && arch != FEATURES_AARCH64))
        return 1; /* nothing is known of it */
    if (features_of_code(&code, arch, o->cpu, o->features) < 0)
        r = -ENOMEM;
    else
        r = features_missing(&code.set, &e->host, why);
    features_code_clear(&code);
    return r < 0 ? r : r == 0;
}

static int wrong_cpu(struct wp_index_status *s, const struct wp_overload *o,
                     const struct judge_expect *e)
{
    if (differs(o->triple, e->triple))
        return judge_set(s, WP_WRONG_CPU, "it is for %s, and %s is for %s", o->triple, e->who,
                         e->triple);
    if (differs(o->cpu, e->cpu))
        return judge_set(s, WP_WRONG_CPU, "it is for CPU %s, and %s has %s", o->cpu, e->who,
                         e->cpu);
    if (e->keeps_host)
        return judge_set(s, WP_WRONG_CPU,
                         "its list of features is not this machine's, which Numba keeps where "
                         "NUMBA_CPU_NAME is set alone");
    return judge_set(s, WP_WRONG_CPU, "its list of features is not that of %s",
                     e->numba ? e->who : "NUMBA_CPU_FEATURES");
}

/* Of the overloads that are one function for one signature, one must be for the CPU that Numba
 * compiles for, and this machine must be able to run it. */
static int judge_overload(struct wp_index_status *s, size_t which, const struct judge_expect *e)
{
    _cleanup_buf_ struct buf why = {0};
    const struct wp_overload *o = &s->overloads[which];
    bool fits = false;

    for (size_t i = 0; i < s->overload_count; i++) {
        const struct wp_overload *other = &s->overloads[i];
        int r;

        if (!other->cpu || !overloads_are_alike(o, other) || !is_for_it(other, e))
            continue;
        fits = true;
        buf_clear(&why);
        r = can_run(other, e, &why);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    if (!fits)
        return wrong_cpu(s, o, e);
    s->other_arch = !features_arch_can_run(e->host.arch, features_arch_of(o->triple));
    if (s->other_arch)
        return judge_set(s, WP_WRONG_CPU, "it is for %s, and %s is %s", o->triple, e->machine,
                         features_is_of_other_system(o->triple) ? "a Linux"
                                                                : features_arch_name(e->host.arch));
    return judge_set(s, WP_UNSAFE_CPU, "needs %s, which %s lacks", (char *)why.data, e->machine);
}

int judge_against(struct wp_index_status *s, const struct judge_expect *e)
{
    int r = 0;

    if (differs(s->python ? s->python : "", e->python))
        return judge_set(s, WP_WRONG_PYTHON, "it is for Python %s, and %s is %s",
                         s->python ? s->python : "?", e->who, e->python);
    if (differs(s->numba, e->numba))
        return judge_set(s, WP_WRONG_NUMBA, "Numba %s wrote it, and %s has %s", s->numba, e->who,
                         e->numba);
    for (size_t i = 0; i < s->overload_count && r == 0 && wp_status_loads(s->status); i++)
        if (s->overloads[i].cpu)
            r = judge_overload(s, i, e);
    return r;
}

int judge_can_run(const struct wp_index_status *s, const struct judge_expect *e)
{
    for (size_t i = 0; i < s->overload_count; i++) {
        int r = 0;

        if (!s->overloads[i].cpu)
            continue;
        for (size_t k = 0; k < s->overload_count && r == 0; k++) {
            _cleanup_buf_ struct buf why = {0};

            if (s->overloads[k].cpu && overloads_are_alike(&s->overloads[i], &s->overloads[k]))
                r = can_run(&s->overloads[k], e, &why);
        }
        if (r <= 0)
            return r;
    }
    return 1;
}

int judge_keys(struct wp_index_status *s, const struct index *index, const struct judge_expect *e,
               int (*size_of)(void *ctx, const char *name, uint64_t *size), void *ctx,
               struct wp_error *err)
{
    struct wp_error why = {0};
    int r = index ? overloads_fill(s, index, size_of, ctx, &why) : 0;

    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0)
        r = judge_set(s, WP_CORRUPT, "%s", why.message);
    else if (index && wp_status_loads(s->status))
        r = judge_against(s, e);
    return r < 0 ? error_nomem(err) : 0;
}
