/* Finds which files the code of indexes can come from. */

#include "judge/came_from.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "judge/named.h"
#include "numba/code_names.h"
#include "numba/index.h"

enum { MOST_DATA_FILES = 4096 };

/* A module that caches of a source name. */
struct came_from_name {
    size_t source;
    const char *module; /* NULL: there are too many to be told */
};

/* ---- What caches name --------------------------------------------------------------------- */

static int add_name(struct came_from *c, size_t source, const char *module)
{
    struct came_from_name *last = c->name_count ? &c->names[c->name_count - 1] : NULL;
    const char *copy = NULL;

    if (last && last->source == source && last->module && module &&
        strcmp(last->module, module) == 0)
        return 0;
    if (module && !(copy = texts_add(&c->texts, module, strlen(module))))
        return -ENOMEM;
    if (array_add(c->names, c->name_count, (struct came_from_name){source, copy}) < 0)
        return -ENOMEM;
    return 0;
}

/* The directory from which PATH was imported as MODULE is one that modules are imported from. */
static int add_root(struct came_from *c, const char *path, const char *module)
{
    ptrdiff_t n = depends_root_of(path, module);
    char *copy;

    for (size_t i = 0; i < c->root_count && n > 0; i++)
        if (strlen(c->roots[i]) == (size_t)n && memcmp(c->roots[i], path, (size_t)n) == 0)
            return 0;
    if (n <= 0)
        return 0;
    copy = texts_add(&c->texts, path, (size_t)n);
    return !copy || array_add(c->roots, c->root_count, copy) < 0 ? -ENOMEM : 0;
}

static int add_names(struct came_from *c, size_t source, const struct code_names *names)
{
    int r = names->module ? add_root(c, c->paths[source], names->module) : 0;

    for (size_t i = 0; i < names->function_count && r == 0; i++) {
        const struct code_function *function = &names->functions[i];

        r = add_name(c, source, function->module ? function->module : function->path);
    }
    for (size_t i = 0; i < names->global_count && r == 0; i++)
        r = add_name(c, source, names->globals[i].module);
    return r;
}

static int look_into_data(struct came_from *c, size_t source, struct named *named)
{
    _cleanup_(code_names_clear) struct code_names names = {0};
    int r = code_names_read_data(&names, c->text.data, c->text.size, NULL);

    if (r == 0)
        r = add_names(c, source, &names);
    else if (r == -EFBIG)
        r = add_name(c, source, NULL);
    if (r == 0)
        r = named_add(c, named, &names);
    return r == -ENOMEM ? r : 0;
}

static int look_into_keys(struct came_from *c, size_t source, const struct index *index,
                          struct named *named)
{
    _cleanup_(code_names_clear) struct code_names names = {0};
    int r = code_names_read_index(&names, index, NULL);

    if (r == -EFBIG || index->count > MOST_DATA_FILES)
        r = add_name(c, source, NULL);
    else if (r == 0)
        r = add_names(c, source, &names);
    if (r == 0)
        r = named_add(c, named, &names);
    return r == -ENOMEM ? r : 0;
}

int came_from_look(struct came_from *c, size_t source, size_t cache, const struct buf *text,
                   int (*data)(void *ctx, const char *name, struct buf *out, struct wp_error *err),
                   void *ctx, struct wp_error *err)
{
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_(named_clear) struct named named = {.source = source, .cache = cache};
    int r = index_read(&index, text->data, text->size, NULL);

    if (r < 0)
        return r == -ENOMEM ? error_nomem(err) : 0;
    if (look_into_keys(c, source, &index, &named) < 0)
        return error_nomem(err);
    for (size_t i = 0; i < index.count && i < MOST_DATA_FILES && r == 0; i++) {
        buf_clear(&c->text);
        r = data(ctx, index.overloads[i].data, &c->text, err);
        if (r == 0 && look_into_data(c, source, &named) < 0)
            r = error_nomem(err);
    }
    return r == 0 ? named_judge(c, &named, err) : r;
}

/* ---- What sources import ------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    const struct came_from_name *x = a, *y = b;

    return (x->source > y->source) - (x->source < y->source);
}

static int read_text(struct came_from *c, size_t file, struct wp_error *err)
{
    int r;

    buf_clear(&c->text);
    c->has_text = true;
    r = c->read(c->ctx, file, &c->text, err);
    return r == 0 && depends_is_zip(c->paths[file]) ? came_from_open_zip(&c->text, err) : r;
}

static int read_imports(struct came_from *c, size_t file, struct imports *out, struct wp_error *err)
{
    int r = read_text(c, file, err);

    if (r == 0)
        r = imports_scan(out, c->text.data, c->text.size, err);
    return r;
}

static int imports_of(void *arg, size_t file, struct imports *out, struct wp_error *err)
{
    struct came_from *c = arg;
    int r = 0;

    c->has_text = false;
    if (!c->known || !c->known(c->ctx, file, out))
        r = read_imports(c, file, out, err);
    for (size_t i = array_first(k, c->name_count, c->names[k].source < file);
         r == 0 && i < c->name_count && c->names[i].source == file; i++) {
        if (!c->names[i].module)
            out->dynamic = "too many names in its caches";
        else if (imports_add(out, c->names[i].module) < 0)
            r = error_nomem(err);
    }
    return r;
}

static int text_of(void *arg, size_t file, const struct buf **out, struct wp_error *err)
{
    struct came_from *c = arg;

    *out = &c->text;
    return c->has_text ? 0 : read_text(c, file, err);
}

int came_from_resolve(struct came_from *c, struct depends **out, const size_t *sources,
                      size_t count, struct wp_error *err)
{
    const struct depends_tree tree = {.paths = c->paths,
                                      .count = c->count,
                                      .targets = c->targets,
                                      .package = c->package,
                                      .roots = c->roots,
                                      .root_count = c->root_count,
                                      .imports = imports_of,
                                      .text = text_of,
                                      .zip_has = came_from_zip_has,
                                      .arg = c};

    array_sort(c->names, c->name_count, compare_names);
    return depends_resolve(out, &tree, sources, count, err);
}

void came_from_clear(struct came_from *c)
{
    free(c->names);
    free(c->roots);
    free(c->classes);
    free(c->elsewhere);
    free(c->makers);
    came_from_clear_zips(c);
    free(c->wrong);
    texts_free(&c->texts);
    buf_free(&c->text);
}
