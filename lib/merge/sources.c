/* Merging: compares the content of the sources of all inputs. */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "job.h"
#include "numba/caches.h"

enum { MOST_TOLD = 20 };

struct comparison {
    struct merge *m;
    const struct merge_input *in; /* held against the first */
    size_t different;
};

/* HERE words its state in the input, THERE its state in the first input; a name follows each. */
static void tell(struct comparison *c, const char *path, const char *here, const char *there)
{
    c->different++;
    if (c->different <= MOST_TOLD)
        report(c->m->context, WP_WARNING, path, "%s %s %s %s", here, c->in->name, there,
               c->m->inputs[0].name);
}

/* A link that leads out of the archive is compared with the link of the other input: the file
 * behind it is not known. */
static bool is_same_link(const struct merge_input *first, const struct entry *e)
{
    const struct entry *other = manifest_find(&first->m, e->path);

    return e->type == ENTRY_SYMLINK && other && other->type == ENTRY_SYMLINK &&
           strcmp(e->target, other->target) == 0;
}

/* Source E of the input. */
static void compare(struct comparison *c, const struct entry *e)
{
    const struct merge_input *first = &c->m->inputs[0];
    const struct entry *here = merge_file(c->in, e->path);
    const struct entry *there = merge_file(first, e->path);

    if (!here) {
        if (!is_same_link(first, e))
            tell(c, e->path, "leads out of", "which is not so in");
    } else if (!there) {
        tell(c, e->path, "is in", "and not in");
    } else if (!merge_is_same(here, there)) {
        tell(c, e->path, "has other content in", "than in");
    }
}

/* The zip in which a source of an index lies. */
static bool is_zip_of(const struct merge_input *in, const struct entry *e)
{
    size_t n = strlen(e->path);

    if (e->type != ENTRY_FILE)
        return false;
    for (size_t i = 0; i < in->m.index_count; i++) {
        const char *source = in->m.indexes[i].source;

        if (source && strncmp(source, e->path, n) == 0 && source[n] == '/')
            return true;
    }
    return false;
}

static bool is_source(const struct merge_input *in, const struct entry *e)
{
    if (e->type == ENTRY_DIR)
        return false;
    return caches_is_source(e->path) || is_zip_of(in, e);
}

static int compare_input(struct comparison *c, struct wp_error *err)
{
    const struct merge_input *first = &c->m->inputs[0], *in = c->in;
    int r = 0;

    for (size_t i = 0; i < in->m.entry_count && r == 0; i++) {
        r = context_check(c->m->context, err);
        if (r == 0 && is_source(in, &in->m.entries[i]))
            compare(c, &in->m.entries[i]);
    }
    for (size_t i = 0; i < first->m.entry_count && !in->is_partial; i++)
        if (is_source(first, &first->m.entries[i]) &&
            !manifest_find(&in->m, first->m.entries[i].path))
            tell(c, first->m.entries[i].path, "is not in", "and it is in");
    if (r < 0 || !c->different)
        return r;
    return error_set(err, 0, in->name, "%zu of its sources %s not as in %s: not merged",
                     c->different, c->different == 1 ? "is" : "are", first->name);
}

int merge_compare_sources(struct merge *m, struct wp_error *err)
{
    int r = 0;

    if (m->inputs[0].is_partial)
        return error_set(err, 0, m->inputs[0].name,
                         "has caches without their sources: name a tree or an archive that has "
                         "them first");
    for (size_t i = 1; i < m->count && r == 0; i++) {
        struct comparison c = {.m = m, .in = &m->inputs[i]};

        r = compare_input(&c, err);
    }
    return r;
}
