/* Writes the imports of the Python sources whose names it reads, one a line, as lines of JSON: a
 * test compares them with Python's own reading. */

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "imports_fixture.h"
#include "numba/imports.h"

enum { LARGEST = 1 << 28 };

/* [level, module, names or null, line]; a star is the name "*". */
static json_t *statement(const struct buf *source, const struct imports *found,
                         const struct import *i)
{
    uint32_t line = imports_line(source->data, i->at);
    json_t *names = i->from ? json_array() : json_null();
    const char *name = imports_names(found, i);

    if (i->star)
        json_array_append_new(names, json_string("*"));
    for (size_t k = 0; k < i->name_count; k++, name = imports_next_name(name))
        json_array_append_new(names, json_string(name));
    return json_pack("[i, s, o, i]", (int)i->level, imports_module(found, i), names, (int)line);
}

static int show(const char *path)
{
    _cleanup_buf_ struct buf source = {0};
    struct imports found;
    json_t *statements = json_array(), *line;
    int r = file_read(path, LARGEST, &source, NULL);

    if (r == 0)
        r = imports_scan(&found, source.data, source.size, NULL);
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(-r));
        return r;
    }
    for (size_t k = 0; k < found.count; k++)
        json_array_append_new(statements, statement(&source, &found, found.items + k));
    line = json_pack("{s:o, s:s?}", "imports", statements, "dynamic", found.dynamic);
    r = json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
    imports_clear(&found);
    return r;
}

int main(void)
{
    _cleanup_free_ char *path = NULL;
    size_t room = 0;
    ssize_t n;

    while ((n = getline(&path, &room, stdin)) > 0) {
        path[n - 1] = '\0';
        if (show(path) < 0)
            return 1;
    }
    return 0;
}
