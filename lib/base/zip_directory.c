/* Reads the end record of a zip archive and the records of its entries. */

#include "zip_directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "zip_format.h"

enum {
    LONGEST_COMMENT = 65535,
    MOST_PADDING = 65536, /* zeros behind the archive: bsdtar fills its last block of a pipe */
    LONGEST_TAIL = ZIP_END_SIZE + LONGEST_COMMENT + MOST_PADDING,
    WINDOW = 256 * 1024, /* bytes of the directory read at once; it holds any one record */
};

#define DAMAGED "the archive is damaged: "
#define TEXT_CUT "the zip archive is truncated or damaged: "
#define TEXT_NO_END TEXT_CUT "its end record is missing"
#define TEXT_NO_END_NEAR TEXT_CUT "no end record in its last 128 KiB"
#define TEXT_NOT_LAST TEXT_CUT "its end record does not end the file, or belongs to another archive"
#define TEXT_VOLUMES "is one of several volumes: that cannot be read"

ssize_t zip_part_read(const struct zip_part *z, void *to, size_t n, uint64_t place)
{
    if (place > z->size)
        return 0;
    if (n > z->size - place)
        n = (size_t)(z->size - place);
    return file_read_at(z->fd, to, n, z->at + place);
}

static int wrong(const char *text, const char **what)
{
    *what = text;
    return -EBADMSG;
}

/* ---- The end ----------------------------------------------------------------------------- */

/* What the zip ends with. */
struct tail {
    unsigned char *data; /* owned */
    size_t size;
    uint64_t at; /* where it begins */
};

static int read_tail(const struct zip_part *z, size_t longest, struct tail *t)
{
    ssize_t got;

    t->size = z->size < longest ? (size_t)z->size : longest;
    t->at = z->size - t->size;
    t->data = malloc(t->size ? t->size : 1);
    if (!t->data)
        return -ENOMEM;
    got = zip_part_read(z, t->data, t->size, t->at);
    if (got < 0)
        return (int)got;
    if ((size_t)got < t->size) /* the file has been truncated meanwhile */
        t->size = 0;
    return 0;
}

/* The last end record at or before FROM whose comment ends within the file, and not before FILLED;
 * with FILLED 0, wherever its comment ends. */
static const unsigned char *find_last(const struct tail *t, size_t from, size_t filled)
{
    if (t->size < ZIP_END_SIZE)
        return NULL;
    if (from > t->size - ZIP_END_SIZE)
        from = t->size - ZIP_END_SIZE;
    for (size_t at = from + 1; at-- > 0;) {
        const unsigned char *p = t->data + at;
        size_t end = at + ZIP_END_SIZE + get_le16(p + 20);

        if (get_le32(p) == ZIP_END && (filled == 0 || (end <= t->size && end >= filled)))
            return p;
    }
    return NULL;
}

/* How much of the tail is left without the zeros at its end. */
static size_t filled_size(const struct tail *t)
{
    size_t n = t->size;

    while (n > 0 && t->size - n < MOST_PADDING && !t->data[n - 1])
        n--;
    return n ? n : 1;
}

/* The long record, which stands AT or, where something stands before the archive, right before its
 * locator. *FOUND: where. */
static int read_end_64(const struct zip_part *z, uint64_t at, uint64_t locator,
                       unsigned char record[ZIP_END64_SIZE], uint64_t *found, const char **what)
{
    const uint64_t places[] = {at, locator - ZIP_END64_SIZE};

    for (int i = 0; i < 2; i++) {
        ssize_t n;

        if (locator < ZIP_END64_SIZE || places[i] > locator - ZIP_END64_SIZE)
            continue;
        n = zip_part_read(z, record, ZIP_END64_SIZE, places[i]);
        if (n < 0)
            return (int)n;
        if (n == ZIP_END64_SIZE && get_le32(record) == ZIP_END64) {
            *found = places[i];
            return 0;
        }
    }
    return wrong(DAMAGED "the zip64 end record is missing", what);
}

/* Does the short record say that a long one has what did not fit it? */
static bool wants_long(const struct zip_end *e)
{
    return e->count == ZIP_MAX16 || e->size == ZIP_MAX32 || e->directory == ZIP_MAX32;
}

/* What the long record says, where there is one: a locator before the end record at END names it.
 * A name or a comment may look like a locator: what nothing asks for counts only where it says what
 * the short record says. *BEFORE: where the records of the end begin. */
static int take_end_64(const struct zip_part *z, uint64_t end, struct zip_end *e, uint64_t *before,
                       const char **what)
{
    unsigned char locator[ZIP_LOCATOR64_SIZE], record[ZIP_END64_SIZE];
    const bool is_wanted = wants_long(e);
    uint64_t found = end;
    ssize_t n;
    int r;

    if (end < ZIP_LOCATOR64_SIZE)
        return 0;
    n = zip_part_read(z, locator, sizeof locator, end - ZIP_LOCATOR64_SIZE);
    if (n < 0)
        return (int)n;
    if (n != ZIP_LOCATOR64_SIZE || get_le32(locator) != ZIP_LOCATOR64)
        return 0;
    r = read_end_64(z, get_le64(locator + 8), end - ZIP_LOCATOR64_SIZE, record, &found, what);
    if (r < 0)
        return r == -EBADMSG && !is_wanted ? 0 : r;
    if (!is_wanted && (get_le64(record + 32) != e->count || get_le64(record + 40) != e->size ||
                       get_le64(record + 48) != e->directory))
        return 0;
    e->is_volume =
        get_le32(locator + 4) != 0 || get_le32(locator + 16) > 1 || get_le32(record + 16) != 0;
    if (e->is_volume)
        return wrong(TEXT_VOLUMES, what);
    *before = found;
    e->zip64 = true;
    e->count = get_le64(record + 32);
    e->size = get_le64(record + 40);
    e->directory = get_le64(record + 48);
    return 0;
}

/* Fills E from the end record at END, and the long one before it. */
static int take_end(const struct zip_part *z, enum zip_rules rules, const unsigned char *end,
                    uint64_t at, struct zip_end *e, const char **what)
{
    uint64_t before = at;
    int r = 0;

    *e = (struct zip_end){.count = get_le16(end + 10),
                          .size = get_le32(end + 12),
                          .directory = get_le32(end + 16),
                          .comment = at + ZIP_END_SIZE,
                          .comment_size = get_le16(end + 20)};
    if (rules == ZIP_AS_UNZIP)
        r = take_end_64(z, at, e, &before, what);
    if (r < 0)
        return r;
    e->is_volume = !e->zip64 && (get_le16(end + 4) != 0 || get_le16(end + 6) != 0);
    if (rules == ZIP_AS_UNZIP && e->is_volume)
        return wrong(TEXT_VOLUMES, what);
    /* The directory ends where the records of the end begin; what it lacks to that stands before
     * the archive: a program that unpacks it, say. */
    if (e->size > before || e->directory > before - e->size)
        return wrong(DAMAGED "its directory does not fit into the file", what);
    e->shift = before - e->size - e->directory;
    e->directory += e->shift;
    return 0;
}

/* The last end record that other bytes follow: its offsets must count from the file's first byte.
 * Else an archive that is truncated would be taken for one that was packed in it. */
static int take_inner_end(const struct zip_part *z, const struct tail *t, struct zip_end *e,
                          const char **what)
{
    const unsigned char *end;
    bool is_any = false;

    for (size_t from = t->size; (end = find_last(t, from, 1)); from = (size_t)(end - t->data) - 1) {
        uint64_t at = t->at + (uint64_t)(end - t->data);
        int r = take_end(z, ZIP_AS_UNZIP, end, at, e, what);

        e->trailing = z->size - e->comment - e->comment_size;
        if ((r < 0 && r != -EBADMSG) || (r == 0 && e->shift == 0))
            return r;
        is_any = true;
        if (end == t->data)
            break;
    }
    return wrong(is_any               ? TEXT_NOT_LAST
                 : t->size == z->size ? TEXT_NO_END
                                      : TEXT_NO_END_NEAR,
                 what);
}

int zip_end_find(const struct zip_part *z, enum zip_rules rules, struct zip_end *e,
                 const char **what)
{
    const bool as_unzip = rules == ZIP_AS_UNZIP;
    struct tail t = {0};
    const unsigned char *end;
    int r = read_tail(z, as_unzip ? LONGEST_TAIL : (size_t)ZIP_END_SIZE + LONGEST_COMMENT, &t);

    if (r == 0) {
        end = find_last(&t, t.size, as_unzip ? filled_size(&t) : 0);
        r = end        ? take_end(z, rules, end, t.at + (uint64_t)(end - t.data), e, what)
            : as_unzip ? take_inner_end(z, &t, e, what)
                       : wrong(TEXT_NO_END, what);
    }
    free(t.data);
    return r;
}

/* ---- The records ------------------------------------------------------------------------- */

int zip_directory_open(struct zip_directory *d, const struct zip_part *z, const struct zip_end *e)
{
    *d = (struct zip_directory){
        .part = *z, .data = malloc(WINDOW), .next = e->directory, .left = e->size};
    return d->data ? 0 : -ENOMEM;
}

void zip_directory_close(struct zip_directory *d)
{
    free(d->data);
    *d = (struct zip_directory){0};
}

/* *DATA: N bytes at hand. */
static int look(struct zip_directory *d, size_t n, const unsigned char **data, const char **what)
{
    while (d->end - d->pos < n) {
        size_t kept = d->end - d->pos, more = WINDOW - kept;
        ssize_t got;

        if (d->left < n - kept)
            return wrong(DAMAGED "its directory is truncated", what);
        memmove(d->data, d->data + d->pos, kept);
        if (more > d->left)
            more = (size_t)d->left;
        got = zip_part_read(&d->part, d->data + kept, more, d->next);
        if (got < 0)
            return (int)got;
        if ((size_t)got < more)
            return wrong(DAMAGED "its directory is truncated", what);
        d->pos = 0;
        d->end = kept + more;
        d->next += more;
        d->left -= more;
    }
    *data = d->data + d->pos;
    return 0;
}

int zip_directory_next(struct zip_directory *d, struct zip_central *c, const char **what)
{
    const unsigned char *p;
    size_t all;
    int r;

    if (d->left == 0 && d->pos == d->end)
        return 0;
    r = look(d, ZIP_CENTRAL_SIZE, &p, what);
    if (r < 0)
        return r;
    if (get_le32(p) != ZIP_CENTRAL)
        return wrong(DAMAGED "no record where one of its directory should be", what);
    *c = (struct zip_central){.host = p[5],
                              .flags = get_le16(p + 8),
                              .method = get_le16(p + 10),
                              .time = get_le16(p + 12),
                              .date = get_le16(p + 14),
                              .crc = get_le32(p + 16),
                              .packed_size = get_le32(p + 20),
                              .size = get_le32(p + 24),
                              .name_size = get_le16(p + 28),
                              .extra_size = get_le16(p + 30),
                              .attributes = get_le32(p + 38),
                              .at = get_le32(p + 42)};
    all = (size_t)ZIP_CENTRAL_SIZE + c->name_size + c->extra_size + get_le16(p + 32);
    r = look(d, all, &p, what);
    if (r < 0)
        return r;
    c->name = p + ZIP_CENTRAL_SIZE;
    c->extra = c->name + c->name_size;
    d->pos += all;
    return 1;
}
