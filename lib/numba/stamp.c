/* The stamp of a source file, as Numba takes it. */

#include "numba/stamp.h"

#include <errno.h>
#include <string.h>

double stamp_mtime(struct timespec t)
{
    /* The product must be rounded before it is added: a fused multiply-add, which compilers make
     * of one expression, gives another last bit. */
    volatile double fraction = 1e-9 * (double)t.tv_nsec;
    return (double)t.tv_sec + fraction;
}

/* floor(3), without its library. */
static double whole_seconds(double t)
{
    if (t >= 0x1p53 || t <= -0x1p53)
        return t;
    double cut = (double)(int64_t)t;
    return cut > t ? cut - 1 : cut;
}

int stamp_matches(const struct wp_stamp *s, struct timespec mtime, uint64_t size,
                  const unsigned char *sha256)
{
    switch (s->kind) {
    case WP_STAMP_MTIME:
        return s->size == size && s->mtime == stamp_mtime(mtime);
    case WP_STAMP_SECONDS:
        /* Numba takes the floor of the double, which just below a second is the next one. */
        return s->size == size && s->mtime == whole_seconds(stamp_mtime(mtime));
    case WP_STAMP_CONTENT:
        if (!sha256)
            return -ENODATA;
        return memcmp(s->sha256, sha256, sizeof(s->sha256)) == 0;
    case WP_STAMP_UNKNOWN:
        break;
    }
    return 0;
}

const char *stamp_kind_name(enum wp_stamp_kind k)
{
    switch (k) {
    case WP_STAMP_MTIME:
        return "mtime";
    case WP_STAMP_SECONDS:
        return "seconds";
    case WP_STAMP_CONTENT:
        return "content";
    case WP_STAMP_UNKNOWN:
        break;
    }
    return "unknown";
}
