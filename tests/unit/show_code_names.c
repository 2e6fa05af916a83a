/* Writes the names in the data files and indexes given, a line of JSON each, for a test with real
 * Numba. Usage: show_code_names FILE... */

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "numba/code_names.h"
#include "numba/index.h"

enum { LARGEST = 1 << 28 };

static json_t *describe(const struct code_names *names)
{
    json_t *functions = json_array(), *globals = json_array();

    for (size_t i = 0; i < names->function_count; i++) {
        const struct code_function *f = names->functions + i;

        json_array_append_new(functions,
                              json_pack("{s:s, s:s?}", "path", f->path, "module", f->module));
    }
    for (size_t i = 0; i < names->global_count; i++)
        json_array_append_new(
            globals, json_pack("[s, s]", names->globals[i].module, names->globals[i].name));
    return json_pack("{s:s?, s:s?, s:o, s:o}", "module", names->module, "qualname", names->qualname,
                     "functions", functions, "globals", globals);
}

static int show(const char *path)
{
    _cleanup_buf_ struct buf content = {0};
    struct code_names names = {0};
    struct wp_error err = {0};
    struct index index = {0};
    struct index_name name;
    int r = file_read(path, LARGEST, &content, NULL);

    if (r < 0)
        return r;
    if (index_name_parse(path_base(path), &name) < 0) {
        r = code_names_read_data(&names, content.data, content.size, &err);
    } else {
        r = index_read(&index, content.data, content.size, &err);
        if (r == 0)
            r = code_names_read_index(&names, &index, &err);
    }
    if (r == 0) {
        json_t *line = describe(&names);

        r = json_dumpf(line, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(line);
    }
    if (r < 0)
        fprintf(stderr, "%s: %s\n", path, err.message);
    code_names_clear(&names);
    index_clear(&index);
    return r;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (show(argv[i]) < 0)
            return 1;
    return 0;
}
