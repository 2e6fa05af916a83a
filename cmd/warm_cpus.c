/* Reads the list of CPUs that a tree is to be warmed for. */

#include "warm_cpus.h"

#include <string.h>
#include <unistd.h>

#include "message.h"
#include "text.h"

static const char common[] = "common:";

/* The settings that all of the probes, separated by commas, can use. */
static int read_probes(struct wp_cpu *out, const struct wp_context *context, char *names)
{
    struct wp_env *env = NULL;
    struct wp_error err = {0};
    char *rest = names, *name;
    int r = wp_env_new(context, &env, &err);

    while (r == 0 && (name = strsep(&rest, ","))) {
        const bool there = access(name, F_OK) == 0;

        r = there ? wp_env_add_path(env, name, &err) : 1;
        if (r > 0 || (r == 0 && wp_env_probes(env) == 0)) {
            message_error("--cpu: %s: is no probe (see warmpack env --probe), and no CPU of that "
                          "name is known",
                          name);
            wp_env_free(env);
            return STATUS_FAILED;
        }
    }
    if (r == 0)
        r = wp_env_common(env, out, &err);
    wp_env_free(env);
    return message_outcome(r, &err);
}

static bool is_level(const char *name)
{
    static const char *const names[] = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "generic"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static int refuse_what_cannot_run(const struct warm_cpu *c)
{
    _cleanup_free_ char *lacks = NULL;
    struct wp_error err = {0};
    int r = wp_cpu_lacks(&c->cpu, &lacks, &err);

    if (r < 0)
        return message_error("--cpu %s: %s", c->given, err.message);
    if (!lacks)
        return 0;
    return message_error("--cpu %s: this machine cannot run its code: it lacks %s", c->given,
                         lacks);
}

static int add(struct warm_cpus *out, const struct wp_context *context, const char *name)
{
    struct warm_cpu *more = reallocarray(out->v, out->count + 1, sizeof *more), *c;
    /* cppcheck-suppress pointerOutOfBounds ; NAME is at least as long as what it begins with */
    const char *probes = strncmp(name, common, strlen(common)) == 0 ? name + strlen(common) : name;
    _cleanup_free_ char *copy = NULL;
    int status;

    if (!more)
        return message_no_memory();
    out->v = more;
    c = &out->v[out->count];
    *c = (struct warm_cpu){.given = strdup(name)};
    if (!c->given)
        return message_no_memory();
    out->count++;
    if (strcmp(name, "here") == 0)
        return 0;
    if (is_level(name)) {
        c->cpu.name = strdup(name);
        c->cpu.features = strdup("");
        return c->cpu.name && c->cpu.features ? refuse_what_cannot_run(c) : message_no_memory();
    }
    copy = strdup(probes);
    status = copy ? read_probes(&c->cpu, context, copy) : message_no_memory();
    return status ? status : refuse_what_cannot_run(c);
}

int warm_cpus_read(struct warm_cpus *out, const struct wp_context *context,
                   const struct string_list *given)
{
    int status = given->count ? 0 : add(out, context, "here");

    for (size_t i = 0; i < given->count && !status; i++) {
        _cleanup_free_ char *list = strdup(given->v[i]);
        char *rest = list, *name;

        if (!list)
            return message_no_memory();
        /* "common:" takes all that stands behind it. */
        while (!status && rest && strncmp(rest, common, strlen(common)) != 0 &&
               (name = strsep(&rest, ",")))
            status = add(out, context, name);
        if (!status && rest)
            status = add(out, context, rest);
    }
    for (size_t i = 0; i < out->count && !status; i++)
        for (size_t k = 0; k < i && !status; k++)
            if (strcmp(out->v[i].given, out->v[k].given) == 0)
                status = message_usage("--cpu: %s is named twice", out->v[i].given);
    return status;
}

void warm_cpus_clear(struct warm_cpus *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->v[i].given);
        wp_cpu_clear(&c->v[i].cpu);
    }
    free(c->v);
    *c = (struct warm_cpus){0};
}
