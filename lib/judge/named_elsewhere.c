/* Judges the classes that caches name of modules which the tree has not: only an interpreter can
 * tell whether they are there. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "judge/named.h"
#include "numba/installed.h"

struct named_elsewhere {
    size_t cache;
    const char *module, *name;
};

bool named_is_there(const struct came_from *c, struct buf *name)
{
    const size_t n = name->size;
    bool found = false;

    for (const char *end = "./"; *end && !found; end++) {
        size_t at;

        name->data[n - 1] = (unsigned char)*end;
        at = array_first(i, c->count, strncmp(c->paths[i], (char *)name->data, n) < 0);
        found = at < c->count && strncmp(c->paths[at], (char *)name->data, n) == 0;
    }
    return found;
}

/* Can MODULE lie in the tree? Any directory above the source may be one that modules are imported
 * from. 1, 0 or -ENOMEM. */
static int can_be_of_tree(const struct came_from *c, const struct named *n, const char *module)
{
    const size_t top = strcspn(module, ".");
    const char *path = c->paths[n->source];

    if (!n->module || (strcspn(n->module, ".") == top && strncmp(n->module, module, top) == 0))
        return 1;
    for (size_t end = strlen(path) + 1; end-- > 0;) {
        _cleanup_buf_ struct buf name = {0};

        if (end > 0 && path[end - 1] != '/')
            continue;
        if (buf_add(&name, path, end) < 0 || buf_add(&name, module, top) < 0 ||
            buf_add(&name, "", 1) < 0)
            return -ENOMEM;
        if (named_is_there(c, &name))
            return 1;
    }
    return 0;
}

int named_note_elsewhere(struct came_from *c, const struct named *n, const char *module,
                         const char *name)
{
    struct named_elsewhere e = {.cache = n->cache};
    int r = can_be_of_tree(c, n, module);

    if (r != 0)
        return r < 0 ? r : 0;
    e.module = texts_add(&c->texts, module, strlen(module));
    e.name = texts_add(&c->texts, name, strlen(name));
    return !e.module || !e.name || array_add(c->elsewhere, c->elsewhere_count, e) < 0 ? -ENOMEM : 0;
}

static int compare(const void *a, const void *b)
{
    const struct named_elsewhere *x = a, *y = b;
    int d = strcmp(x->module, y->module);

    if (d == 0)
        d = strcmp(x->name, y->name);
    return d ? d : (x->cache > y->cache) - (x->cache < y->cache);
}

static bool is_of(const struct named_elsewhere *e, const struct installed_global *g)
{
    return strcmp(e->module, g->module) == 0 && strcmp(e->name, g->name) == 0;
}

/* Each global once: they are sorted. *OF tells for each of C's which it is. */
static size_t list_globals(const struct came_from *c, struct installed_global *out, size_t *of)
{
    size_t n = 0;

    for (size_t i = 0; i < c->elsewhere_count; i++) {
        const struct named_elsewhere *e = &c->elsewhere[i];

        if (n == 0 || !is_of(e, &out[n - 1]))
            out[n++] = (struct installed_global){.module = e->module, .name = e->name};
        of[i] = n - 1;
    }
    return n;
}

int named_ask_elsewhere(struct came_from *c, struct wp_error *err)
{
    _cleanup_free_ struct installed_global *globals = NULL;
    _cleanup_free_ size_t *of = NULL;
    int r;

    if (!c->python || !c->elsewhere_count)
        return 0;
    globals = calloc(c->elsewhere_count, sizeof *globals);
    of = calloc(c->elsewhere_count, sizeof *of);
    if (!globals || !of)
        return error_nomem(err);
    array_sort(c->elsewhere, c->elsewhere_count, compare);
    r = installed_find(c->context, c->python, globals, list_globals(c, globals, of), err);
    for (size_t i = 0; i < c->elsewhere_count && r == 0; i++) {
        const struct named_elsewhere *e = &c->elsewhere[i];

        if (!globals[of[i]].is_missing)
            continue;
        if (named_add_wrong(c, (struct named_wrong){e->cache, WP_TYPE_MISSING, 0, e->name,
                                                    e->module, true}) < 0)
            return error_nomem(err);
    }
    return r;
}
