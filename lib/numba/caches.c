/* Finds the source directory and the source file that a cache belongs to. */

#include "caches.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "index.h"
#include "places.h"

struct hashed {
    char *name; /* BASE_SHA1; the first member, for path_compare */
    char *dir;
};

struct caches {
    struct hashed *items;
    size_t count;
};

bool caches_is_source(const char *path)
{
    return path_has_suffix(path, ".py");
}

int caches_new(struct caches **out, struct wp_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : error_nomem(err);
}

void caches_free(struct caches *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++) {
        free(c->items[i].name);
        free(c->items[i].dir);
    }
    free(c->items);
    free(c);
}

int caches_add(struct caches *c, const char *base, const char *place, const char *dir,
               struct wp_error *err)
{
    _cleanup_free_ char *path = path_append(base, place);
    _cleanup_free_ char *name = path ? places_hash_name(path) : NULL;

    if (!name)
        return path && errno == EILSEQ ? 0 : error_nomem(err);
    if (array_grow(c->items, c->count) < 0)
        return error_nomem(err);
    c->items[c->count].dir = strdup(dir);
    if (!c->items[c->count].dir)
        return error_nomem(err);
    c->items[c->count++].name = take_ptr(name);
    return 0;
}

void caches_sort(struct caches *c)
{
    array_sort(c->items, c->count, path_compare);
}

const char *caches_find(const struct caches *c, const char *name)
{
    const struct hashed *hit = array_find(&name, c->items, c->count, path_compare);

    return hit ? hit->dir : NULL;
}

bool caches_knows_base(const struct caches *c, const char *name)
{
    struct path_start start = {.text = name};

    if (!places_is_hash_name(name, &start.n))
        return false;
    start.n++; /* with the underscore */
    return array_find(&start, c->items, c->count, path_compare_start) != NULL;
}

/* Adds PATH (taken over) unless it is there already. */
static int add_base(struct path_list *bases, char *path)
{
    for (size_t i = 0; path && i < bases->count; i++)
        if (strcmp(bases->v[i], path) == 0) {
            free(path);
            return 0;
        }
    return path_list_add(bases, path);
}

/* What BASES holds, with NULL behind it; NULL: no memory. */
static char **take_bases(struct path_list *bases)
{
    if (array_grow(bases->v, bases->count) < 0)
        return NULL;
    bases->v[bases->count] = NULL;
    bases->count = 0;
    return take_ptr(bases->v);
}

/* The working directory as the shell calls it, where $PWD is true. Allocated, or NULL. */
static char *shell_directory(void)
{
    const char *pwd = getenv("PWD");
    struct stat a, b;

    if (!pwd || pwd[0] != '/' || stat(pwd, &a) < 0 || stat(".", &b) < 0 || a.st_dev != b.st_dev ||
        a.st_ino != b.st_ino)
        return NULL;
    return strdup(pwd);
}

char **caches_bases(const char *dir, const char *const *more, struct wp_error *err)
{
    _cleanup_free_ char *pwd = shell_directory();
    _cleanup_free_ char *joined = pwd ? path_join(pwd, dir ? dir : ".") : NULL;
    _cleanup_free_ char *physical = realpath(dir ? dir : ".", NULL);
    _cleanup_(path_list_clear) struct path_list bases = {0};
    char **out;
    int r;

    if (!physical) {
        error_set(err, errno, dir ? dir : ".", "cannot be found");
        return NULL;
    }
    r = add_base(&bases, path_absolute(dir ? dir : "."));
    if (r == 0 && pwd)
        r = add_base(&bases, joined ? path_normalise(joined) : NULL);
    if (r == 0)
        r = add_base(&bases, take_ptr(physical));
    for (; r == 0 && more && *more; more++)
        r = add_base(&bases, path_absolute(*more));
    out = r == 0 ? take_bases(&bases) : NULL;
    if (!out)
        error_nomem(err);
    return out;
}

int caches_roots(char ***out, const char *dir, const char *const *given, struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list roots = {0};
    int r = 0;

    *out = NULL;
    for (size_t i = 0; given && given[i] && r == 0; i++)
        if (add_base(&roots, path_absolute(given[i])) < 0)
            r = error_set(err, errno, given[i], "cannot be found");
    if (!roots.count && r == 0 &&
        (add_base(&roots, path_absolute(dir)) < 0 || add_base(&roots, realpath(dir, NULL)) < 0))
        r = error_set(err, errno, dir, "cannot be found");
    if (r == 0 && !(*out = take_bases(&roots)))
        r = error_nomem(err);
    return r;
}

void caches_free_bases(char **bases)
{
    for (char **b = bases; b && *b; b++)
        free(*b);
    free(bases);
}

/* "DIR/<the first N bytes of NAME>.py" */
static char *module_path(const char *dir, const char *name, size_t n)
{
    _cleanup_free_ char *file = malloc(n + 4);

    if (!file)
        return NULL;
    memcpy(file, name, n);
    memcpy(file + n, ".py", 4);
    return path_join(dir, file);
}

/* Of the indexes of gufuncs' wrappers. */
#define WRAPPER "guf-"

static bool has_prefix(const char *path)
{
    return strncmp(path_base(path), WRAPPER, strlen(WRAPPER)) == 0;
}

const char *caches_kernel_of(const char *path, const char *source)
{
    return has_prefix(path) && !(source && has_prefix(source)) ? path_base(path) + strlen(WRAPPER)
                                                               : NULL;
}

char *caches_source_of(const char *name, const char *dir,
                       bool (*exists)(void *ctx, const char *path), void *ctx, bool *found)
{
    const char *starts[2] = {name, NULL};
    char *likeliest = NULL;

    *found = false;
    /* The file name of a module seldom has a dot in it, so the shortest part that names a file
     * is the module. Wrappers of gufuncs have a prefix before it. */
    if (strncmp(name, WRAPPER, strlen(WRAPPER)) == 0) {
        starts[0] = name + strlen(WRAPPER);
        starts[1] = name;
    }
    for (int i = 0; i < 2 && starts[i]; i++) {
        for (const char *dot = strchr(starts[i], '.'); dot; dot = strchr(dot + 1, '.')) {
            char *path = module_path(dir, starts[i], (size_t)(dot - starts[i]));

            if (!path) {
                free(likeliest);
                return NULL;
            }
            if (exists(ctx, path)) {
                free(likeliest);
                *found = true;
                return path;
            }
            if (likeliest)
                free(path);
            else
                likeliest = path;
        }
    }
    return likeliest ? likeliest : path_join(dir, name);
}

bool caches_is_index(const char *path)
{
    struct index_name parts;

    return index_name_parse(path_base(path), &parts) == 0;
}

bool caches_is_index_at(const struct entry *e, const char *path)
{
    struct stat st;

    if (e->type == ENTRY_SYMLINK)
        return caches_is_index(e->path) && (stat(path, &st) == 0 || !error_is_absence(-errno));
    return (e->type == ENTRY_FILE || e->type == ENTRY_HARDLINK) && caches_is_index(e->path);
}

bool caches_is_data(const char *path)
{
    size_t stem;

    return index_is_data_name(path_base(path), &stem);
}

bool caches_is_part(const char *path)
{
    size_t stem;

    return caches_is_index(path) || index_is_part_name(path_base(path), &stem);
}
