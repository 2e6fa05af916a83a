/* Takes Numba's settings from the file in the working directory, as a program that is started there
 * does. */

#include "settings.h"

#include <errno.h>
#include <stdlib.h>

#include "message.h"

static int set(void *ctx, const char *name, const char *value)
{
    (void)ctx;
    return setenv(name, value, 0) < 0 ? -errno : 0;
}

/* Does the verb go by Numba's settings, and run no interpreter that reads the file by itself? */
static bool goes_by_settings(const struct args *a)
{
    switch (a->verb) {
    case VERB_CREATE:
    case VERB_EXTRACT:
    case VERB_AMEND:
    case VERB_RESTORE:
    case VERB_RETARGET:
    case VERB_SEAL:
    case VERB_MERGE:
    case VERB_DIFF:
        return true;
    case VERB_VERIFY:
    case VERB_PATH:
        return !a->python;
    default:
        return false;
    }
}

int settings_take(const struct wp_context *context, const struct args *a)
{
    struct wp_error err = {0};
    int r = goes_by_settings(a) ? wp_numba_config(context, set, NULL, &err) : 0;

    return message_outcome(r, &err);
}
