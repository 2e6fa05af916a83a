/* warmpack env: prints the settings for a CPU, or compares caches with machines. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_document.h"
#include "message.h"
#include "operands.h"
#include "show.h"
#include "signals.h"
#include "text.h"
#include "verbs.h"

/* ---- Settings ---------------------------------------------------------------------------- */

static void print_sh(const struct wp_cpu *c)
{
    printf("export NUMBA_CPU_NAME='%s'\nexport NUMBA_CPU_FEATURES='%s'\n", c->name, c->features);
}

static void print_docker(const struct wp_cpu *c)
{
    printf("ENV NUMBA_CPU_NAME=\"%s\"\nENV NUMBA_CPU_FEATURES=\"%s\"\n", c->name, c->features);
}

static void print_spark(const struct wp_cpu *c)
{
    printf("spark.executorEnv.NUMBA_CPU_NAME=%s\nspark.executorEnv.NUMBA_CPU_FEATURES=%s\n",
           c->name, c->features);
}

static void print_json(const struct wp_cpu *c)
{
    document_begin();
    if (c->name) {
        document_member("NUMBA_CPU_NAME", json_string(c->name));
        document_member("NUMBA_CPU_FEATURES", json_string(c->features));
    }
    document_end();
}

static const struct {
    const char *name;
    void (*print)(const struct wp_cpu *c);
} formats[] = {
    {"sh", print_sh}, {"docker", print_docker}, {"json", print_json}, {"spark", print_spark}};

/* The place of --format's NAME among the formats, or -1. */
static int find_format(const struct args *a)
{
    const char *name = a->format ? a->format : a->json ? "json" : "sh";

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, name) == 0)
            return (int)i;
    message_usage("--format: '%s' is none of sh, docker, json, spark", name);
    return -1;
}

/* ---- Probes ------------------------------------------------------------------------------ */

static int probe(const struct wp_context *context, const struct args *a)
{
    struct wp_error err = {0};
    struct wp_probe here;
    char *text;
    int rc = wp_probe_here(context, a->python, &here, &err);

    if (rc < 0)
        return message_outcome(rc, &err);
    text = wp_probe_text(&here);
    if (text)
        puts(text);
    else
        message_no_memory();
    free(text);
    wp_probe_clear(&here);
    return message_status();
}

static json_t *check_object(const struct wp_env_check *c)
{
    json_t *o = json_object(), *reasons = json_object();

    document_set_name(o, "probe", c->probe);
    json_object_set_new(o, "total", document_count(c->total));
    json_object_set_new(o, "load", document_count(c->load));
    json_object_set_new(o, "run", document_count(c->run));
    for (size_t i = 0; i < c->verify.count; i++)
        if (c->verify.indexes[i].reason)
            document_set_name(reasons, wp_status_name(c->verify.indexes[i].status),
                              c->verify.indexes[i].reason);
    for (size_t i = 0; i < c->verify.note_count; i++)
        document_set_name(reasons, wp_note_name(c->verify.notes[i].kind), c->verify.notes[i].text);
    json_object_set_new(o, "reasons", reasons);
    return o;
}

/* "worker.json: 32 of 32 cache indexes would load, 32 could run", and why not, kind by kind. */
static void print_check(const struct wp_env_check *c)
{
    bool told[WP_STATUS_COUNT] = {false};

    printf("%s: %zu of %zu cache indexes would load, %zu could run\n", show_name(c->probe), c->load,
           c->total, c->run);
    for (size_t i = 0; i < c->verify.count; i++) {
        const struct wp_index_status *s = &c->verify.indexes[i];

        if (wp_status_loads(s->status) || told[s->status])
            continue;
        told[s->status] = true;
        printf("  %zu %s, such as %s: %s\n", c->verify.by_status[s->status],
               wp_status_name(s->status), show_name(s->index), s->reason);
    }
    if (c->verify.note_count)
        printf("  %zu %s, such as %s: %s\n", c->verify.note_count,
               wp_note_name(c->verify.notes[0].kind), show_name(c->verify.notes[0].path),
               c->verify.notes[0].text);
}

static int check(const struct args *a, const struct wp_env *env)
{
    if (wp_env_probes(env) == 0)
        return message_usage("--check needs a PROBE.json: see --probe");
    if (a->json) {
        document_begin();
        document_array("checks");
    }
    for (size_t i = 0; i < wp_env_probes(env); i++) {
        struct wp_error err = {0};
        struct wp_env_check c;
        int rc = wp_env_check(env, i, &c, &err);

        if (rc < 0)
            return message_outcome(rc, &err);
        if (a->json)
            document_item(check_object(&c));
        else
            print_check(&c);
        if (c.load < c.total || c.run < c.total)
            message_raise(STATUS_LOST);
        wp_env_check_clear(&c);
    }
    if (a->json) {
        document_array_end();
        document_end();
    }
    return message_status();
}

/* ---- The verb ---------------------------------------------------------------------------- */

static int gather_archive(const struct wp_context *context, struct wp_env *env, const char *name,
                          struct wp_error *err)
{
    _cleanup_archive_ struct wp_archive *archive = NULL;
    int rc = wp_archive_open(context, name, &archive, err);

    return rc < 0 ? rc : wp_env_add_archive(env, name, archive, err);
}

static int gather(const struct wp_context *context, const struct args *a, struct wp_env *env,
                  struct wp_error *err)
{
    int rc = a->archive ? gather_archive(context, env, a->archive, err) : 0;

    for (size_t i = 0; i < a->operand_count && rc == 0; i++) {
        const char *name = a->operands[i].text;

        rc = wp_env_add_path(env, name, err);
        if (rc == 1)
            rc = gather_archive(context, env, name, err);
    }
    return rc;
}

static int print_settings(const struct args *a, const struct wp_env *env, int format)
{
    struct wp_error err = {0};
    struct wp_cpu cpu;
    int rc = a->common ? wp_env_common(env, &cpu, &err) : wp_env_settings(env, &cpu, &err);

    if (rc < 0)
        return message_outcome(rc, &err);
    if (!cpu.name)
        message_summary("no settings are needed where these caches were retargeted for");
    if (cpu.name || strcmp(formats[format].name, "json") == 0)
        formats[format].print(&cpu);
    wp_cpu_clear(&cpu);
    return message_status();
}

int env_run(const struct wp_context *context, const struct args *a)
{
    int format = find_format(a), rc = operands_check_terminal(a);
    struct wp_error err = {0};
    struct wp_env *env;

    if (format < 0 || rc)
        return rc ? rc : STATUS_FAILED;
    signals_install();
    if (a->probe)
        return probe(context, a);
    rc = wp_env_new(context, &env, &err);
    if (rc == 0)
        rc = gather(context, a, env, &err);
    rc = message_outcome(rc, &err);
    if (!rc)
        rc = a->check ? check(a, env) : print_settings(a, env, format);
    wp_env_free(env);
    return rc;
}
