/* Finds the sets of files that sources depend on. Files that import each other in circles share one
 * set, and each set names the sets that it uses, so that no file is listed twice. */

#include "numba/depends.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/texts.h"
#include "numba/depends_private.h"

/* Of directories that are imported from, and neither have modules nor lead to some. */
#define NO_FILES (NONE - 1)

/* The search for circles (Tarjan's), without recursion. */
struct search {
    struct depends_linker linker;
    struct depends_edges *edges; /* by node; owned */
    uint32_t *order;             /* by node: when it was met, from 1; 0: not yet */
    uint32_t *low;   /* by node: the earliest node on the stack that can be reached from it */
    uint32_t *set;   /* by node: its set, NO_FILES, or NONE */
    uint32_t *stack; /* nodes without a set */
    size_t stack_count;
    struct step {
        uint32_t node;
        size_t next; /* the next edge to follow */
    } * way;         /* from the source to the current node */
    size_t way_count;
    size_t node_count;
    uint32_t met;
    struct depends *out;
};

/* Adds a node and its edges to the set that it belongs to. */
static int add_node(struct search *s, struct depends_set *set, uint32_t number, uint32_t node)
{
    struct depends_edges *e = s->edges + node;
    int r = 0;

    if (node < s->linker.index->tree->count)
        r = array_add(set->files, set->file_count, node);
    for (size_t i = 0; r == 0 && i < e->count; i++)
        if (s->set[e->to[i]] != number && s->set[e->to[i]] != NO_FILES)
            r = array_add(set->uses, set->use_count, s->set[e->to[i]]);
    for (size_t i = 0; r == 0 && i < e->outside_count; i++)
        r = array_add(set->outside, set->outside_count, s->linker.name_list[e->outside[i]]);
    return r;
}

/* Makes a set of the nodes on the stack, beginning with NODE; of none with files, none. */
static int close_set(struct search *s, uint32_t node)
{
    struct depends_set set = {0};
    uint32_t number = (uint32_t)s->out->count;
    size_t first = s->stack_count;
    bool is_empty;
    int r = 0;

    do
        s->set[s->stack[--first]] = number;
    while (s->stack[first] != node);
    for (size_t i = first; r == 0 && i < s->stack_count; i++)
        r = add_node(s, &set, number, s->stack[i]);
    depends_sort_set(&set);
    is_empty = !set.file_count && !set.use_count;
    for (size_t i = first; i < s->stack_count; i++) {
        if (is_empty)
            s->set[s->stack[i]] = NO_FILES;
        free(s->edges[s->stack[i]].to);
        free(s->edges[s->stack[i]].outside);
        s->edges[s->stack[i]] = (struct depends_edges){0};
    }
    s->stack_count = first;
    if (r == 0 && !is_empty)
        r = array_add(s->out->sets, s->out->count, set);
    if (r < 0 || is_empty)
        depends_clear_set(&set);
    return r;
}

static int enter(struct search *s, uint32_t node, struct wp_error *err)
{
    int r = depends_link(&s->linker, node, s->edges + node, err);

    if (r < 0)
        return r;
    s->order[node] = s->low[node] = ++s->met;
    s->stack[s->stack_count++] = node;
    s->way[s->way_count++] = (struct step){node, 0};
    return 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int search_from(struct search *s, uint32_t source, struct wp_error *err)
{
    int r = s->order[source] ? 0 : enter(s, source, err);

    while (r == 0 && s->way_count > 0) {
        struct step *step = s->way + s->way_count - 1;
        uint32_t node = step->node;

        if (step->next < s->edges[node].count) {
            uint32_t to = s->edges[node].to[step->next++];

            if (!s->order[to])
                r = enter(s, to, err);
            else if (s->set[to] == NONE)
                s->low[node] = smaller(s->low[node], s->order[to]);
            continue;
        }
        s->way_count--;
        if (s->way_count > 0) {
            uint32_t above = s->way[s->way_count - 1].node;

            s->low[above] = smaller(s->low[above], s->low[node]);
        }
        if (s->low[node] == s->order[node] && close_set(s, node) < 0)
            r = error_nomem(err);
    }
    return r;
}

static void search_clear(struct search *s)
{
    for (size_t i = 0; s->edges && i < s->node_count; i++) {
        free(s->edges[i].to);
        free(s->edges[i].outside);
    }
    free(s->edges);
    free(s->order);
    free(s->low);
    free(s->set);
    free(s->stack);
    free(s->way);
    free(s->linker.met);
    text_table_free(&s->linker.names);
    free(s->linker.name_list);
    free(s->linker.dots);
    buf_free(&s->linker.key);
}

static int search_start(struct search *s, struct depends *d, const struct depends_index *x)
{
    size_t n = x->tree->count + 2 * x->dir_count;

    *s = (struct search){.out = d, .node_count = n, .linker = {.index = x, .texts = &d->texts}};
    s->edges = calloc(n, sizeof *s->edges);
    s->order = calloc(n, sizeof *s->order);
    s->low = calloc(n, sizeof *s->low);
    s->set = malloc(n * sizeof *s->set);
    s->stack = calloc(n, sizeof *s->stack);
    s->way = calloc(n, sizeof *s->way);
    s->linker.met = calloc(n, sizeof *s->linker.met);
    if (!s->edges || !s->order || !s->low || !s->set || !s->stack || !s->way || !s->linker.met)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        s->set[i] = NONE;
    return 0;
}

static int resolve(struct depends *d, const struct depends_index *x, const size_t *sources,
                   size_t count, struct wp_error *err)
{
    _cleanup_(search_clear) struct search s = {0};
    int r = 0;

    d->of_source = calloc(count + 1, sizeof *d->of_source);
    if (!d->of_source || search_start(&s, d, x) < 0)
        return error_nomem(err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = search_from(&s, (uint32_t)sources[i], err);
        if (r == 0)
            d->of_source[i] = s.set[sources[i]];
    }
    if (r == 0 && depends_condense(d, count) < 0)
        r = error_nomem(err);
    return r;
}

int depends_resolve(struct depends **out, const struct depends_tree *tree, const size_t *sources,
                    size_t count, struct wp_error *err)
{
    _cleanup_(depends_index_clear) struct depends_index x = {0};
    struct depends *d = calloc(1, sizeof *d);
    int r;

    if (!d || tree->count >= NONE / 4 || depends_index_make(&x, tree) < 0)
        r = error_nomem(err);
    else
        r = resolve(d, &x, sources, count, err);
    if (r < 0) {
        depends_free(d);
        return r;
    }
    *out = d;
    return 0;
}

void depends_free(struct depends *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++)
        depends_clear_set(d->sets + i);
    free(d->sets);
    free(d->of_source);
    texts_free(&d->texts);
    free(d);
}

ptrdiff_t depends_root_of(const char *path, const char *module)
{
    size_t n, size = strlen(module);
    const char *slash = strrchr(path, '/'), *dot = strchr(slash ? slash : path, '.');

    if (!dot || size == 0)
        return -1;
    n = (size_t)(dot - path);
    if (n >= strlen("__init__") && memcmp(dot - strlen("__init__"), "__init__", 8) == 0 &&
        (n == 8 || path[n - 9] == '/'))
        n = n > 8 ? n - 9 : 0;
    if (n < size || (n > size && path[n - size - 1] != '/'))
        return -1;
    for (size_t i = 0; i < size; i++)
        if (path[n - size + i] != (module[i] == '.' ? '/' : module[i]))
            return -1;
    return n > size ? (ptrdiff_t)(n - size - 1) : 0;
}
