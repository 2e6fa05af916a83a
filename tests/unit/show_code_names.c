/* Writes the names in the data files and indexes given, a line of JSON each, for a test with real
 * Numba. Usage: show_code_names MODULE,MODULE,... FILE...: of each function is said in which of
 * these modules its path lies. */

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "numba/code_names.h"
#include "numba/index.h"

enum { LARGEST = 1 << 28 };

static json_t *modules_of(const char *path, const char *modules)
{
    json_t *found = json_array();

    for (size_t n; *modules; modules += n + (modules[n] == ',')) {
        _cleanup_free_ char *module = NULL;

        n = strcspn(modules, ",");
        module = strndup(modules, n);
        if (module && code_path_is_in(path, module))
            json_array_append_new(found, json_string(module));
    }
    return found;
}

static json_t *describe(const struct code_names *names, const char *modules)
{
    json_t *functions = json_array(), *globals = json_array();

    for (size_t i = 0; i < names->function_count; i++) {
        const struct code_function *f = names->functions + i;

        json_array_append_new(functions, json_pack("{s:s, s:s?, s:o}", "path", f->path, "module",
                                                   f->module, "in", modules_of(f->path, modules)));
    }
    for (size_t i = 0; i < names->global_count; i++)
        json_array_append_new(
            globals, json_pack("[s, s]", names->globals[i].module, names->globals[i].name));
    return json_pack("{s:s?, s:s?, s:o, s:o}", "module", names->module, "qualname", names->qualname,
                     "functions", functions, "globals", globals);
}

static int show(const char *path, const char *modules)
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
        json_t *line = describe(&names, modules);

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
    for (int i = 2; i < argc; i++)
        if (show(argv[i], argv[1]) < 0)
            return 1;
    return 0;
}
