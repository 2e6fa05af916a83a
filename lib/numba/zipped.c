#include "numba/zipped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"

enum {
    END_SIZE = 22,
    LONGEST_COMMENT = 65535,
    HEADER_SIZE = 46,
    LOCAL_SIZE = 30,
    LARGEST_DIRECTORY = 256 << 20,
    LARGEST_SOURCE = 64 << 20,
    FLAG_ENCRYPTED = 1,
    FLAG_UTF8 = 0x800,
};

/* An entry of the directory. */
struct member {
    const unsigned char *name;
    size_t name_size;
    unsigned flags, method;
    uint32_t crc, packed, size;
    uint64_t at; /* of its local header in the file */
};

/* A zip: a file, or a part of one. */
struct zip {
    int fd;
    uint64_t base, size; /* where it begins in the file; bytes */
};

struct directory {
    struct buf text;
    uint64_t shift; /* bytes that stand before the zip itself */
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

static unsigned get_u16(const unsigned char *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static uint32_t get_u32(const unsigned char *p)
{
    return get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

/* Z for all of a regular file. 0 or negative errno. */
static int whole_file(struct zip *z, int fd)
{
    struct stat st;

    *z = (struct zip){.fd = fd};
    if (fstat(fd, &st) < 0)
        return -errno;
    z->size = (uint64_t)st.st_size;
    return S_ISREG(st.st_mode) ? 0 : -EBADMSG;
}

/* All of N bytes at OFFSET: 0, or negative errno; -EBADMSG where the zip ends before. */
static int read_at(const struct zip *z, void *to, size_t n, uint64_t offset)
{
    if (offset > z->size || n > z->size - offset)
        return -EBADMSG;
    ssize_t got = file_read_at(z->fd, to, n, offset + z->base);
    if (got < 0)
        return (int)got;
    return (size_t)got == n ? 0 : -EBADMSG;
}

/* Reads the directory as zipimport does: the last end record counts, and what stands before the
 * first entry does not matter. */
static int read_directory(const struct zip *z, struct directory *d)
{
    _cleanup_buf_ struct buf tail = {0};
    uint64_t from, end_at, size, offset;
    size_t at;
    int r;

    if (z->size < END_SIZE)
        return -EBADMSG;
    if (buf_reserve(&tail, END_SIZE + LONGEST_COMMENT) < 0)
        return -ENOMEM;
    tail.size = z->size < END_SIZE + LONGEST_COMMENT ? (size_t)z->size : END_SIZE + LONGEST_COMMENT;
    from = z->size - tail.size;
    r = read_at(z, tail.data, tail.size, from);
    if (r < 0)
        return r;
    for (at = tail.size - END_SIZE; memcmp(tail.data + at, "PK\5\6", 4) != 0; at--)
        if (!at)
            return -EBADMSG;
    end_at = from + at;
    size = get_u32(tail.data + at + 12);
    offset = get_u32(tail.data + at + 16);
    if (size > end_at || offset > end_at - size)
        return -EBADMSG;
    if (size > LARGEST_DIRECTORY)
        return -EFBIG;
    d->shift = end_at - size - offset;
    if (buf_reserve(&d->text, (size_t)size + 1) < 0)
        return -ENOMEM;
    d->text.size = (size_t)size;
    return read_at(z, d->text.data, d->text.size, end_at - size);
}

/* The entry at *POS, which is stepped over: 1; 0 at the end; -EBADMSG. */
static int next_member(const struct directory *d, size_t *pos, struct member *m)
{
    const unsigned char *p = d->text.data + *pos;
    size_t left = d->text.size - *pos, size;

    if (left < HEADER_SIZE)
        return left ? -EBADMSG : 0;
    if (memcmp(p, "PK\1\2", 4) != 0)
        return -EBADMSG;
    *m = (struct member){.name = p + HEADER_SIZE,
                         .name_size = get_u16(p + 28),
                         .flags = get_u16(p + 8),
                         .method = get_u16(p + 10),
                         .crc = get_u32(p + 16),
                         .packed = get_u32(p + 20),
                         .size = get_u32(p + 24),
                         .at = d->shift + get_u32(p + 42)};
    size = HEADER_SIZE + m->name_size + get_u16(p + 30) + get_u16(p + 32);
    if (size > left)
        return -EBADMSG;
    *pos += size;
    return 1;
}

/* Python takes other names for those of an old code page: nobody imports by such a name. */
static bool is_readable(const struct member *m)
{
    for (size_t i = 0; i < m->name_size && !(m->flags & FLAG_UTF8); i++)
        if (m->name[i] >= 0x80)
            return false;
    return utf8_valid((const char *)m->name, m->name_size);
}

int zipped_sources(int fd, int (*each)(void *ctx, const char *member), void *ctx)
{
    struct directory d = {0};
    struct member m;
    struct zip z;
    size_t pos = 0;
    int r = whole_file(&z, fd);

    if (r == 0)
        r = read_directory(&z, &d);

    while (r == 0 && (r = next_member(&d, &pos, &m)) > 0) {
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
    buf_free(&d.text);
    return r;
}

/* ---- Content ----------------------------------------------------------------------------- */

struct content {
    struct sha256 *sha;
    uint64_t size;
    uLong crc;
};

static void take(struct content *c, const unsigned char *data, size_t n)
{
    sha256_add(c->sha, data, n);
    c->crc = crc32(c->crc, data, (uInt)n);
    c->size += n;
}

/* Inflates LEFT bytes at OFFSET; no more than SIZE are looked at. */
static int inflate_member(const struct zip *zip, uint64_t offset, uint64_t left, uint64_t size,
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

static int copy_member(const struct zip *z, uint64_t offset, uint64_t left, struct content *c)
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

static int digest_member(const struct zip *z, const struct member *m, unsigned char out[32])
{
    unsigned char local[LOCAL_SIZE];
    struct content c = {0};
    uint64_t offset;
    int r;

    if (m->flags & FLAG_ENCRYPTED || (m->method != 0 && m->method != Z_DEFLATED))
        return -ENOTSUP;
    if (m->size > LARGEST_SOURCE)
        return -EFBIG;
    r = read_at(z, local, sizeof local, m->at);
    if (r < 0)
        return r;
    if (memcmp(local, "PK\3\4", 4) != 0 || (m->method == 0 && m->packed != m->size))
        return -EBADMSG;
    offset = m->at + LOCAL_SIZE + get_u16(local + 26) + get_u16(local + 28);
    c.sha = sha256_new();
    c.crc = crc32(0, NULL, 0);
    if (!c.sha)
        return -ENOMEM;
    r = m->method ? inflate_member(z, offset, m->packed, m->size, &c)
                  : copy_member(z, offset, m->packed, &c);
    sha256_end(c.sha, out);
    sha256_free(c.sha);
    return r < 0 ? r : c.size == m->size && c.crc == m->crc ? 0 : -EBADMSG;
}

static int digest_in(const struct zip *z, const char *member, unsigned char out[32])
{
    const size_t n = strlen(member);
    struct directory d = {0};
    struct member m, found = {0};
    size_t pos = 0;
    int r = read_directory(z, &d);

    /* Of two with one name Python takes the last. */
    while (r == 0 && (r = next_member(&d, &pos, &m)) > 0) {
        if (m.name_size == n && memcmp(m.name, member, n) == 0 && is_readable(&m))
            found = m;
        r = 0;
    }
    if (r == 0)
        r = found.name ? digest_member(z, &found, out) : -ENOENT;
    buf_free(&d.text);
    return r;
}

int zipped_digest(int fd, const char *member, unsigned char out[32])
{
    struct zip z;
    int r = whole_file(&z, fd);

    return r < 0 ? r : digest_in(&z, member, out);
}

int zipped_digest_within(int fd, uint64_t at, uint64_t size, const char *member,
                         unsigned char out[32])
{
    return digest_in(&(struct zip){.fd = fd, .base = at, .size = size}, member, out);
}

int zipped_digest_at(const char *path, unsigned char out[32])
{
    _cleanup_free_ char *zip = zipped_file(path);
    _cleanup_close_ int fd = zip ? open(zip, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

    return fd < 0 ? -errno : zipped_digest(fd, path + strlen(zip) + 1, out);
}
