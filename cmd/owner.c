#include "owner.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

/* All but the highest number, which stands for "unchanged" in chown(2). */
static bool parse_id(const char *text, id_t *id)
{
    unsigned long n;
    char *end;

    errno = 0;
    n = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || n >= UINT32_MAX)
        return false;
    *id = (id_t)n;
    return true;
}

static bool find_id(const char *name, bool group, id_t *id)
{
    const struct group *g = group ? getgrnam(name) : NULL;
    const struct passwd *u = group ? NULL : getpwnam(name);

    if (g)
        *id = g->gr_gid;
    if (u)
        *id = u->pw_uid;
    return g || u;
}

static const char *find_name(id_t id, bool group)
{
    const struct group *g = group ? getgrgid(id) : NULL;
    const struct passwd *u = group ? NULL : getpwuid(id);

    return g ? g->gr_name : u ? u->pw_name : "";
}

int owner_parse(const char *text, bool group, struct wp_owner *out, char **name)
{
    const char *option = group ? "--group" : "--owner";
    const char *colon = strchr(text, ':');

    out->set = true;
    if (colon) {
        if (!parse_id(colon + 1, &out->id))
            return message_usage("create", "%s: '%s' is not a number", option, colon + 1);
        *name = strndup(text, (size_t)(colon - text));
    } else if (isdigit((unsigned char)*text)) {
        if (!parse_id(text, &out->id))
            return message_usage("create", "%s: '%s' is not a number", option, text);
        *name = NULL;
    } else {
        if (!find_id(text, group, &out->id))
            return message_usage("create", "%s: '%s' is not known here: write NAME:NUMBER", option,
                                 text);
        *name = strdup(text);
    }
    /* A bare number gets the name that it has here, as in tar. */
    if (!*name || !**name) {
        free(*name);
        *name = strdup(find_name(out->id, group));
    }
    if (!*name) {
        message_error("out of memory");
        return STATUS_FAILED;
    }
    out->name = **name ? *name : NULL;
    return 0;
}
