/* Finds which CPUs the code of a tree was compiled for, and chooses among these builds. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "job.h"

enum { MOST_BUILDS = 256 };

static bool is_same(const struct build *b, const struct wp_overload *key)
{
    return strcmp(b->triple, key->triple) == 0 && strcmp(b->cpu, key->cpu) == 0 &&
           strcmp(b->features, key->features) == 0;
}

const struct build *builds_find(const struct builds *b, const struct wp_overload *key)
{
    for (size_t i = 0; i < b->count; i++)
        if (is_same(&b->list[i], key))
            return &b->list[i];
    return NULL;
}

static int explain(struct build *b, const char *why)
{
    b->why_not = strdup(why);
    return b->why_not ? 0 : -ENOMEM;
}

/* Can WHO run it? Fills the rest of B. 0 or -ENOMEM. */
static int compare(struct build *b, const struct retarget_who *who)
{
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
    r = features_needed(&b->need, b->triple, b->cpu, b->features, &why);
    if (r == -ENOMEM || b->is_native)
        return r == -ENOMEM ? r : 0;
    if (r < 0)
        return explain(b, why.message);
    r = features_missing(&b->need, &who->have, &lacking);
    if (r <= 0)
        return r;
    r = buf_printf(&text, "its code needs %s, which %s lacks", (char *)lacking.data, who->name);
    return r < 0 ? r : explain(b, (char *)text.data);
}

static int add(struct builds *b, const struct wp_overload *key, const struct retarget_who *who,
               struct wp_error *err)
{
    struct build *new;

    if (b->count == MOST_BUILDS)
        return error_set(err, 0, NULL, "the caches are for more CPUs than can be told apart");
    if (array_grow(b->list, b->count) < 0)
        return error_nomem(err);
    new = &b->list[b->count++];
    *new = (struct build){.triple = strdup(key->triple),
                          .cpu = strdup(key->cpu),
                          .features = strdup(key->features),
                          .overloads = 1};
    return new->triple &&new->cpu &&new->features &&compare(new, who) == 0 ? 0 : error_nomem(err);
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
            known->overloads++;
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
static bool is_packed(const struct build *b, const struct manifest *m)
{
    for (size_t i = 0; i < m->cpu_count; i++) {
        const char *at = m->cpus[i];
        const char *parts[] = {b->triple, b->cpu, b->features};
        bool same = true;

        for (size_t k = 0; k < 3 && same; k++) {
            size_t n = strlen(parts[k]);

            same = strncmp(at, parts[k], n) == 0 && at[n] == (k < 2 ? ' ' : '\0');
            at += same && k < 2 ? n + 1 : 0;
        }
        if (same)
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

        if (one->is_native && is_packed(one, m)) {
            b->chosen = one;
            return;
        }
        if (one->is_native || one->why_not || (b->chosen && has <= most))
            continue;
        b->chosen = one;
        most = has;
    }
}

void builds_clear(struct builds *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free(b->list[i].triple);
        free(b->list[i].cpu);
        free(b->list[i].features);
        free(b->list[i].why_not);
    }
    free(b->list);
    *b = (struct builds){0};
}
