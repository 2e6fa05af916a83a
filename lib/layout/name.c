/* The names of layouts, as options and state.jsonl have them. */

#include <stddef.h>

#include "warmpack.h"

const char *wp_layout_name(enum wp_layout l)
{
    static const char *const names[] = {
        [WP_LAYOUT_AUTO] = "auto",           [WP_LAYOUT_KEEP] = "keep",
        [WP_LAYOUT_IN_TREE] = "in-tree",     [WP_LAYOUT_CACHE_DIR] = "cache-dir",
        [WP_LAYOUT_USER_WIDE] = "user-wide",
    };

    return (unsigned)l < sizeof names / sizeof *names ? names[l] : NULL;
}
