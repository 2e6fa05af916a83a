/* Judges whether the classes that caches name are still in the modules that have had them. */

#include <string.h>

#include "base/array.h"
#include "judge/named.h"

/* A class that an index needs of a file of the tree. */
struct named_class {
    size_t file;
    const char *name; /* "Outer" of "Outer.Point" */
    size_t cache;
};

/* Does the source mean MODULE itself: is it of its own package, or of one that it imports? If not,
 * the program has given it a class, and may have found another package of this name first. 1, 0 or
 * negative errno. */
static int is_meant(struct came_from *c, struct named *n, const char *module, struct wp_error *err)
{
    const size_t top = strcspn(module, ".");
    int r = 0;

    if (n->module && strncmp(n->module, module, top) == 0 &&
        (!n->module[top] || n->module[top] == '.'))
        return 1;
    if (!n->has_imports) {
        n->has_imports = true;
        r = named_scan(c, n->source, &n->imports, err);
    }
    for (size_t i = 0; i < n->imports.count && r == 0; i++) {
        const char *name = imports_module(&n->imports, &n->imports.items[i]);

        r = n->imports.items[i].level == 0 && strncmp(name, module, top) == 0 &&
            (!name[top] || name[top] == '.');
    }
    return r;
}

int named_note_class(struct came_from *c, struct named *n, const struct named_global *g,
                     struct wp_error *err)
{
    struct named_class class = {.cache = n->cache};
    struct named_wrong gone = {n->cache, WP_TYPE_MISSING, n->source, NULL, NULL, false};
    const char *path = c->paths[n->source];
    int r = n->has_root || c->python ? is_meant(c, n, g->module, err) : 0;

    if (r <= 0)
        return r;
    r = n->has_root ? named_find_module(c, path, n->root, g->module, &class.file) : 0;
    if (r < 0)
        return error_nomem(err);
    if (r == 0 && n->has_root) {
        r = named_is_module_gone(c, path, n->root, g->module, err);
        if (r < 0)
            return r;
        if (r == 1) {
            gone.name = texts_add(&c->texts, g->name, strlen(g->name));
            gone.module = texts_add(&c->texts, g->module, strlen(g->module));
            return gone.name && gone.module && named_add_wrong(c, gone) == 0 ? 0 : error_nomem(err);
        }
    }
    if (r == 0)
        return c->python && named_note_elsewhere(c, n, g->module, g->name) < 0 ? error_nomem(err)
                                                                               : 0;
    class.name = texts_add(&c->texts, g->name, strlen(g->name));
    return !class.name || array_add(c->classes, c->class_count, class) < 0 ? error_nomem(err) : 0;
}

/* ---- The sources ------------------------------------------------------------------------- */

/* Is WORD one of the N bytes of TEXT? */
static bool has_word(const unsigned char *text, size_t n, const char *word)
{
    size_t size = strlen(word);

    for (const unsigned char *at = text, *end = text + n;
         (at = memmem(at, (size_t)(end - at), word, size)); at++)
        if ((at == text || !named_is_in_word(at[-1])) &&
            (at + size == end || !named_is_in_word(at[size])))
            return true;
    return false;
}

/* A name that is written in no other way than it is. */
static bool is_plain(const char *name)
{
    for (const char *p = name; *p; p++)
        if (!named_is_in_word((unsigned char)*p) || (unsigned char)*p >= 0x80)
            return false;
    return *name;
}

/* Can a module of the source that was read have a name that stands nowhere in it? */
static int makes_names(const struct buf *text, struct wp_error *err)
{
    static const char *const makers[] = {"globals", "locals", "vars",        "setattr",
                                         "exec",    "eval",   "__getattr__", "__dict__"};
    struct imports imports = {0};
    int r = imports_scan(&imports, text->data, text->size, err);
    bool found = imports.dynamic;

    for (size_t i = 0; i < imports.count && !found; i++)
        found = imports.items[i].star;
    for (size_t i = 0; i < sizeof makers / sizeof *makers && !found; i++)
        found = has_word(text->data, text->size, makers[i]);
    imports_clear(&imports);
    return r < 0 ? r : found;
}

/* The COUNT classes at OF are of one file. */
static int judge_classes(struct came_from *c, const struct named_class *of, size_t count,
                         struct wp_error *err)
{
    int makes = -1, r;

    buf_clear(&c->text);
    r = c->read(c->ctx, of->file, &c->text, err);
    for (size_t i = 0; i < count && c->text.size && r == 0; i++) {
        if (!is_plain(of[i].name) || has_word(c->text.data, c->text.size, of[i].name))
            continue;
        if (makes < 0)
            r = makes = makes_names(&c->text, err);
        if (r < 0 || makes)
            return r < 0 ? r : 0;
        if (named_add_wrong(c, (struct named_wrong){of[i].cache, WP_TYPE_MISSING, of[i].file,
                                                    of[i].name, NULL, false}) < 0)
            r = error_nomem(err);
    }
    return r;
}

static int compare_classes(const void *a, const void *b)
{
    const struct named_class *x = a, *y = b;

    if (x->file != y->file)
        return x->file > y->file ? 1 : -1;
    return strcmp(x->name, y->name);
}

int named_judge_classes(struct came_from *c, struct wp_error *err)
{
    int r = 0;

    array_sort(c->classes, c->class_count, compare_classes);
    for (size_t i = 0, n; i < c->class_count && r == 0; i += n) {
        for (n = 1; i + n < c->class_count && c->classes[i + n].file == c->classes[i].file;)
            n++;
        r = judge_classes(c, &c->classes[i], n, err);
    }
    return r;
}
