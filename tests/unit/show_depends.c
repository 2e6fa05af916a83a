/* Writes what the sources of a tree depend on, for a test that compares it with Python's reading.
 * Usage: show_depends DIR, with the paths of the tree's files, sorted, on stdin. Each set is a line
 * of JSON, then each source with the number of its set. */

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "numba/depends.h"

enum { LARGEST = 1 << 28 };

struct listing {
    const char *dir;
    char **paths;
    size_t count;
    bool no_dynamic;
};

static int scan(void *arg, size_t file, struct imports *out, struct wp_error *err)
{
    const struct listing *l = arg;
    _cleanup_free_ char *path = path_join(l->dir, l->paths[file]);
    _cleanup_buf_ struct buf source = {0};
    int r = path ? file_read(path, LARGEST, &source, NULL) : -ENOMEM;

    if (r < 0)
        return error_set(err, -r, path, "cannot read");
    r = imports_scan(out, source.data, source.size, err);
    if (l->no_dynamic)
        out->dynamic = NULL;
    return r;
}

static int read_listing(struct listing *l)
{
    _cleanup_free_ char *line = NULL;
    size_t room = 0;
    ssize_t n;

    while ((n = getline(&line, &room, stdin)) > 0) {
        if (array_grow(l->paths, l->count) < 0)
            return -ENOMEM;
        l->paths[l->count++] = strndup(line, (size_t)n - 1);
    }
    return 0;
}

static void show_set(const struct listing *l, const struct depends_set *s)
{
    json_t *files = json_array(), *uses = json_array(), *outside = json_array(), *line;

    for (size_t i = 0; i < s->file_count; i++)
        json_array_append_new(files, json_string(l->paths[s->files[i]]));
    for (size_t i = 0; i < s->use_count; i++)
        json_array_append_new(uses, json_integer((json_int_t)s->uses[i]));
    for (size_t i = 0; i < s->outside_count; i++)
        json_array_append_new(outside, json_string(s->outside[i]));
    line = json_pack("{s:o, s:o, s:o}", "files", files, "uses", uses, "outside", outside);
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
}

static int show(struct listing *l)
{
    _cleanup_free_ size_t *sources = calloc(l->count + 1, sizeof *sources);
    struct depends_tree tree = {
        .paths = (const char *const *)l->paths, .count = l->count, .imports = scan, .arg = l};
    struct wp_error err = {0};
    struct depends *d;
    size_t count = 0;

    for (size_t i = 0; sources && i < l->count; i++) {
        size_t n = strlen(l->paths[i]);

        if (n > 3 && strcmp(l->paths[i] + n - 3, ".py") == 0)
            sources[count++] = i;
    }
    if (!sources || depends_resolve(&d, &tree, sources, count, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (size_t i = 0; i < d->count; i++)
        show_set(l, d->sets + i);
    for (size_t i = 0; i < count; i++)
        printf("{\"source\":\"%s\",\"set\":%zu}\n", l->paths[sources[i]], d->of_source[i]);
    depends_free(d);
    return 0;
}

int main(int argc, char **argv)
{
    struct listing l = {.dir = argc > 1 ? argv[1] : ".", .no_dynamic = argc > 2};
    int status = read_listing(&l) < 0 || show(&l);

    for (size_t i = 0; i < l.count; i++)
        free(l.paths[i]);
    free(l.paths);
    return status;
}
