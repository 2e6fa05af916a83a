/* Makes the headers of a zip. */

#include "zip_write_header.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/path.h"

enum {
    VERSION_STORED = 10, /* of the format, that a reader needs */
    VERSION_DEFLATED = 20,
    VERSION_64 = 45,
    MADE_BY = ZIP_HOST_UNIX << 8 | 30,
    TIME_FIELD = 9, /* bytes of extra fields */
    LOCAL_FIELD_64 = 20,
};

/* ---- Entries ----------------------------------------------------------------------------- */

/* DOS times are local ones, of the packer's time zone: so zipimport takes them (with mktime) when
 * it compares them with the time in a .pyc, and so does everyone who knows no other field. They
 * count in steps of two seconds; zipimport forgives one. */
static void put_dos_time(struct zip_record *r, int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;

    if (!localtime_r(&t, &tm) || tm.tm_year > 2107 - 1900) {
        r->date = 127 << 9 | 12 << 5 | 31;
        r->time = 23 << 11 | 59 << 5 | 29;
    } else if (tm.tm_year < 1980 - 1900) {
        r->date = 1 << 5 | 1;
        r->time = 0;
    } else {
        int step = tm.tm_sec < 59 ? tm.tm_sec / 2 : 29;

        r->date = (uint16_t)((tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
        r->time = (uint16_t)(tm.tm_hour << 11 | tm.tm_min << 5 | step);
    }
}

static bool is_ascii(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] >= 0x80)
            return false;
    return true;
}

void zip_record_begin(struct zip_record *r, const struct entry *e, const char *name,
                      size_t name_size)
{
    const mode_t type = e->type == ENTRY_DIR       ? S_IFDIR
                        : e->type == ENTRY_SYMLINK ? S_IFLNK
                                                   : S_IFREG;

    *r = (struct zip_record){.name = name, .name_size = (uint16_t)name_size, .size = e->size};
    if (!is_ascii(name, name_size) && utf8_valid(name, name_size))
        r->flags |= ZIP_UTF8;
    r->attributes = (uint32_t)(type | (e->mode & 07777)) << 16;
    if (e->type == ENTRY_DIR)
        r->attributes |= ZIP_DOS_DIRECTORY;
    r->mtime = e->mtime.tv_sec;
    r->has_mtime = r->mtime >= INT32_MIN && r->mtime <= INT32_MAX;
    put_dos_time(r, r->mtime);
}

static uint16_t version_needed(const struct zip_record *r, bool zip64)
{
    if (zip64)
        return VERSION_64;
    return r->method == ZIP_DEFLATED || r->attributes & ZIP_DOS_DIRECTORY ? VERSION_DEFLATED
                                                                          : VERSION_STORED;
}

static unsigned char *put_time_field(unsigned char *p, const struct zip_record *r)
{
    if (!r->has_mtime)
        return p;
    p = put_le(p, 2, ZIP_EXTRA_TIME);
    p = put_le(p, 2, TIME_FIELD - 4);
    p = put_le(p, 1, 1); /* the modification time alone */
    return put_le(p, 4, (uint64_t)r->mtime);
}

size_t zip_local_size(const struct zip_record *r)
{
    return ZIP_LOCAL_SIZE + r->name_size + (r->zip64 ? LOCAL_FIELD_64 : 0) +
           (r->has_mtime ? TIME_FIELD : 0);
}

void zip_put_local(const struct zip_record *r, unsigned char *out)
{
    bool is_open = r->flags & ZIP_HAS_DESCRIPTOR;
    uint64_t packed_size = is_open ? 0 : r->packed_size, size = is_open ? 0 : r->size;
    unsigned char *p = put_le(out, 4, ZIP_LOCAL);

    p = put_le(p, 2, version_needed(r, r->zip64));
    p = put_le(p, 2, r->flags);
    p = put_le(p, 2, r->method);
    p = put_le(p, 2, r->time);
    p = put_le(p, 2, r->date);
    p = put_le(p, 4, is_open ? 0 : r->crc);
    p = put_le(p, 4, r->zip64 ? ZIP_MAX32 : packed_size);
    p = put_le(p, 4, r->zip64 ? ZIP_MAX32 : size);
    p = put_le(p, 2, r->name_size);
    p = put_le(p, 2, zip_local_size(r) - ZIP_LOCAL_SIZE - r->name_size);
    memcpy(p, r->name, r->name_size);
    p += r->name_size;
    if (r->zip64) {
        p = put_le(p, 2, ZIP_EXTRA_64);
        p = put_le(p, 2, LOCAL_FIELD_64 - 4);
        p = put_le(p, 8, size);
        p = put_le(p, 8, packed_size);
    }
    put_time_field(p, r);
}

int zip_add_descriptor(const struct zip_record *r, struct buf *out)
{
    unsigned char bytes[24], *p = put_le(bytes, 4, ZIP_DESCRIPTOR);
    unsigned width = r->zip64 ? 8 : 4;

    p = put_le(p, 4, r->crc);
    p = put_le(p, width, r->packed_size);
    p = put_le(p, width, r->size);
    return buf_add(out, bytes, (size_t)(p - bytes));
}

/* What does not fit its place, in this order. */
static unsigned char *put_central_field_64(unsigned char *p, const struct zip_record *r)
{
    const uint64_t values[] = {r->size, r->packed_size, r->at};
    unsigned count = 0;

    for (int i = 0; i < 3; i++)
        count += values[i] >= ZIP_MAX32;
    if (!count)
        return p;
    p = put_le(p, 2, ZIP_EXTRA_64);
    p = put_le(p, 2, 8 * count);
    for (int i = 0; i < 3; i++)
        if (values[i] >= ZIP_MAX32)
            p = put_le(p, 8, values[i]);
    return p;
}

static uint32_t short_form(uint64_t v)
{
    return v >= ZIP_MAX32 ? ZIP_MAX32 : (uint32_t)v;
}

int zip_add_central(const struct zip_record *r, struct buf *out)
{
    unsigned char extra[64], head[ZIP_CENTRAL_SIZE];
    unsigned char *times = put_central_field_64(extra, r), *end = put_time_field(times, r);
    unsigned char *p = put_le(head, 4, ZIP_CENTRAL);

    p = put_le(p, 2, MADE_BY);
    p = put_le(p, 2, version_needed(r, r->zip64 || times > extra));
    p = put_le(p, 2, r->flags);
    p = put_le(p, 2, r->method);
    p = put_le(p, 2, r->time);
    p = put_le(p, 2, r->date);
    p = put_le(p, 4, r->crc);
    p = put_le(p, 4, short_form(r->packed_size));
    p = put_le(p, 4, short_form(r->size));
    p = put_le(p, 2, r->name_size);
    p = put_le(p, 2, (uint64_t)(end - extra));
    p = put_le(p, 2, 0); /* comment */
    p = put_le(p, 2, 0); /* disk */
    p = put_le(p, 2, 0); /* internal attributes */
    p = put_le(p, 4, r->attributes);
    put_le(p, 4, short_form(r->at));
    if (buf_add(out, head, sizeof(head)) < 0 || buf_add(out, r->name, r->name_size) < 0 ||
        buf_add(out, extra, (size_t)(end - extra)) < 0)
        return -ENOMEM;
    return 0;
}

/* ---- The end ----------------------------------------------------------------------------- */

static int add_end_64(uint64_t count, uint64_t size, uint64_t offset, struct buf *out)
{
    unsigned char bytes[ZIP_END64_SIZE + ZIP_LOCATOR64_SIZE];
    unsigned char *p = put_le(bytes, 4, ZIP_END64);

    p = put_le(p, 8, ZIP_END64_SIZE - 12); /* bytes that follow */
    p = put_le(p, 2, MADE_BY);
    p = put_le(p, 2, VERSION_64);
    p = put_le(p, 8, 0); /* this disk, and that of the directory */
    p = put_le(p, 8, count);
    p = put_le(p, 8, count);
    p = put_le(p, 8, size);
    p = put_le(p, 8, offset);
    p = put_le(p, 4, ZIP_LOCATOR64);
    p = put_le(p, 4, 0); /* disk */
    p = put_le(p, 8, offset + size);
    put_le(p, 4, 1); /* disks */
    return buf_add(out, bytes, sizeof(bytes));
}

int zip_add_end(uint64_t count, uint64_t size, uint64_t offset, const char *comment,
                struct buf *out)
{
    unsigned char bytes[ZIP_END_SIZE], *p = put_le(bytes, 4, ZIP_END);
    uint16_t short_count = count >= ZIP_MAX16 ? ZIP_MAX16 : (uint16_t)count;
    size_t comment_size = strlen(comment);

    if ((count >= ZIP_MAX16 || size >= ZIP_MAX32 || offset >= ZIP_MAX32) &&
        add_end_64(count, size, offset, out) < 0)
        return -ENOMEM;
    p = put_le(p, 4, 0); /* disks */
    p = put_le(p, 2, short_count);
    p = put_le(p, 2, short_count);
    p = put_le(p, 4, short_form(size));
    p = put_le(p, 4, short_form(offset));
    put_le(p, 2, comment_size);
    if (buf_add(out, bytes, sizeof(bytes)) < 0 || buf_add(out, comment, comment_size) < 0)
        return -ENOMEM;
    return 0;
}
