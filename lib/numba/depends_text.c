/* Finds modules that no import statement of a source names: those that its strings name, and those
 * that it uses as attributes of a package. */

#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "numba/depends_private.h"
#include "numba/source_text.h"

/* A byte that a name begins with. */
static bool begins_name(unsigned char c)
{
    return source_is_name(c) && !(c >= '0' && c <= '9');
}

static size_t name_end(const unsigned char *data, size_t at, size_t size)
{
    while (at < size && source_is_name(data[at]))
        at++;
    return at;
}

/* ---- Attributes --------------------------------------------------------------------------- */

static size_t skip_space(const unsigned char *data, size_t at, size_t size)
{
    while (at < size &&
           (source_is_blank(data[at]) || source_is_line_end(data[at]) || data[at] == '\\'))
        at++;
    return at;
}

/* Finds the name behind the dot at AT, from *BEGIN to *END. False if no module has that name. */
static bool may_lead_on(const struct depends_linker *l, const struct buf *text, size_t at,
                        size_t *begin, size_t *end)
{
    const unsigned char *data = text->data;

    *begin = skip_space(data, at + 1, text->size);
    *end = name_end(data, *begin, text->size);
    return *begin < *end && begins_name(data[*begin]) &&
           depends_index_has_name(l->index, (const char *)data + *begin, *end - *begin);
}

/* Behind the last of the names that ".a.b.c", whose first dot stands at AT, leads on with; AT where
 * the first is no module's. */
static size_t chain_end(const struct depends_linker *l, const struct buf *text, size_t at)
{
    const unsigned char *data = text->data;
    size_t begin, end, last = at;

    while (at < text->size && data[at] == '.' && may_lead_on(l, text, at, &begin, &end)) {
        last = end;
        at = skip_space(data, end, text->size);
    }
    return last;
}

/* Lists the dots that a module's name may follow, one for all that lead on alike. They are few:
 * each is looked at again for each package that the source binds to a name. */
static void find_dots(struct depends_linker *l, const struct buf *text)
{
    _cleanup_(text_table_free) struct text_table seen = {0};
    const char *data = (const char *)text->data, *dot = data;

    l->has_dots = true;
    l->dot_count = 0;
    while (l->r == 0 && text->size && (dot = memchr(dot, '.', text->size - (size_t)(dot - data)))) {
        size_t at = (size_t)(dot - data), n = chain_end(l, text, at) - at;

        if (n && text_table_get(&seen, dot, n) == NONE) {
            l->r = text_table_put(&seen, dot, n, 0);
            if (l->r == 0)
                l->r = array_add(l->dots, l->dot_count, (uint32_t)at);
        }
        dot++;
    }
}

/* Follows ".a.b.c", whose first dot stands at AT, as far as it leads to modules beneath DIR. */
static void follow(struct depends_linker *l, struct depends_place *p, const struct depends_dir *dir,
                   const struct buf *text, size_t at)
{
    const unsigned char *data = text->data;
    size_t begin, end;

    depends_start_place(l, p, dir->path, dir->size);
    while (p->there && at < text->size && data[at] == '.' &&
           may_lead_on(l, text, at, &begin, &end)) {
        depends_enter(l, p, (const char *)data + begin, end - begin);
        at = skip_space(data, end, text->size);
    }
}

void depends_link_attributes(struct depends_linker *l, uint32_t dir, const struct buf *text)
{
    struct depends_place place = {0};

    if (!l->has_dots)
        find_dots(l, text);
    for (size_t i = 0; i < l->dot_count && l->r == 0; i++)
        follow(l, &place, l->index->dirs + dir, text, l->dots[i]);
    buf_free(&place.path);
}

/* ---- Mentions ----------------------------------------------------------------------------- */

struct mentions {
    struct depends_linker *l;
    struct source_text text;
    struct depends_place place;
};

/* Adds the modules that the dotted name from BEGIN to END may mean, seen from a root. */
static void mention(struct mentions *m, size_t begin, size_t end)
{
    struct depends_linker *l = m->l;
    const struct depends_index *x = l->index;
    const char *name = (const char *)m->text.data + begin;
    size_t n = name_end(m->text.data, begin, end) - begin, last;

    for (size_t i = depends_index_entries(x, name, n, &last); i < last; i++) {
        const struct depends_entry *e = x->entries + i;
        size_t parent = depends_parent(e->key, e->size);
        uint32_t dir;

        if (x->dirs[depends_index_dir(x, e->key, parent)].installed)
            continue;
        depends_start_place(l, &m->place, e->key, parent);
        depends_enter(l, &m->place, name, n);
        dir = depends_index_place(x, e->key, e->size);
        if (dir != NONE)
            depends_add_node(l, depends_all_node(x, dir));
    }
}

/* Looks at the names in a string: "pkg.low", "pkg/low.py", "from pkg import low". */
static void on_string(void *arg, size_t begin, size_t end)
{
    struct mentions *m = arg;
    const unsigned char *data = m->text.data;

    for (size_t at = begin; at < end && m->l->r == 0;) {
        size_t first = at;

        if (!source_is_name(data[at])) {
            at++;
            continue;
        }
        at = name_end(data, at, end);
        if (begins_name(data[first]))
            mention(m, first, at);
    }
}

void depends_link_mentions(struct depends_linker *l, const struct buf *text)
{
    struct mentions m = {.l = l};
    size_t at = 0;

    if (!text->size)
        return;
    source_text_start(&m.text, text->data, text->size);
    m.text.string = on_string;
    m.text.arg = &m;
    while ((at = source_text_next(&m.text, at)) < m.text.size)
        at = source_name_end(&m.text, at);
    if (m.text.broken) /* where strings cannot be told from code */
        on_string(&m, 0, text->size);
    buf_free(&m.place.path);
}
