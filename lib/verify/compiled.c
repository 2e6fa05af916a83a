/* Which builds an interpreter loads: the CPUs that the code was compiled for which its keys find.
 * Of a retargeted index the key says another one; what it said stands in the tree's state. */

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "job.h"
#include "numba/features.h"
#include "numba/key.h"
#include "trees/originals.h"

static bool is_same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static int fill(struct wp_loaded_build *b, const char *triple, const char *cpu,
                const char *features)
{
    _cleanup_buf_ struct buf text = {0};
    struct features need;
    struct wp_error why = {0};
    int r = features_needed(&need, triple, cpu, features, &why);

    b->triple = strdup(triple);
    b->cpu = strdup(cpu);
    b->features = strdup(features);
    if (r == 0 && (features_text(&need, &text) < 0 || !(b->needs = strdup((char *)text.data))))
        r = -ENOMEM;
    return r == -ENOMEM || !b->triple || !b->cpu || !b->features ? -ENOMEM : 0;
}

/* Counts an overload of a build. */
static int count(struct wp_verify_report *out, const char *triple, const char *cpu,
                 const char *features, bool retargeted)
{
    struct wp_loaded_build *new;

    for (size_t i = 0; i < out->build_count; i++) {
        struct wp_loaded_build *b = &out->builds[i];

        if (is_same(b->triple, triple) && is_same(b->cpu, cpu) && is_same(b->features, features) &&
            b->retargeted == retargeted) {
            b->overloads++;
            return 0;
        }
    }
    if (array_grow(out->builds, out->build_count) < 0)
        return -ENOMEM;
    new = &out->builds[out->build_count++];
    *new = (struct wp_loaded_build){.overloads = 1, .retargeted = retargeted};
    return fill(new, triple, cpu, features);
}

static int count_overload(struct wp_verify_report *out, const struct trees_originals *f,
                          const struct wp_index_status *s, const struct wp_overload *o)
{
    const struct pickle_value *was = trees_originals_key(f, s->index, s->source, o->data);
    _cleanup_(key_clear) struct wp_overload key = {0};

    if (was && key_is_for_cpu(was)) {
        if (key_read_cpu(&key, was) < 0)
            return -ENOMEM;
        if (!is_same(key.cpu, o->cpu) || !is_same(key.features, o->features))
            return count(out, key.triple, key.cpu, key.features, true);
    }
    return count(out, o->triple, o->cpu, o->features, false);
}

int verify_compiled(struct wp_verify_report *out, const struct judge_expect *e,
                    const struct trees *trees, struct wp_error *err)
{
    _cleanup_(trees_originals_clear) struct trees_originals found = {0};
    int r = trees && e->triple ? trees_originals_read(&found, trees) : 0;

    for (size_t i = 0; i < out->count && e->triple && r == 0; i++) {
        const struct wp_index_status *s = &out->indexes[i];

        for (size_t k = 0; k < s->overload_count && wp_status_loads(s->status) && r == 0; k++) {
            const struct wp_overload *o = &s->overloads[k];

            if (is_same(o->triple, e->triple) && is_same(o->cpu, e->cpu) &&
                is_same(o->features, e->features))
                r = count_overload(out, &found, s, o);
        }
    }
    return r < 0 ? error_nomem(err) : 0;
}
