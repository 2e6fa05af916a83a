/* Writes what a machine can do as JSON, and reads what another one has written. */

#include "numba/probe.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json_parse.h"
#include "numba/features.h"

#define FORMAT "warmpack-probe"
enum { VERSION = 1 };

static int machine_features(char **out)
{
    _cleanup_buf_ struct buf text = {0};
    struct features host;

    if (!features_of_host(&host))
        return 0;
    for (unsigned i = 0; features_name(i); i++)
        if (features_has(&host, i) &&
            buf_printf(&text, "%s+%s", text.size ? "," : "", features_name(i)) < 0)
            return -ENOMEM;
    if (buf_terminate(&text) < 0)
        return -ENOMEM;
    *out = (char *)take_ptr(text.data);
    return 0;
}

int wp_probe_here(const struct wp_context *context, const char *python, struct wp_probe *out,
                  struct wp_error *err)
{
    int r;

    *out = (struct wp_probe){0};
    r = machine_features(&out->machine) < 0 ? error_nomem(err) : 0;
    if (r == 0 && python)
        r = wp_python_ask(context, python, &out->python, err);
    if (r < 0)
        wp_probe_clear(out);
    return r;
}

void wp_probe_clear(struct wp_probe *p)
{
    free(p->machine);
    wp_python_clear(&p->python);
    *p = (struct wp_probe){0};
}

char *wp_probe_text(const struct wp_probe *p)
{
    const struct wp_python *y = &p->python;
    json_t *o = json_pack("{s:s, s:i, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?}", "format", FORMAT,
                          "version", VERSION, "machine", p->machine, "python", y->python, "numba",
                          y->numba, "triple", y->triple, "cpu", y->cpu, "features", y->features);
    char *text = o ? json_dumps(o, 0) : NULL;

    json_decref(o);
    return text;
}

bool probe_is_like(const struct buf *text)
{
    size_t i = 0;

    while (i < text->size && isspace(text->data[i]))
        i++;
    return i < text->size && text->data[i] == '{';
}

/* A text or null. */
static int member(char **out, const json_t *o, const char *member, const char *name,
                  struct wp_error *err)
{
    const json_t *value = json_object_get(o, member);

    if (!value || json_is_null(value))
        return 0;
    if (!json_is_string(value))
        return error_set(err, 0, name, "is no probe: \"%s\" is not a text", member);
    *out = strdup(json_string_value(value));
    return *out ? 0 : error_nomem(err);
}

int probe_read(struct wp_probe *out, const struct buf *text, const char *name, struct wp_error *err)
{
    const struct {
        const char *name;
        char **to;
    } members[] = {{"machine", &out->machine},    {"python", &out->python.python},
                   {"numba", &out->python.numba}, {"triple", &out->python.triple},
                   {"cpu", &out->python.cpu},     {"features", &out->python.features}};
    json_error_t wrong;
    json_t *o;
    const char *format;
    int r = 0;

    *out = (struct wp_probe){0};
    if (json_parse(&o, (const char *)text->data, text->size, JSON_REJECT_DUPLICATES, &wrong) < 0)
        return error_nomem(err);
    format = json_string_value(json_object_get(o, "format"));
    if (!o)
        return error_set(err, 0, name, "is no probe: line %d: %s", wrong.line, wrong.text);
    if (!format || strcmp(format, FORMAT) != 0)
        r = error_set(err, 0, name, "is no probe: its format is not \"" FORMAT "\"");
    else if (json_integer_value(json_object_get(o, "version")) != VERSION)
        r = error_set(err, 0, name, "is a probe of a version that is not known here");
    for (size_t i = 0; i < sizeof members / sizeof *members && r == 0; i++)
        r = member(members[i].to, o, members[i].name, name, err);
    json_decref(o);
    if (r < 0)
        wp_probe_clear(out);
    return r;
}
