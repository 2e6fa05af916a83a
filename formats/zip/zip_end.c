#include "zip_end.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "manifest/manifest.h"
#include "zip.h"

enum {
    MOST_PADDING = 65536, /* zeros behind the archive: bsdtar fills its last block of a pipe */
    LONGEST_TAIL = ZIP_END_SIZE + 65535 + MOST_PADDING,
};

/* The end record in the N bytes that end the file: the last one whose comment ends there, too, but
 * for zeros. */
static const unsigned char *find_end(const unsigned char *tail, size_t n)
{
    size_t filled = n;

    while (filled > 0 && n - filled < MOST_PADDING && !tail[filled - 1])
        filled--;
    for (size_t at = n >= ZIP_END_SIZE ? n - ZIP_END_SIZE + 1 : 0; at-- > 0;) {
        const unsigned char *p = tail + at;
        size_t end = at + ZIP_END_SIZE + zip_get16(p + 20);

        if (zip_get32(p) == ZIP_END && end <= n && end >= filled)
            return p;
    }
    return NULL;
}

static int damaged(const struct zip_archive *a, const char *what, struct wp_error *err)
{
    return error_set(err, 0, a->name, "the archive is damaged: %s", what);
}

static int take_mark(struct zip_archive *a, const unsigned char *comment, size_t n,
                     struct wp_error *err)
{
    static const char mark[] = MANIFEST_MARK;
    const size_t start = sizeof mark - 1;

    a->has_comment = n > 0;
    if (n <= start || memcmp(comment, mark, start) != 0 || memchr(comment, 0, n))
        return 0;
    a->has_comment = false;
    a->mark = strndup((const char *)comment + start, n - start);
    return a->mark ? 0 : error_nomem(err);
}

/* The long record, which stands AT or, where something stands before the archive, right before its
 * locator. *FOUND: where. */
static int read_end_64(const struct zip_archive *a, uint64_t at, uint64_t locator,
                       unsigned char record[ZIP_END64_SIZE], uint64_t *found, struct wp_error *err)
{
    const uint64_t places[] = {at, locator - ZIP_END64_SIZE};

    for (int i = 0; i < 2; i++) {
        ssize_t n;

        if (locator < ZIP_END64_SIZE || places[i] > locator - ZIP_END64_SIZE)
            continue;
        n = file_read_at(a->fd, record, ZIP_END64_SIZE, places[i]);
        if (n < 0)
            return error_set(err, (int)-n, a->name, "cannot read");
        if (n == ZIP_END64_SIZE && zip_get32(record) == ZIP_END64) {
            *found = places[i];
            return 0;
        }
    }
    return damaged(a, "the zip64 end record is missing", err);
}

/* What the long record says, where there is one: a locator before the end record at END names it.
 * *BEFORE: where the records of the end begin. */
static int take_end_64(const struct zip_archive *a, uint64_t end, struct zip_end *e,
                       uint64_t *before, struct wp_error *err)
{
    unsigned char locator[ZIP_LOCATOR64_SIZE], record[ZIP_END64_SIZE];
    ssize_t n;
    int r;

    *before = end;
    if (end < ZIP_LOCATOR64_SIZE)
        return 0;
    n = file_read_at(a->fd, locator, sizeof locator, end - ZIP_LOCATOR64_SIZE);
    if (n < 0)
        return error_set(err, (int)-n, a->name, "cannot read");
    if (n != ZIP_LOCATOR64_SIZE || zip_get32(locator) != ZIP_LOCATOR64)
        return 0;
    r = read_end_64(a, zip_get64(locator + 8), end - ZIP_LOCATOR64_SIZE, record, before, err);
    if (r < 0)
        return r;
    if (zip_get32(locator + 4) != 0 || zip_get32(locator + 16) > 1 || zip_get32(record + 16) != 0)
        return error_set(err, 0, a->name, "is one of several volumes: that cannot be read");
    e->zip64 = true;
    e->count = zip_get64(record + 32);
    e->size = zip_get64(record + 40);
    e->directory = zip_get64(record + 48);
    return 0;
}

int zip_end_read(struct zip_archive *a, struct zip_end *e, struct wp_error *err)
{
    size_t n = a->size < LONGEST_TAIL ? (size_t)a->size : LONGEST_TAIL;
    _cleanup_free_ unsigned char *tail = malloc(n ? n : 1);
    const unsigned char *end;
    uint64_t at, before;
    ssize_t got;
    int r;

    if (!tail)
        return error_nomem(err);
    got = file_read_at(a->fd, tail, n, a->size - n);
    if (got < 0)
        return error_set(err, (int)-got, a->name, "cannot read");
    end = (size_t)got == n ? find_end(tail, n) : NULL;
    if (!end)
        return error_set(err, 0, a->name,
                         "the zip archive is cut or damaged: its end record is missing");
    at = a->size - n + (uint64_t)(end - tail);
    *e = (struct zip_end){.count = zip_get16(end + 10),
                          .size = zip_get32(end + 12),
                          .directory = zip_get32(end + 16)};
    r = take_end_64(a, at, e, &before, err);
    if (r < 0)
        return r;
    if (!e->zip64 && (zip_get16(end + 4) != 0 || zip_get16(end + 6) != 0))
        return error_set(err, 0, a->name, "is one of several volumes: that cannot be read");
    /* The directory ends where the records of the end begin; what it lacks to that stands before
     * the archive: a program that unpacks it, say. */
    if (e->size > before || e->directory > before - e->size)
        return damaged(a, "its directory does not fit into the file", err);
    e->shift = before - e->size - e->directory;
    e->directory += e->shift;
    return take_mark(a, end + ZIP_END_SIZE, zip_get16(end + 20), err);
}

bool zip_recognises(const void *start, size_t n)
{
    const unsigned char *p = start;
    uint32_t magic = n >= 4 ? zip_get32(p) : 0;

    /* The last one begins archives that were once meant to be split. */
    return magic == ZIP_LOCAL || magic == ZIP_END || magic == ZIP_END64 ||
           (magic == ZIP_DESCRIPTOR && n >= 8 && zip_get32(p + 4) == ZIP_LOCAL);
}

bool zip_ends_here(int fd)
{
    struct zip_archive a = {.fd = fd, .name = (char *)""};
    struct zip_end e;
    struct stat st;
    bool yes;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    a.size = (uint64_t)st.st_size;
    yes = zip_end_read(&a, &e, NULL) == 0 && e.count > 0;
    free(a.mark);
    return yes;
}
