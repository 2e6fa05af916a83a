/* The job of merging: reads all inputs into spools, joins their indexes, and packs one archive from
 * them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/own_names.h"
#include "base/times.h"
#include "job.h"
#include "numba/caches.h"

/* The newest time of the first input's files that are not caches. */
static void find_floor(struct merge *m)
{
    const struct manifest *first = &m->inputs[0].m;

    for (size_t i = 0; i < first->entry_count; i++) {
        const struct entry *e = &first->entries[i];

        if (e->type == ENTRY_FILE && !caches_is_part(e->path) && own_home_at(e->path) < 0 &&
            time_is_before(m->floor, e->mtime))
            m->floor = e->mtime;
    }
}

static bool are_same(char *const *a, size_t count, char *const *b, size_t other_count)
{
    bool same = count == other_count;

    for (size_t i = 0; i < count && same; i++)
        same = strcmp(a[i], b[i]) == 0;
    return same;
}

/* Settings and other packages change the compiled code, and no key records them. */
static void compare_settings(struct merge *m)
{
    const struct manifest *first = &m->inputs[0].m;

    for (size_t i = 1; i < m->count; i++) {
        const struct manifest *other = &m->inputs[i].m;

        if (!are_same(first->env, first->env_count, other->env, other->env_count))
            report(m->context, WP_WARNING, m->inputs[i].name,
                   "was packed with other NUMBA_* settings that change code than %s: the manifest "
                   "tells of those",
                   m->inputs[0].name);
        if (!are_same(first->distributions, first->distribution_count, other->distributions,
                      other->distribution_count))
            report(m->context, WP_WARNING, m->inputs[i].name,
                   "was packed with other versions of what it imports than %s: the manifest tells "
                   "of those",
                   m->inputs[0].name);
    }
}

/* A signature of an input does not hold for the result. */
static void tell_unsigned(struct merge *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->inputs[i].spool.was_signed)
            report(m->context, WP_WARNING, m->inputs[i].name, "%s",
                   m->o->sign ? "its signature gives way to the new one"
                              : "its signature is left out, and there is no new one (--sign)");
}

static int read_all(struct merge *m, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < m->count && r == 0; i++)
        r = merge_read_input(m, i, err);
    if (r == 0)
        r = merge_compare_sources(m, err);
    for (size_t i = 0; i < m->count && r == 0; i++)
        r = merge_read_indexes(m, &m->inputs[i], err);
    for (size_t i = 1; i < m->count && r == 0; i++)
        r = merge_fit(m, &m->inputs[i], err);
    if (r == 0)
        r = merge_group(m, &m->groups, err);
    if (r == 0)
        r = merge_check_builds(m, &m->groups, err);
    if (r == 0)
        r = merge_name_builds(m, err);
    find_floor(m);
    return r;
}

static int tell(const struct merge *m, struct wp_error *err)
{
    struct wp_merge_result *result = m->result;

    for (size_t i = 0; i < m->cpu_count; i++) {
        _cleanup_free_ char *copy = strdup(m->cpus[i].text);
        char *rest = copy, *triple = copy ? strsep(&rest, " ") : NULL;
        char *cpu = copy ? strsep(&rest, " ") : NULL;
        struct wp_merge_build *out;

        if (!copy || array_grow(result->builds, result->build_count) < 0)
            return error_nomem(err);
        out = &result->builds[result->build_count++];
        *out = (struct wp_merge_build){.triple = strdup(triple),
                                       .cpu = strdup(cpu),
                                       .features = strdup(rest),
                                       .input = m->cpus[i].input,
                                       .overloads = m->cpus[i].overloads};
        if (!out->triple || !out->cpu || !out->features)
            return error_nomem(err);
    }
    return 0;
}

static int run(struct merge *m, struct output *out, struct wp_error *err)
{
    const struct wp_merge_options *o = m->o;
    int r;

    m->options = (struct wp_create_options){.archive = o->output,
                                            .format = o->format,
                                            .caches_only = o->caches_only,
                                            .strict = o->strict,
                                            .sync = o->sync,
                                            .numeric_owner = o->numeric_owner,
                                            .owner = o->owner,
                                            .group = o->group,
                                            .level = o->level,
                                            .level_set = o->level_set,
                                            .gzip_one_member = o->gzip_one_member,
                                            .sign = o->sign};
    m->pool = pool_new(context_threads(m->context));
    m->inputs = calloc(o->input_count, sizeof *m->inputs);
    if (!m->inputs)
        return error_nomem(err);
    m->count = o->input_count;
    for (size_t i = 0; i < m->count; i++)
        m->inputs[i].spool.fd = -1;
    if (!m->pool)
        return error_set(err, errno, NULL, "cannot start threads");
    r = read_all(m, err);
    if (r < 0)
        return r;
    compare_settings(m);
    tell_unsigned(m);
    r = pack_run(m->context, &m->options, merge_plan, m, m->pool, out, &m->result->made, err);
    return r < 0 ? r : tell(m, err);
}

static void clear(struct merge *m)
{
    for (size_t i = 0; i < m->count; i++)
        merge_input_clear(&m->inputs[i]);
    free(m->inputs);
    free(m->groups.members);
    for (size_t i = 0; i < m->cpu_count; i++)
        free(m->cpus[i].text);
    free(m->cpus);
    for (size_t i = 0; i < m->build_count; i++) {
        free(m->builds[i].archive);
        free(m->builds[i].root);
    }
    free(m->builds);
    pool_free(m->pool);
}

int wp_merge(const struct wp_context *context, const struct wp_merge_options *o,
             struct wp_merge_result *result, struct wp_error *err)
{
    struct merge m = {.context = context, .o = o, .result = result};
    struct output out = {.fd = -1, .dir = -1};
    int r;

    *result = (struct wp_merge_result){0};
    r = options_check(context, o, err);
    if (r == 0 && o->input_count < 2)
        r = error_set(err, 0, o->output, "not made: it takes two inputs to merge");
    if (r == 0)
        r = run(&m, &out, err);
    if (m.no_memory) {
        if (err)
            *err = (struct wp_error){0};
        r = error_nomem(err);
    }
    if (r == 0)
        r = output_commit(&out, err);
    output_close(&out);
    clear(&m);
    if (r < 0)
        wp_merge_result_clear(result);
    return r;
}

void wp_merge_result_clear(struct wp_merge_result *r)
{
    for (size_t i = 0; i < r->build_count; i++) {
        free(r->builds[i].triple);
        free(r->builds[i].cpu);
        free(r->builds[i].features);
    }
    free(r->builds);
    wp_create_result_clear(&r->made);
    *r = (struct wp_merge_result){0};
}
