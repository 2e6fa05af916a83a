/* Which of the caches that `env` gathered were retargeted: who they were retargeted for needs no
 * settings. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "env.h"
#include "numba/key.h"
#include "trees/originals.h"

/* Is O's key, which was WAS, another CPU's now? 1, 0 or -ENOMEM. */
static int is_retargeted(const struct wp_overload *o, const struct pickle_value *was)
{
    _cleanup_(key_clear) struct wp_overload key = {0};

    if (!was || !key_is_for_cpu(was) || !o->cpu)
        return 0;
    if (key_read_cpu(&key, was) < 0)
        return -ENOMEM;
    return !text_same(key.cpu, o->cpu) || !text_same(key.features, o->features);
}

static int mark(struct wp_env *e, const struct wp_overload *o)
{
    if (env_is_retargeted(e, o->cpu, o->features))
        return 0;
    return array_add(e->retargeted, e->retargeted_count, o);
}

bool env_is_retargeted(const struct wp_env *e, const char *cpu, const char *features)
{
    for (size_t i = 0; i < e->retargeted_count; i++)
        if (text_same(e->retargeted[i]->cpu, cpu) &&
            text_same(e->retargeted[i]->features, features))
            return true;
    return false;
}

int env_find_retargeted(struct wp_env *e, const char *dir, const struct wp_verify_report *found,
                        struct wp_error *err)
{
    _cleanup_(trees_originals_clear) struct trees_originals originals = {0};
    _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(trees_clear) struct trees trees = {.context = e->context, .dir = dir, .fd = fd};
    struct wp_error why = {0};
    int r =
        fd < 0 ? error_set(&why, errno, dir, "cannot be opened") : trees_find(&trees, NULL, &why);

    if (r < 0 && !trees_pass_over(r)) {
        if (err && !err->code)
            *err = why;
        return r;
    }
    r = trees_originals_read(&originals, &trees);
    for (size_t i = 0; i < found->count && originals.count && r == 0; i++) {
        const struct wp_index_status *s = &found->indexes[i];

        for (size_t k = 0; k < s->overload_count && r == 0; k++) {
            const struct wp_overload *o = &s->overloads[k];

            r = is_retargeted(o, trees_originals_key(&originals, s->index, s->source, o->data));
            r = r == 1 ? mark(e, o) : r;
        }
    }
    return r < 0 ? error_nomem(err) : 0;
}
