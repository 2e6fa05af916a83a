/* Asks a Python interpreter which caches Numba would get through warmpack.locator: by its own
 * module of that name, or where it has none, by ours. */

#include "locator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json_parse.h"
#include "locator_text.h"
#include "python_run.h"

enum { LONGEST_ANSWER = 64 << 20 };

static const char script[] = PYTHON_RUN_BEGIN
    "import types\n"
    "module, *names = sys.stdin.buffer.read().split(b'\\0')[:-1]\n"
    "from numba.core import caching, config\n"
    "try:\n"
    "    from warmpack import locator\n"
    "    locator.consult\n"
    "    there = True\n"
    "except (ImportError, AttributeError):\n"
    "    locator, there = types.ModuleType('locator'), False\n"
    "    exec(compile(module, 'locator.py', 'exec'), locator.__dict__)\n"
    "given = getattr(config, 'CACHE_LOCATOR_CLASSES', '')\n"
    "force = there and ('warmpack.locator.Warm' in [n.strip() for n in given.split(',')] if given\n"
    "    else any(c.__module__ == 'warmpack.locator' for c in "
    "caching.CacheImpl._locator_classes))\n"
    "def text(x):\n" /* JSON holds no bytes that are not UTF-8 */
    "    return os.fsencode(x).decode('utf-8', 'replace') if isinstance(x, str) else x\n"
    "def told(name):\n"
    "    answer = locator.consult(os.fsdecode(name))\n"
    "    answer['indexes'] = [text(x) for x in answer['indexes']]\n"
    "    return {key: text(value) for key, value in answer.items()}\n"
    "json.dump({'force': force, 'there': there, 'files': [told(name) for name in names]}, out)\n"
    "out.close()\n";

bool locator_is_alone(const char *locators)
{
    static const char name[] = "warmpack.locator.Warm";
    const size_t n = strspn(locators, " ");

    return strncmp(locators + n, name, strlen(name)) == 0 &&
           !locators[n + strlen(name) + strspn(locators + n + strlen(name), " ")];
}

static int understand_file(struct wp_located *l, const json_t *o)
{
    const json_t *indexes = json_object_get(o, "indexes");

    l->indexes = calloc(json_array_size(indexes) + 1, sizeof *l->indexes);
    if (!l->indexes || json_copy_text(&l->manifest, o, "manifest") ||
        json_copy_text(&l->overlay, o, "overlay") || json_copy_text(&l->reason, o, "reason"))
        return -ENOMEM;
    for (size_t i = 0; i < json_array_size(indexes); i++) {
        const char *text = json_string_value(json_array_get(indexes, i));

        if (text && !(l->indexes[l->index_count++] = strdup(text)))
            return -ENOMEM;
    }
    return 0;
}

static int understand(struct python_run *run, const json_t *o, struct wp_located *list,
                      size_t count, struct wp_error *err)
{
    const json_t *files = json_object_get(o, "files");
    int r = json_array_size(files) != count || !json_is_array(files) ? python_run_complain(run, err)
                                                                     : 0;

    for (size_t i = 0; i < count && r == 0; i++) {
        list[i].in_force = json_is_true(json_object_get(o, "force"));
        list[i].is_installed = json_is_true(json_object_get(o, "there"));
        r = understand_file(&list[i], json_array_get(files, i)) < 0 ? error_nomem(err) : 0;
    }
    return r;
}

int wp_locate(const struct wp_context *context, const char *python, const char *const *files,
              size_t count, struct wp_located **located, struct wp_error *err)
{
    struct python_run run = {.python = python, .script = script, .longest = LONGEST_ANSWER};
    struct wp_located *list = calloc(count + 1, sizeof *list);
    _cleanup_buf_ struct buf question = {0};
    const char *text = (const char *)locator_text;
    json_t *answer;
    int r;

    *located = NULL;
    if (!list)
        return error_nomem(err);
    /* The module's text and the names, each with a zero behind it. */
    r = buf_add(&question, text, strlen(text) + 1);
    for (size_t i = 0; i < count && r == 0; i++)
        r = buf_add(&question, files[i], strlen(files[i]) + 1);
    if (r < 0) {
        free(list);
        return error_nomem(err);
    }
    r = python_run_ask(&run, context, &question, JSON_OBJECT, &answer, err);
    if (r == 0)
        r = understand(&run, answer, list, count, err);
    json_decref(answer);
    python_run_clear(&run);
    if (r < 0)
        wp_located_free(list, count);
    else
        *located = list;
    return r;
}

void wp_located_free(struct wp_located *located, size_t count)
{
    for (size_t i = 0; located && i < count; i++) {
        for (size_t k = 0; k < located[i].index_count; k++)
            free(located[i].indexes[k]);
        free(located[i].indexes);
        free(located[i].manifest);
        free(located[i].overlay);
        free(located[i].reason);
    }
    free(located);
}
