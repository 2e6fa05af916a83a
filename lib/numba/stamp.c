/* Takes the stamp of a source file as Numba does. */

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
    static const double exact = 9007199254740992; /* 2**53: from there on all are whole */

    if (t >= exact || t <= -exact)
        return t;
    double cut = (double)(int64_t)t;
    return cut > t ? cut - 1 : cut;
}

int stamp_matches(const struct wp_stamp *s, struct timespec mtime, uint64_t size,
                  const unsigned char *sha256)
{
    struct wp_stamp now;

    if (s->kind == WP_STAMP_CONTENT && !sha256)
        return -ENODATA;
    now = stamp_of(s->kind, mtime, size, sha256);
    return stamp_equal(s, &now);
}

struct wp_stamp stamp_of(enum wp_stamp_kind kind, struct timespec mtime, uint64_t size,
                         const unsigned char sha256[32])
{
    struct wp_stamp s = {.kind = kind};
    switch (kind) {
    case WP_STAMP_MTIME:
        s.mtime = stamp_mtime(mtime);
        s.size = size;
        break;
    case WP_STAMP_SECONDS:
        /* Numba takes the floor of the double, which just below a second is the next one. */
        s.mtime = whole_seconds(stamp_mtime(mtime));
        s.size = size;
        break;
    case WP_STAMP_CONTENT:
        memcpy(s.sha256, sha256, sizeof(s.sha256));
        break;
    case WP_STAMP_UNKNOWN:
    case WP_STAMP_NONE:
        break;
    }
    return s;
}

bool stamp_equal(const struct wp_stamp *a, const struct wp_stamp *b)
{
    if (a->kind != b->kind || a->kind == WP_STAMP_UNKNOWN || a->kind == WP_STAMP_NONE)
        return false;
    if (a->kind == WP_STAMP_CONTENT)
        return memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0;
    return a->mtime == b->mtime && a->size == b->size;
}

const char *const stamp_kind_names[STAMP_KINDS] = {
    [WP_STAMP_MTIME] = "mtime",     [WP_STAMP_SECONDS] = "seconds", [WP_STAMP_CONTENT] = "content",
    [WP_STAMP_UNKNOWN] = "unknown", [WP_STAMP_NONE] = "none",
};

const char *wp_stamp_kind_name(enum wp_stamp_kind k)
{
    return stamp_kind_names[(unsigned)k < STAMP_KINDS ? k : WP_STAMP_UNKNOWN];
}
