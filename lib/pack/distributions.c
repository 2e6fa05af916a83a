/* Packing: records which versions of other packages an interpreter has, where sources import them:
 * code of the indexes can come from those, too. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "numba/installed.h"

enum { LONGEST = 1024 }; /* bytes of a name and a version */

/* The top-level names that lead out of what is packed, each once. 0 or -ENOMEM. */
static int list_outside(const struct manifest *m, struct path_list *out)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->set_count; i++)
        for (size_t k = 0; k < m->sets[i].outside_count; k++)
            if (path_list_add(out, strdup(m->sets[i].outside[k])) < 0)
                return -ENOMEM;
    path_list_sort(out);
    for (size_t i = 0; i < out->count; i++) {
        if (kept && strcmp(out->v[kept - 1], out->v[i]) == 0)
            free(out->v[i]);
        else
            out->v[kept++] = out->v[i];
    }
    out->count = kept;
    return 0;
}

/* What is no plain text is none of Python's names or versions. */
static bool is_recordable(const struct installed *d)
{
    return !strchr(d->name, '=') && wp_is_utf8(d->name) && wp_is_utf8(d->version) &&
           strlen(d->name) + strlen(d->version) < LONGEST;
}

static int record(struct manifest *m, const struct installed *d)
{
    char *pair = NULL;

    if (array_grow(m->distributions, m->distribution_count) < 0 ||
        asprintf(&pair, "%s=%s", d->name, d->version) < 0)
        return -ENOMEM;
    m->distributions[m->distribution_count++] = pair;
    if (!d->uses_numba)
        return 0;
    if (array_grow(m->numba_users, m->numba_user_count) < 0 ||
        !(m->numba_users[m->numba_user_count] = strdup(d->name)))
        return -ENOMEM;
    m->numba_user_count++;
    return 0;
}

int pack_distributions(struct pack *p, struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list outside = {0};
    struct installed *list = NULL;
    size_t count = 0;
    int r;

    if (!p->o->python)
        return 0;
    r = list_outside(&p->manifest, &outside) < 0 ? error_nomem(err) : 0;
    if (r == 0 && outside.count)
        r = installed_ask(p->context, p->o->python, outside.v, outside.count, false, &list, &count,
                          err);
    for (size_t i = 0; i < count && r == 0; i++)
        if (is_recordable(&list[i]) && record(&p->manifest, &list[i]) < 0)
            r = error_nomem(err);
    installed_free(list, count);
    return r;
}
