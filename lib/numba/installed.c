/* Asks a Python interpreter what it has installed besides a tree, from which code of the tree's
 * caches can come. */

#include "numba/installed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "python_run.h"

enum { LONGEST_ANSWER = 64 << 20 };

/* The question is words, each with a zero behind it. */
#define BEGIN                                                                                      \
    PYTHON_RUN_BEGIN                                                                               \
    "asked = [os.fsdecode(w) for w in sys.stdin.buffer.read().split(b'\\0')[:-1]]\n"

/* Which modules a distribution has: as it says itself, or by its files; so does
 * importlib.metadata.packages_distributions, which is younger than Python 3.9. */
static const char distributions_script[] = BEGIN
    "import re\n"
    "try:\n"
    "    from importlib import metadata\n"
    "except ImportError:\n" /* before Python 3.8 */
    "    try:\n"
    "        import importlib_metadata as metadata\n"
    "    except ImportError:\n"
    "        metadata = None\n"
    "by_name = asked.pop(0) == 'names'\n"
    "def plain(name):\n"
    "    return re.sub('[-_.]+', '-', name).lower()\n"
    "def tops(d):\n"
    "    text = d.read_text('top_level.txt')\n"
    "    if text is not None:\n"
    "        return set(text.split())\n"
    "    return {f.parts[0].split('.')[0] for f in d.files or () if f.suffix in ('.py', '.so')}\n"
    "def needs_numba(d):\n"
    "    for need in d.requires or ():\n"
    "        name, _, marker = need.partition(';')\n"
    "        if plain(re.match('[\\\\w.-]*', name.strip()).group()) == 'numba':\n"
    "            if not re.search('\\\\bextra\\\\b', marker):\n"
    "                return True\n"
    "    return False\n"
    "wanted = {plain(w) for w in asked} if by_name else set(asked)\n"
    "named = {plain(w) for w in wanted}\n"
    "found = {}\n"
    "for d in metadata.distributions() if metadata and wanted else ():\n"
    "    try:\n"
    "        name, version = str(d.metadata['Name'] or ''), str(d.version or '')\n"
    "        if not name or not version or plain(name) in found:\n"
    "            continue\n"
    "        if plain(name) in named or (not by_name and tops(d) & wanted):\n"
    "            found[plain(name)] = [name, version, needs_numba(d)]\n"
    "    except Exception:\n" /* one that is damaged says nothing */
    "        pass\n"
    "json.dump([found[n] for n in sorted(found)], out)\n"
    "out.close()\n";

/* Of a module that cannot be imported for another reason nothing is told, nor of one whose
 * top-level package is not there at all: its directory may not be on this sys.path. */
static const char globals_script[] =
    BEGIN "import importlib\n"
          "def is_missing(module, name):\n"
          "    try:\n"
          "        importlib.import_module(module.partition('.')[0])\n"
          "    except BaseException:\n"
          "        return False\n"
          "    try:\n"
          "        at = importlib.import_module(module)\n"
          "        for part in name.split('.'):\n"
          "            at = getattr(at, part)\n"
          "    except ModuleNotFoundError as e:\n"
          "        return e.name is not None and (module + '.').startswith(e.name + '.')\n"
          "    except AttributeError as e:\n"
          "        return module in sys.modules\n"
          "    except BaseException:\n"
          "        pass\n"
          "    return False\n"
          "json.dump([is_missing(*pair) for pair in zip(asked[::2], asked[1::2])], out)\n"
          "out.close()\n";

static int add_word(struct buf *question, const char *word)
{
    return buf_add(question, word, strlen(word) + 1);
}

/* Fills *ANSWER, which is the caller's to drop, with what the script answers: an array. */
static int ask(const struct wp_context *context, const char *python, const char *script,
               const struct buf *question, json_t **answer, struct wp_error *err)
{
    struct python_run run = {.python = python, .script = script, .longest = LONGEST_ANSWER};
    int r = python_run_ask(&run, context, question, JSON_ARRAY, answer, err);

    python_run_clear(&run);
    return r;
}

/* ---- Distributions ----------------------------------------------------------------------- */

static int add_installed(const json_t *item, struct installed **list, size_t *count)
{
    const char *name = json_string_value(json_array_get(item, 0));
    const char *version = json_string_value(json_array_get(item, 1));
    struct installed *d;

    if (!name || !version)
        return 0;
    if (array_grow(*list, *count) < 0)
        return -ENOMEM;
    d = &(*list)[(*count)++];
    *d = (struct installed){.name = strdup(name),
                            .version = strdup(version),
                            .uses_numba = json_is_true(json_array_get(item, 2))};
    return d->name && d->version ? 0 : -ENOMEM;
}

int installed_ask(const struct wp_context *context, const char *python, char *const *modules,
                  size_t count, bool by_name, struct installed **out, size_t *found,
                  struct wp_error *err)
{
    _cleanup_buf_ struct buf question = {0};
    struct installed *list = NULL;
    json_t *answer = NULL;
    size_t n = 0;
    int r = add_word(&question, by_name ? "names" : "modules");

    *out = NULL;
    *found = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = add_word(&question, modules[i]);
    r = r < 0 ? error_nomem(err)
              : ask(context, python, distributions_script, &question, &answer, err);
    for (size_t i = 0; r == 0 && i < json_array_size(answer); i++)
        if (add_installed(json_array_get(answer, i), &list, &n) < 0)
            r = error_nomem(err);
    json_decref(answer);
    if (r < 0) {
        installed_free(list, n);
        return r;
    }
    *out = list;
    *found = n;
    return 0;
}

void installed_free(struct installed *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].name);
        free(list[i].version);
    }
    free(list);
}

/* ---- Globals ----------------------------------------------------------------------------- */

int installed_find(const struct wp_context *context, const char *python,
                   struct installed_global *list, size_t count, struct wp_error *err)
{
    _cleanup_buf_ struct buf question = {0};
    json_t *answer = NULL;
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = add_word(&question, list[i].module) < 0 || add_word(&question, list[i].name) < 0
                ? error_nomem(err)
                : 0;
    if (r == 0 && count)
        r = ask(context, python, globals_script, &question, &answer, err);
    for (size_t i = 0; i < count && r == 0; i++)
        list[i].is_missing = json_is_true(json_array_get(answer, i));
    json_decref(answer);
    return r;
}
