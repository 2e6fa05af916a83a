/* Reads the arguments of --owner and --group. */

#include "owner.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

/* All but the highest number, which stands for "unchanged" in chown(2). */
static bool parse_id(const char *text, uint32_t *id)
{
    unsigned long n;
    char *end;

    errno = 0;
    n = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || n >= UINT32_MAX)
        return false;
    *id = (uint32_t)n;
    return true;
}

static int parse(const char *text, bool group, struct wp_owner *out, char **name)
{
    const char *option = group ? "--group" : "--owner";
    const char *colon = strchr(text, ':');

    out->set = true;
    if (colon) {
        if (!parse_id(colon + 1, &out->id))
            return message_usage("%s: '%s' is not a number", option, colon + 1);
        *name = strndup(text, (size_t)(colon - text));
    } else if (isdigit((unsigned char)*text)) {
        if (!parse_id(text, &out->id))
            return message_usage("%s: '%s' is not a number", option, text);
        *name = NULL;
    } else {
        if (wp_account_id(text, group, &out->id) != 1)
            return message_usage("%s: '%s' is not known here: write NAME:NUMBER", option, text);
        *name = strdup(text);
    }
    /* A bare number gets the name that it has here, as in tar. */
    if (!*name || !**name) {
        free(*name);
        *name = wp_account_name(out->id, group);
    }
    if (!*name)
        return message_no_memory();
    out->name = **name ? *name : NULL;
    return 0;
}

int owners_take(struct owners *out, const struct args *a)
{
    int rc = a->owner ? parse(a->owner, false, &out->owner, &out->owner_name) : 0;

    return !rc && a->group ? parse(a->group, true, &out->group, &out->group_name) : rc;
}

void owners_clear(struct owners *o)
{
    free(o->owner_name);
    free(o->group_name);
}
