#include "zip_directory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "zip_end.h"

enum { WINDOW = 256 * 1024 }; /* bytes of the directory read at once; it holds any one record */

/* The directory, read piece by piece. */
struct window {
    const struct zip_archive *a;
    unsigned char *data; /* WINDOW bytes, owned */
    size_t pos, end;
    uint64_t next; /* where in the file the bytes after these stand */
    uint64_t left; /* of the directory */
};

void zip_archive_clear(struct zip_archive *a)
{
    if (a->fd >= 0)
        close(a->fd);
    free(a->name);
    free(a->entries);
    free(a->mark);
    buf_free(&a->names);
    *a = (struct zip_archive){.fd = -1};
}

static int damaged(const struct zip_archive *a, const char *what, struct wp_error *err)
{
    return error_set(err, 0, a->name, "the archive is damaged: %s", what);
}

/* *DATA: N bytes at hand. */
static int look(struct window *w, size_t n, const unsigned char **data, struct wp_error *err)
{
    while (w->end - w->pos < n) {
        size_t kept = w->end - w->pos, more = WINDOW - kept;
        ssize_t got;

        if (w->left < n - kept)
            return damaged(w->a, "its directory is cut", err);
        memmove(w->data, w->data + w->pos, kept);
        if (more > w->left)
            more = (size_t)w->left;
        got = file_read_at(w->a->fd, w->data + kept, more, w->next);
        if (got < 0)
            return error_set(err, (int)-got, w->a->name, "cannot read");
        if ((size_t)got < more)
            return damaged(w->a, "its directory is cut", err);
        w->pos = 0;
        w->end = kept + more;
        w->next += more;
        w->left -= more;
    }
    *data = w->data + w->pos;
    return 0;
}

/* ---- Extra fields ------------------------------------------------------------------------ */

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
        size_t size = zip_get16(p + at + 2);

        if (zip_get16(p + at) == 1 && size >= 8 && at + 4 + size <= n) {
            e->mtime = from_windows(zip_get64(p + at + 4));
            *best = FROM_NTFS;
        }
        at += 4 + size;
    }
}

static uint32_t get_number(const unsigned char *p, size_t n)
{
    uint32_t v = 0;

    for (size_t i = 0; i < n && i < 4; i++)
        v |= (uint32_t)p[i] << 8 * i;
    return v;
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
    e->uid = get_number(p + 2, uid);
    e->gid = get_number(p + 3 + uid, gid);
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
        *values[i] = zip_get64(p);
        p += 8;
        n -= 8;
    }
    return true;
}

static bool take_extra(struct zip_entry *e, const unsigned char *p, size_t n, enum exactness *best)
{
    bool has_long = false;

    *best = FROM_DOS;
    while (n >= 4) {
        size_t size = zip_get16(p + 2);
        const unsigned char *field = p + 4;

        if (size > n - 4)
            return false;
        switch (zip_get16(p)) {
        case ZIP_EXTRA_64:
            if (!has_long && !take_long(e, field, size))
                return false;
            has_long = true;
            break;
        case ZIP_EXTRA_TIME:
            if (size >= 5 && field[0] & 1 && *best < FROM_UNIX) {
                e->mtime = (struct timespec){.tv_sec = (int32_t)zip_get32(field + 1)};
                *best = FROM_UNIX;
            }
            break;
        case ZIP_EXTRA_UNIX_OLD:
            if (size >= 8 && *best < FROM_UNIX_OLD) {
                e->mtime = (struct timespec){.tv_sec = (int32_t)zip_get32(field + 4)};
                *best = FROM_UNIX_OLD;
            }
            break;
        case ZIP_EXTRA_NTFS:
            take_windows_times(e, field, size, best);
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
    return true; /* what is left over is padding of some writers */
}

/* ---- Records ----------------------------------------------------------------------------- */

static int add_name(struct zip_archive *a, struct zip_entry *e, const unsigned char *name,
                    struct wp_error *err)
{
    const bool is_windows =
        e->host == ZIP_HOST_FAT || e->host == ZIP_HOST_NTFS || e->host == ZIP_HOST_VFAT;

    if (memchr(name, 0, e->name_size))
        return damaged(a, "a name has a zero byte in it", err);
    e->name = a->names.size;
    if (buf_add(&a->names, name, e->name_size) < 0 || buf_add(&a->names, "", 1) < 0)
        return error_nomem(err);
    /* Some programs of that system separate directories in its own way. */
    if (is_windows && !memchr(name, '/', e->name_size))
        for (char *p = (char *)a->names.data + e->name; *p; p++)
            if (*p == '\\')
                *p = '/';
    return 0;
}

/* The next record into E. */
static int read_record(struct zip_archive *a, struct window *w, struct zip_entry *e,
                       struct wp_error *err)
{
    const unsigned char *p;
    size_t extra, comment, all;
    enum exactness best;
    uint16_t date, time;
    int r = look(w, ZIP_CENTRAL_SIZE, &p, err);

    if (r < 0)
        return r;
    if (zip_get32(p) != ZIP_CENTRAL)
        return damaged(a, "no record where one of its directory should be", err);
    extra = zip_get16(p + 30);
    comment = zip_get16(p + 32);
    time = zip_get16(p + 12);
    date = zip_get16(p + 14);
    *e = (struct zip_entry){.host = p[5],
                            .flags = zip_get16(p + 8),
                            .method = zip_get16(p + 10),
                            .crc = zip_get32(p + 16),
                            .packed_size = zip_get32(p + 20),
                            .size = zip_get32(p + 24),
                            .name_size = zip_get16(p + 28),
                            .attributes = zip_get32(p + 38),
                            .at = zip_get32(p + 42)};
    all = ZIP_CENTRAL_SIZE + e->name_size + extra + comment;
    r = look(w, all, &p, err);
    if (r < 0)
        return r;
    if (e->flags & ZIP_MASKED)
        return error_set(err, 0, a->name, "is encrypted: that cannot be read");
    if (!take_extra(e, p + ZIP_CENTRAL_SIZE + e->name_size, extra, &best))
        return damaged(a, "malformed extra fields in its directory", err);
    if (best == FROM_DOS) /* only then: the C library looks up the time zone anew each time */
        e->mtime = from_dos(date, time);
    r = add_name(a, e, p + ZIP_CENTRAL_SIZE, err);
    w->pos += all;
    return r;
}

static int read_records(struct zip_archive *a, struct window *w, const struct zip_end *end,
                        struct wp_error *err)
{
    while (w->left > 0 || w->pos < w->end) {
        struct zip_entry *e;
        int r;

        if (array_grow(a->entries, a->count) < 0)
            return error_nomem(err);
        e = &a->entries[a->count];
        r = read_record(a, w, e, err);
        if (r < 0)
            return r;
        e->at += end->shift;
        if (e->at < end->shift || e->at >= end->directory)
            return damaged(a, "an entry lies outside of it", err);
        a->count++;
    }
    /* Old programs wrote more entries than the short record can count. */
    if (end->zip64 ? a->count != end->count : (a->count & ZIP_MAX16) != end->count)
        return damaged(a, "its directory has another number of entries than its end says", err);
    return 0;
}

/* ---- Where entries end ------------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
    uint64_t x = (*(struct zip_entry *const *)a)->at, y = (*(struct zip_entry *const *)b)->at;

    return (x > y) - (x < y);
}

/* Entries that share bytes are how a small file unpacks to any size. */
static int set_limits(struct zip_archive *a, uint64_t directory, struct wp_error *err)
{
    _cleanup_free_ struct zip_entry **sorted = malloc((a->count + 1) * sizeof(struct zip_entry *));

    if (!sorted)
        return error_nomem(err);
    for (size_t i = 0; i < a->count; i++)
        sorted[i] = &a->entries[i];
    qsort(sorted, a->count, sizeof *sorted, compare_places);
    a->has_program = a->count && sorted[0]->at > sizeof(uint32_t); /* more than a signature */
    for (size_t i = 0; i < a->count; i++) {
        struct zip_entry *e = sorted[i];
        uint64_t room;

        e->limit = i + 1 < a->count ? sorted[i + 1]->at : directory;
        room = e->limit - e->at;
        if (room < (uint64_t)ZIP_LOCAL_SIZE + e->name_size ||
            e->packed_size > room - ZIP_LOCAL_SIZE - e->name_size) {
            _cleanup_free_ char *name = path_escape(zip_name(a, e));

            return error_set(err, 0, a->name, "the archive is damaged: %s overlaps what follows it",
                             name ? name : "an entry");
        }
    }
    return 0;
}

int zip_directory_read(struct zip_archive *a, struct wp_error *err)
{
    _cleanup_free_ unsigned char *data = malloc(WINDOW);
    struct zip_end end;
    int r = data ? zip_end_read(a, &end, err) : error_nomem(err);

    if (r == 0) {
        struct window w = {.a = a, .data = data, .next = end.directory, .left = end.size};

        a->shift = end.shift;
        r = read_records(a, &w, &end, err);
    }
    return r < 0 ? r : set_limits(a, end.directory, err);
}
