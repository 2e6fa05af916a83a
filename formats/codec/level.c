/* Tells which levels of compression a codec has. */

#include "codec.h"

int codec_level(const struct codec *c, int *level, struct wp_error *err)
{
    if (*level == -1) {
        *level = c->default_level;
        return 0;
    }
    if (*level >= c->min_level && *level <= c->max_level)
        return 0;
    return c->max_level == 0
               ? error_set(err, 0, NULL, "a plain tar has no compression level")
               : error_set(err, 0, NULL, "level %d is not one of %s's, which are %d to %d", *level,
                           c->name, c->min_level, c->max_level);
}
