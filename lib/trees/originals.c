/* Finds indexes as they were before they were retargeted, by where they lie in the tree. */

#include "originals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void trees_originals_clear(struct trees_originals *o)
{
    for (size_t i = 0; i < o->count; i++) {
        free(o->list[i].source);
        index_clear(&o->list[i].index);
    }
    free(o->list);
    for (size_t i = 0; i < o->read_count; i++)
        originals_clear(&o->read[i]);
    free(o->read);
    *o = (struct trees_originals){0};
}

static int add(struct trees_originals *out, const struct tree_manifest *t,
               const struct manifest_original *o)
{
    const struct manifest_index *line = manifest_find_index(&t->m, o->index);
    struct tree_original *new;
    bool gone = false;

    if (!line || !line->source)
        return 0;
    if (array_grow(out->list, out->count) < 0)
        return -ENOMEM;
    new = &out->list[out->count++];
    *new = (struct tree_original){.name = path_base(o->index),
                                  .source = tree_path(t, line->source, &gone)};
    if (!new->source && !gone)
        return -ENOMEM;
    return index_read(&new->index, o->text.data, o->text.size, NULL) == -ENOMEM ? -ENOMEM : 0;
}

static int read_state(struct trees_originals *out, const struct tree_manifest *t)
{
    struct manifest_originals *read;
    int r;

    if (array_grow(out->read, out->read_count) < 0)
        return -ENOMEM;
    read = &out->read[out->read_count++];
    r = originals_read(read, t->state_text.data, t->state_text.size, t->name, NULL);
    for (size_t i = 0; i < read->count && r == 0; i++)
        r = add(out, t, &read->list[i]);
    return r == -ENOMEM ? r : 0;
}

int trees_originals_read(struct trees_originals *out, const struct trees *trees)
{
    int r = 0;

    for (size_t i = 0; i < trees->count && r == 0; i++)
        if (trees->list[i].has_state)
            r = read_state(out, &trees->list[i]);
    return r;
}

const struct pickle_value *trees_originals_key(const struct trees_originals *o, const char *index,
                                               const char *source, const char *data)
{
    for (size_t i = 0; i < o->count && source; i++) {
        const struct tree_original *one = &o->list[i];

        if (!one->source || strcmp(one->source, source) != 0 ||
            strcmp(one->name, path_base(index)) != 0)
            continue;
        for (size_t k = 0; k < one->index.count; k++)
            if (strcmp(one->index.overloads[k].data, data) == 0)
                return one->index.overloads[k].key;
    }
    return NULL;
}
