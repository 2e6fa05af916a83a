/* Finds which CPUs the code of a tree was compiled for, and chooses among these builds. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "job.h"

enum { MOST_BUILDS = 256 };

static bool is_same(const struct wp_retarget_build *b, const struct wp_overload *key)
{
    return strcmp(b->triple, key->triple) == 0 && strcmp(b->cpu, key->cpu) == 0 &&
           strcmp(b->features, key->features) == 0;
}

const struct build *builds_find(const struct builds *b, const struct wp_overload *key)
{
    for (size_t i = 0; i < b->count; i++)
        if (is_same(&b->list[i].told, key))
            return &b->list[i];
    return NULL;
}

static int explain(struct wp_retarget_build *b, const char *why)
{
    b->reason = strdup(why);
    return b->reason ? 0 : -ENOMEM;
}

/* Can WHO run it? Fills the rest of B. 0 or -ENOMEM. */
static int compare(struct build *build, const struct retarget_who *who)
{
    struct wp_retarget_build *b = &build->told;
    const struct wp_python *python = &who->probe.python;
    _cleanup_buf_ struct buf lacking = {0}, text = {0};
    struct wp_error why = {0};
    int r;

    if (strcmp(b->triple, python->triple) != 0) {
        r = buf_printf(&text, "it is for %s, and %s compiles for %s", b->triple, who->name,
                       python->triple);
        return r < 0 ? r : explain(b, (char *)text.data);
    }
    b->is_native = strcmp(b->cpu, python->cpu) == 0 && strcmp(b->features, python->features) == 0;
    r = features_needed(&build->need, b->triple, b->cpu, b->features, &why);
    if (r == -ENOMEM || b->is_native)
        return r == -ENOMEM ? r : 0;
    if (r < 0)
        return explain(b, why.message);
    r = features_missing(&build->need, &who->have, &lacking);
    if (r <= 0)
        return r;
    r = buf_printf(&text, "its code needs %s, which %s lacks", (char *)lacking.data, who->name);
    return r < 0 ? r : explain(b, (char *)text.data);
}

static int add(struct builds *b, const struct wp_overload *key, const struct retarget_who *who,
               struct wp_error *err)
{
    struct wp_retarget_build *new;

    if (b->count == MOST_BUILDS)
        return error_set(err, 0, NULL, "the caches are for more CPUs than can be told apart");
    if (array_grow(b->list, b->count) < 0)
        return error_nomem(err);
    b->list[b->count] = (struct build){.told = {.triple = strdup(key->triple),
                                                .cpu = strdup(key->cpu),
                                                .features = strdup(key->features),
                                                .overloads = 1}};
    new = &b->list[b->count++].told;
    return new->triple &&new->cpu &&new->features &&compare(&b->list[b->count - 1], who) == 0
               ? 0
               : error_nomem(err);
}

int builds_add(struct builds *b, const struct retarget_job *job, const struct index *index,
               struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < index->count && r == 0; i++) {
        _cleanup_(key_clear) struct wp_overload key = {0};
        struct build *known;

        if (!key_is_for_cpu(index->overloads[i].key))
            continue;
        if (key_read_cpu(&key, index->overloads[i].key) < 0)
            return error_nomem(err);
        known = (struct build *)builds_find(b, &key);
        if (known)
            known->told.overloads++;
        else
            r = add(b, &key, job->who, err);
    }
    return r;
}

static size_t count_features(const struct features *f)
{
    size_t count = 0;

    for (unsigned i = 0; features_name(i); i++)
        count += features_has(f, i);
    return count;
}

/* Was it packed, or has Numba compiled it here since? */
static bool is_packed(const struct wp_retarget_build *b, const struct manifest *m)
{
    const char *const parts[] = {b->triple, " ", b->cpu, " ", b->features};

    for (size_t i = 0; i < m->cpu_count; i++) {
        const char *at = m->cpus[i];
        size_t k = 0;

        for (; k < 5 && strncmp(at, parts[k], strlen(parts[k])) == 0; k++)
            at += strlen(parts[k]);
        if (k == 5 && !*at)
            return true;
    }
    return m->cpu_count == 0;
}

void builds_choose(struct builds *b, const struct manifest *m)
{
    size_t most = 0;

    b->chosen = NULL;
    for (size_t i = 0; i < b->count; i++) {
        const struct build *one = &b->list[i];
        size_t has = count_features(&one->need);

        if (one->told.is_native && is_packed(&one->told, m)) {
            b->chosen = one;
            return;
        }
        if (one->told.is_native || one->told.reason || (b->chosen && has <= most))
            continue;
        b->chosen = one;
        most = has;
    }
}

void build_clear(struct wp_retarget_build *b)
{
    free(b->triple);
    free(b->cpu);
    free(b->features);
    free(b->reason);
}

void builds_clear(struct builds *b)
{
    for (size_t i = 0; i < b->count; i++)
        build_clear(&b->list[i].told);
    free(b->list);
    *b = (struct builds){0};
}
