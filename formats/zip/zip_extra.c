/* Reads the extra fields of an entry's record: what did not fit, exact times, owners. */

#include "zip_extra.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/path.h"
#include "codec/crc.h"

static struct timespec from_dos(uint16_t date, uint16_t time)
{
    struct tm tm = {.tm_year = (date >> 9) + 80,
                    .tm_mon = (date >> 5 & 15) - 1,
                    .tm_mday = date & 31,
                    .tm_hour = time >> 11,
                    .tm_min = time >> 5 & 63,
                    .tm_sec = (time & 31) * 2,
                    .tm_isdst = -1};

    if (date == 0) /* none is given */
        return (struct timespec){.tv_sec = 315532800};
    return (struct timespec){.tv_sec = mktime(&tm)};
}

/* Seconds since 1970 of which a field holds the low 32 bits: after 2038 the DOS time beside them
 * tells, which goes on to 2107. That is local, in a zone that is not known. */
static struct timespec from_unix(uint32_t low, const struct zip_central *c)
{
    const int64_t seconds = (int32_t)low, later = seconds + (INT64_C(1) << 32);
    const int year = (c->date >> 9) + 1980;
    const int64_t two_days = 2 * 86400;

    if (year >= 2038 && llabs(later - from_dos(c->date, c->time).tv_sec) <= two_days)
        return (struct timespec){.tv_sec = later};
    return (struct timespec){.tv_sec = seconds};
}

/* Counted in tenths of microseconds since 1601. */
static struct timespec from_windows(uint64_t ticks)
{
    return (struct timespec){.tv_sec = (time_t)(ticks / 10000000) - 11644473600,
                             .tv_nsec = (long)(ticks % 10000000) * 100};
}

/* How exact the time taken so far is: later ones count only if they are better. */
enum exactness { FROM_DOS, FROM_UNIX_OLD, FROM_UNIX, FROM_NTFS };

static void take_windows_times(struct zip_entry *e, const unsigned char *p, size_t n,
                               enum exactness *best)
{
    for (size_t at = 4; at + 4 <= n;) { /* behind reserved bytes, fields with tag and size */
        size_t size = get_le16(p + at + 2);

        if (get_le16(p + at) == 1 && size >= 8 && at + 4 + size <= n) {
            e->mtime = from_windows(get_le64(p + at + 4));
            *best = FROM_NTFS;
        }
        at += 4 + size;
    }
}

/* Version 1: sizes, then the numbers of user and group. */
static void take_owner(struct zip_entry *e, const unsigned char *p, size_t n)
{
    size_t uid, gid;

    if (n < 3 || p[0] != 1)
        return;
    uid = p[1];
    if (uid < 1 || uid > 4 || n < 3 + uid)
        return;
    gid = p[2 + uid];
    if (gid < 1 || gid > 4 || n < 3 + uid + gid)
        return;
    e->uid = (uid_t)get_le(p + 2, uid);
    e->gid = (gid_t)get_le(p + 3 + uid, gid);
}

/* Fields that did not fit their places, in this order. False: it lacks one. */
static bool take_long(struct zip_entry *e, const unsigned char *p, size_t n)
{
    uint64_t *const values[] = {&e->size, &e->packed_size, &e->at};

    for (int i = 0; i < 3; i++) {
        if (*values[i] != ZIP_MAX32)
            continue;
        if (n < 8)
            return false;
        *values[i] = get_le64(p);
        p += 8;
        n -= 8;
    }
    return true;
}

/* Version 1: the checksum of the name in the header, which it was made for, then the name. Programs
 * that know nothing of the field may have changed that name since. */
static void take_unicode(const struct zip_central *c, const unsigned char *p, size_t n,
                         struct zip_text *unicode)
{
    if (n <= 5 || p[0] != 1 || get_le32(p + 1) != crc_add(0, c->name, c->name_size))
        return;
    if (memchr(p + 5, 0, n - 5) || !utf8_valid((const char *)p + 5, n - 5))
        return;
    *unicode = (struct zip_text){.data = p + 5, .size = n - 5};
}

bool zip_extra_take(struct zip_entry *e, const struct zip_central *c, struct zip_text *unicode)
{
    const unsigned char *p = c->extra;
    size_t n = c->extra_size;
    enum exactness best = FROM_DOS;
    bool has_long = false;

    while (n >= 4) {
        size_t size = get_le16(p + 2);
        const unsigned char *field = p + 4;

        if (size > n - 4)
            return false;
        switch (get_le16(p)) {
        case ZIP_EXTRA_64:
            if (!has_long && !take_long(e, field, size))
                return false;
            has_long = true;
            break;
        case ZIP_EXTRA_TIME:
            if (size >= 5 && field[0] & 1 && best < FROM_UNIX) {
                e->mtime = from_unix(get_le32(field + 1), c);
                best = FROM_UNIX;
            }
            break;
        case ZIP_EXTRA_UNIX_OLD:
            if (size >= 8 && best < FROM_UNIX_OLD) {
                e->mtime = from_unix(get_le32(field + 4), c);
                best = FROM_UNIX_OLD;
            }
            break;
        case ZIP_EXTRA_NTFS:
            take_windows_times(e, field, size, &best);
            break;
        case ZIP_EXTRA_UNICODE_PATH:
            take_unicode(c, field, size, unicode);
            break;
        case ZIP_EXTRA_UNIX:
            take_owner(e, field, size);
            break;
        default:
            break;
        }
        p += 4 + size;
        n -= 4 + size;
    }
    if (best == FROM_DOS) /* only then: the C library looks up the time zone anew each time */
        e->mtime = from_dos(c->date, c->time);
    return true; /* what is left over is padding of some writers */
}
