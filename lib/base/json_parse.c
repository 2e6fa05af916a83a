/* Parses JSON with jansson, and watches its allocations. Programs that use jansson, too, keep
 * theirs: what they have set is called. */

#include "json_parse.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static json_malloc_t allocate;
static json_free_t release;
static _Thread_local bool failed;

static void *watch(size_t size)
{
    void *p = allocate(size);

    failed |= !p;
    return p;
}

static void begin(void)
{
    json_get_alloc_funcs(&allocate, &release);
    json_set_alloc_funcs(watch, release);
}

int json_parse(json_t **out, const char *text, size_t size, size_t flags, json_error_t *wrong)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, begin);
    failed = false;
    *out = json_loadb(text, size, flags, wrong);
    if (!failed)
        return 0;
    json_decref(*out);
    *out = NULL;
    return -ENOMEM;
}

int json_copy_text(char **out, const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    *out = text ? strdup(text) : NULL;
    return text && !*out ? -ENOMEM : 0;
}
