/* Finds sources in a zip as Python does. */

#include "numba/zipped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "base/zip_directory.h"
#include "base/zip_format.h"

enum {
    LARGEST_DIRECTORY = 256 << 20,
    LARGEST_SOURCE = 64 << 20,
};

/* ---- Names ------------------------------------------------------------------------------- */

size_t zipped_length(const char *path)
{
    static const char suffix[] = ".zip";
    const size_t n = strlen(suffix);

    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t length = (size_t)(slash - path);

        if (length >= n && strncmp(slash - n, suffix, n) == 0 && slash[1])
            return length;
    }
    return 0;
}

char *zipped_file(const char *path)
{
    size_t n = zipped_length(path);

    if (!n)
        errno = ENOENT;
    return n ? strndup(path, n) : NULL;
}

static bool is_source_name(const unsigned char *name, size_t n)
{
    return n > 3 && memcmp(name + n - 3, ".py", 3) == 0 && !memchr(name, '\0', n);
}

/* ---- The directory ----------------------------------------------------------------------- */

/* Z for all of a regular file. 0 or negative errno. */
static int whole_file(struct zip_part *z, int fd)
{
    struct stat st;

    *z = (struct zip_part){.fd = fd};
    if (fstat(fd, &st) < 0)
        return -errno;
    z->size = (uint64_t)st.st_size;
    return S_ISREG(st.st_mode) ? 0 : -EBADMSG;
}

/* All of N bytes at OFFSET: 0, or negative errno; -EBADMSG where the zip ends before. */
static int read_at(const struct zip_part *z, void *to, size_t n, uint64_t offset)
{
    ssize_t got = zip_part_read(z, to, n, offset);

    if (got < 0)
        return (int)got;
    return (size_t)got == n ? 0 : -EBADMSG;
}

/* As zipimport: the last end record counts, and what stands before the first entry does not matter.
 * *SHIFT: bytes of that. */
static int open_directory(const struct zip_part *z, struct zip_directory *d, uint64_t *shift)
{
    const char *what = NULL;
    struct zip_end end;
    int r = zip_end_find(z, ZIP_AS_ZIPIMPORT, &end, &what);

    if (r < 0)
        return r;
    *shift = end.shift;
    return end.size > LARGEST_DIRECTORY ? -EFBIG : zip_directory_open(d, z, &end);
}

/* Python takes other names for those of an old code page: nobody imports by such a name. */
static bool is_readable(const struct zip_central *m)
{
    for (size_t i = 0; i < m->name_size && !(m->flags & ZIP_UTF8); i++)
        if (m->name[i] >= 0x80)
            return false;
    return utf8_valid((const char *)m->name, m->name_size);
}

int zipped_sources(int fd, int (*each)(void *ctx, const char *member), void *ctx)
{
    struct zip_directory d = {0};
    const char *what = NULL;
    struct zip_central m;
    struct zip_part z;
    uint64_t shift;
    int r = whole_file(&z, fd);

    if (r == 0)
        r = open_directory(&z, &d, &shift);

    while (r == 0 && (r = zip_directory_next(&d, &m, &what)) > 0) {
        _cleanup_free_ char *name = NULL;

        r = 0;
        if (!is_source_name(m.name, m.name_size) || !is_readable(&m))
            continue;
        name = strndup((const char *)m.name, m.name_size);
        if (!name)
            r = -ENOMEM;
        else if (path_is_safe(name))
            r = each(ctx, name);
    }
    zip_directory_close(&d);
    return r;
}

/* ---- Content ----------------------------------------------------------------------------- */

struct content {
    struct sha256 *sha; /* or NULL */
    struct buf *text;   /* or NULL */
    int r;              /* of adding to that */
    uint64_t size;
    uLong crc;
};

static void take(struct content *c, const unsigned char *data, size_t n)
{
    if (c->sha)
        sha256_add(c->sha, data, n);
    if (c->text && c->r == 0)
        c->r = buf_add(c->text, data, n);
    c->crc = crc32(c->crc, data, (uInt)n);
    c->size += n;
}

/* Inflates LEFT bytes at OFFSET; no more than SIZE are looked at. */
static int inflate_member(const struct zip_part *zip, uint64_t offset, uint64_t left, uint64_t size,
                          struct content *c)
{
    unsigned char in[16384], out[65536];
    z_stream z = {0};
    int status = Z_OK, r = 0;

    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return -ENOMEM;
    while (status == Z_OK && r == 0 && c->size <= size) {
        if (!z.avail_in && left) {
            size_t n = left < sizeof in ? (size_t)left : sizeof in;

            r = read_at(zip, in, n, offset);
            offset += n;
            left -= n;
            z.next_in = in;
            z.avail_in = (uInt)n;
        }
        z.next_out = out;
        z.avail_out = sizeof out;
        if (r == 0)
            status = inflate(&z, Z_NO_FLUSH);
        if (status == Z_OK || status == Z_STREAM_END)
            take(c, out, sizeof out - z.avail_out);
    }
    inflateEnd(&z);
    return r < 0 ? r : status == Z_STREAM_END ? 0 : status == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

static int copy_member(const struct zip_part *z, uint64_t offset, uint64_t left, struct content *c)
{
    unsigned char block[65536];
    int r = 0;

    while (left && r == 0) {
        size_t n = left < sizeof block ? (size_t)left : sizeof block;

        r = read_at(z, block, n, offset);
        if (r == 0)
            take(c, block, n);
        offset += n;
        left -= n;
    }
    return r;
}

/* The content of entry M, whose local header stands AT. */
static int read_member(const struct zip_part *z, const struct zip_central *m, uint64_t at,
                       struct content *c)
{
    unsigned char local[ZIP_LOCAL_SIZE];
    uint64_t offset;
    int r;

    if (m->flags & ZIP_ENCRYPTED || (m->method != ZIP_STORED && m->method != ZIP_DEFLATED))
        return -ENOTSUP;
    if (m->size > LARGEST_SOURCE)
        return -EFBIG;
    r = read_at(z, local, sizeof local, at);
    if (r < 0)
        return r;
    if (get_le32(local) != ZIP_LOCAL || (m->method == ZIP_STORED && m->packed_size != m->size))
        return -EBADMSG;
    offset = at + ZIP_LOCAL_SIZE + get_le16(local + 26) + get_le16(local + 28);
    c->crc = crc32(0, NULL, 0);
    r = m->method == ZIP_DEFLATED ? inflate_member(z, offset, m->packed_size, m->size, c)
                                  : copy_member(z, offset, m->packed_size, c);
    if (r == 0)
        r = c->r;
    return r < 0 ? r : c->size == m->size && c->crc == m->crc ? 0 : -EBADMSG;
}

static int digest_member(const struct zip_part *z, const struct zip_central *m, uint64_t at,
                         unsigned char out[32])
{
    struct content c = {.sha = sha256_new()};
    int r = c.sha ? read_member(z, m, at, &c) : -ENOMEM;

    if (c.sha)
        sha256_end(c.sha, out);
    sha256_free(c.sha);
    return r;
}

int zipped_text(int fd, size_t most, struct buf *out)
{
    struct zip_directory d = {0};
    const char *what = NULL;
    struct zip_central m;
    struct zip_part z;
    uint64_t shift;
    int r = whole_file(&z, fd);

    if (r == 0)
        r = open_directory(&z, &d, &shift);
    while (r == 0 && (r = zip_directory_next(&d, &m, &what)) > 0) {
        struct content c = {.text = out};

        r = 0;
        if (!is_source_name(m.name, m.name_size))
            continue;
        r = out->size + m.size > most ? -EFBIG : read_member(&z, &m, shift + m.at, &c);
        if (r == 0)
            r = buf_add_str(out, "\n");
    }
    zip_directory_close(&d);
    return r;
}

static int digest_in(const struct zip_part *z, const char *member, unsigned char out[32])
{
    const size_t n = strlen(member);
    struct zip_directory d = {0};
    struct zip_central m, found = {0};
    const char *what = NULL;
    uint64_t shift;
    int r = open_directory(z, &d, &shift);

    /* Of two with one name Python takes the last. */
    while (r == 0 && (r = zip_directory_next(&d, &m, &what)) > 0) {
        if (m.name_size == n && memcmp(m.name, member, n) == 0 && is_readable(&m))
            found = m;
        r = 0;
    }
    if (r == 0)
        r = found.name ? digest_member(z, &found, shift + found.at, out) : -ENOENT;
    zip_directory_close(&d);
    return r;
}

int zipped_digest(int fd, const char *member, unsigned char out[32])
{
    struct zip_part z;
    int r = whole_file(&z, fd);

    return r < 0 ? r : digest_in(&z, member, out);
}

int zipped_digest_within(int fd, uint64_t at, uint64_t size, const char *member,
                         unsigned char out[32])
{
    return digest_in(&(struct zip_part){.fd = fd, .at = at, .size = size}, member, out);
}

int zipped_digest_at(const char *path, unsigned char out[32])
{
    _cleanup_free_ char *zip = zipped_file(path);
    _cleanup_close_ int fd = zip ? open(zip, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

    return fd < 0 ? -errno : zipped_digest(fd, path + strlen(zip) + 1, out);
}
