/* Names a user's own cache directory. */

#include <errno.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "places.h"
#include "warmpack.h"

char *wp_user_wide_cache_dir(const char *user, struct wp_error *err)
{
    _cleanup_(places_user_clear) struct places_user who = {0};
    char *dir;

    if (places_user(&who, user, err) < 0)
        return NULL;
    dir = places_user_wide(&who, user == NULL);
    if (!dir)
        error_set(err, errno, NULL, "cannot name the user-wide cache directory");
    return dir;
}
