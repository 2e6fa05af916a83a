/* Retargeting: chooses which overloads of an index get the keys of who will run them, and which go
 * because they do not load there. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "numba/index_write.h"

/* Comparisons of keys in one index: more is none of Numba's. */
enum { MOST_PAIRS = 1 << 20 };

void choice_clear(struct choice *c)
{
    free(c->chosen);
    free(c->loads);
}

/* Does one of the overloads for which LOADS is set say the same as number WHICH, but for the CPU?
 * 1, 0 or negative errno. */
static int has_alike(const struct index *index, const bool *loads, size_t which)
{
    for (size_t i = 0; i < index->count; i++) {
        int r = i != which && loads[i]
                    ? key_is_alike(index->overloads[i].key, index->overloads[which].key)
                    : 0;

        if (r != 0)
            return r;
    }
    return 0;
}

/* Overloads for WHO's CPU stay as they are, and so do those that say the same. */
int choice_make(const struct index *index, const struct builds *builds, struct choice *c)
{
    _cleanup_free_ const struct build **of = calloc(index->count + 1, sizeof *of);

    *c = (struct choice){.chosen = calloc(index->count + 1, sizeof *c->chosen),
                         .loads = calloc(index->count + 1, sizeof *c->loads)};
    if (!of || !c->chosen || !c->loads)
        return -ENOMEM;
    if (index->count > MOST_PAIRS / index->count)
        return -ENOTSUP;
    for (size_t i = 0; i < index->count; i++) {
        _cleanup_(key_clear) struct wp_overload key = {0};

        if (!key_is_for_cpu(index->overloads[i].key))
            continue;
        if (key_read_cpu(&key, index->overloads[i].key) < 0)
            return -ENOMEM;
        of[i] = builds_find(builds, &key);
        c->loads[i] = of[i] && of[i]->told.is_native;
    }
    for (size_t i = 0; i < index->count; i++) {
        int r;

        if (!of[i] || of[i] != builds->chosen || of[i]->told.is_native)
            continue;
        r = has_alike(index, c->loads, i);
        if (r < 0)
            return r;
        c->chosen[i] = r == 0;
        c->any |= r == 0;
    }
    for (size_t i = 0; i < index->count; i++)
        c->loads[i] |= c->chosen[i];
    return 0;
}

int choice_count(struct wp_retarget_result *result, const struct index *index,
                 const struct choice *c)
{
    for (size_t i = 0; i < index->count; i++) {
        int alike;

        if (!key_is_for_cpu(index->overloads[i].key))
            continue;
        alike = c->loads[i] ? 1 : has_alike(index, c->loads, i);
        if (alike < 0)
            return alike;
        result->overloads++;
        result->loads += c->loads[i];
        result->left += alike == 0;
    }
    return 0;
}

static bool is_kept(const struct index *index, const struct choice *c, size_t which)
{
    return c->loads[which] || !key_is_for_cpu(index->overloads[which].key);
}

int choice_prune(const struct index *index, const struct choice *c, const struct index_cpu *cpu,
                 struct buf *out, struct wp_error *err)
{
    struct index_writer *w;
    int r = index_writer_new(&w, index, err);

    for (size_t i = 0; i < index->count && r == 0; i++)
        if (is_kept(index, c, i))
            r = index_writer_add(w, index, i, c->chosen[i] ? cpu : NULL, NULL, err);
    if (r == 0)
        r = index_writer_finish(w, out, err);
    index_writer_free(w);
    return r;
}

/* Does an overload that stays have data file NAME? */
static bool is_needed(const struct index *index, const struct choice *c, const char *name)
{
    for (size_t i = 0; i < index->count; i++)
        if (is_kept(index, c, i) && strcmp(index->overloads[i].data, name) == 0)
            return true;
    return false;
}

int choice_note_gone(struct retarget_index *item, const struct index *index, const struct choice *c)
{
    const char *base = path_base(item->path);
    struct index_name name;

    if (index_name_parse(base, &name) < 0)
        return 0;
    for (size_t i = 0; i < index->count; i++) {
        const char *data = index->overloads[i].data;
        size_t stem;

        if (is_needed(index, c, data) || !index_is_data_name(data, &stem) || stem != name.stem ||
            strncmp(data, base, stem) != 0)
            continue;
        if (array_grow(item->gone, item->gone_count) < 0 ||
            asprintf(&item->gone[item->gone_count], "%.*s%s", (int)(base - item->path), item->path,
                     data) < 0)
            return -ENOMEM;
        item->gone_count++;
    }
    return 0;
}

bool choice_drops(const struct retarget_job *job, const struct builds *builds,
                  const struct index *index, const struct choice *c)
{
    bool all = true;

    for (size_t i = 0; i < index->count && c->loads; i++)
        all &= is_kept(index, c, i);
    return job->prune && builds->chosen && !all;
}
