/* Asks a Python interpreter for what decides whether it loads from a cache. */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json_parse.h"
#include "locator.h"
#include "python_run.h"

enum { LONGEST_ANSWER = 1 << 20 };

static const char script[] = PYTHON_RUN_BEGIN
    "import numba\n"
    "from numba.core import config, caching\n"
    "from numba.core.registry import cpu_target\n"
    "triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()\n"
    "json.dump({'python': '%d%d%s' % (sys.version_info[0], sys.version_info[1],\n"
    "                                 getattr(sys, 'abiflags', '')),\n"
    "           'numba': numba.__version__, 'triple': triple, 'cpu': cpu,\n"
    "           'features': features, 'cache_dir': getattr(config, 'CACHE_DIR', '') or None,\n"
    "           'locators': getattr(config, 'CACHE_LOCATOR_CLASSES', '') or None,\n"
    "           'classes': ','.join(c.__name__ for c in\n"
    "                               getattr(caching.CacheImpl, '_locator_classes', ())),\n"
    "           'no_svml': getattr(config, 'USING_SVML', None) is False},\n"
    "          out)\n"
    "out.close()\n";

/* Does a locator in force stamp whole seconds? Those named in the environment replace the list. */
static int find_whole_seconds(struct wp_python *out, const json_t *o)
{
    _cleanup_free_ char *classes = NULL;
    const char *list;

    if (json_copy_text(&classes, o, "classes") < 0)
        return -ENOMEM;
    list = out->locators && !locator_is_alone(out->locators) ? out->locators : classes;
    /* A locator of somebody's own may do anything. */
    out->no_whole_seconds = list && !strstr(list, "FsAgnostic") && !strchr(list, '.');
    return 0;
}

static int understand(const char *python, const json_t *o, struct wp_python *out,
                      struct wp_error *err)
{
    int r = json_copy_text(&out->python, o, "python") || json_copy_text(&out->numba, o, "numba") ||
                    json_copy_text(&out->triple, o, "triple") ||
                    json_copy_text(&out->cpu, o, "cpu") ||
                    json_copy_text(&out->features, o, "features") ||
                    json_copy_text(&out->cache_dir, o, "cache_dir") ||
                    json_copy_text(&out->locators, o, "locators") || find_whole_seconds(out, o)
                ? error_nomem(err)
                : 0;

    out->no_svml = json_is_true(json_object_get(o, "no_svml"));
    if (r == 0 && (!out->python || !out->numba || !out->triple || !out->cpu || !out->features))
        r = error_set(err, 0, python, "does not say what its Numba compiles for");
    return r;
}

int wp_python_ask(const struct wp_context *context, const char *python, struct wp_python *out,
                  struct wp_error *err)
{
    struct python_run run = {.python = python, .script = script, .longest = LONGEST_ANSWER};
    json_t *answer;
    int r = python_run_ask(&run, context, NULL, JSON_OBJECT, &answer, err);

    *out = (struct wp_python){0};
    if (r == 0)
        r = understand(python, answer, out, err);
    json_decref(answer);
    python_run_clear(&run);
    if (r < 0)
        wp_python_clear(out);
    return r;
}

void wp_python_clear(struct wp_python *p)
{
    free(p->python);
    free(p->numba);
    free(p->triple);
    free(p->cpu);
    free(p->features);
    free(p->cache_dir);
    free(p->locators);
    *p = (struct wp_python){0};
}
