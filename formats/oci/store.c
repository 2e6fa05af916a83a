/* Finds the files of an OCI image layout, in a directory or in a tar. */

#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "oci.h"
#include "tar/pax.h"
#include "tar/tar_header.h"

enum {
    MOST_MEMBERS = 1 << 16,
    LARGEST_TEXT = 16 << 20, /* bytes of a manifest, a configuration or an index */
};

#define LAYOUT_FILE "oci-layout"
#define BLOBS "blobs/sha256/"
#define SHA256_PREFIX "sha256:"

struct oci_member { /* sorted by its first member: path_compare */
    char *path;     /* owned */
    uint64_t offset, size;
};

/* ---- A tar ------------------------------------------------------------------------------- */

/* Without "./" and a slash behind it. Allocated. */
static char *clean_name(const char *name, size_t n)
{
    while (n >= 2 && name[0] == '.' && name[1] == '/') {
        name += 2;
        n -= 2;
    }
    while (n && name[n - 1] == '/')
        n--;
    return strndup(name, n);
}

static char *header_name(const struct tar_header *h)
{
    return clean_name(h->name, strnlen(h->name, sizeof h->name));
}

static bool is_of_layout(const char *name)
{
    /* The last two are what Docker puts beside a layout. */
    static const char *const names[] = {"blobs", LAYOUT_FILE, "index.json", "manifest.json",
                                        "repositories"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(name, "blobs/", 6) == 0;
}

bool oci_may_begin(const unsigned char *start, size_t size)
{
    for (size_t at = 0; at < size && size - at >= TAR_BLOCK; at += TAR_BLOCK) {
        const struct tar_header *h = (const struct tar_header *)(start + at);
        _cleanup_free_ char *name = tar_checksum_fits(h) ? header_name(h) : NULL;
        int64_t records = 0;

        if (!name)
            return false;
        if (h->type == TAR_PAX || h->type == TAR_PAX_GLOBAL) {
            if (tar_get_number(h->size, sizeof h->size, &records) < 0 || records < 0 ||
                (uint64_t)records > size)
                return false;
            at += (size_t)records + tar_padding((uint64_t)records);
        } else if (*name && strcmp(name, ".") != 0) {
            return is_of_layout(name);
        }
    }
    return false;
}

static int add_member(struct oci_store *s, const struct tar_header *h, const struct pax *pax,
                      uint64_t offset, uint64_t size)
{
    struct oci_member *m;

    if (array_grow(s->members, s->count) < 0)
        return -ENOMEM;
    m = &s->members[s->count];
    *m = (struct oci_member){.path = pax->path ? clean_name(pax->path, strlen(pax->path))
                                               : header_name(h),
                             .offset = offset,
                             .size = size};
    if (!m->path)
        return -ENOMEM;
    s->count++;
    return 0;
}

/* The records of an extended header of SIZE bytes at OFFSET. */
static int read_records(const struct oci_store *s, struct pax *pax, uint64_t offset, uint64_t size)
{
    enum { LARGEST = 64 << 10 };
    _cleanup_free_ char *data = size <= LARGEST ? malloc(size + 1) : NULL;

    if (size > LARGEST)
        return -EINVAL;
    if (!data)
        return -ENOMEM;
    if (file_read_at(s->fd, data, size, offset) != (ssize_t)size)
        return -EINVAL;
    return pax_parse(pax, data, size);
}

/* The member whose header stands at *AT: 1; 0 at the end; negative errno, -EINVAL: no tar that is
 * understood here. */
static int scan_one(struct oci_store *s, struct pax *pax, uint64_t *at, uint64_t end)
{
    struct tar_header h;
    int64_t number;
    uint64_t size, offset = *at + TAR_BLOCK;
    int r = 1;

    if (file_read_at(s->fd, &h, sizeof h, *at) != (ssize_t)sizeof h || tar_is_zero_block(&h))
        return 0;
    if (!tar_checksum_fits(&h) || tar_get_number(h.size, sizeof h.size, &number) < 0 || number < 0)
        return -EINVAL;
    size = (uint64_t)number;
    if (h.type != TAR_PAX && h.type != TAR_PAX_GLOBAL && pax->has_size)
        size = pax->size;
    if (offset > end || size > end - offset || h.type == TAR_SPARSE || pax->sparse)
        return -EINVAL;
    if (h.type == TAR_PAX)
        r = read_records(s, pax, offset, size);
    else if ((h.type == TAR_FILE || h.type == TAR_FILE_V7) && s->count < MOST_MEMBERS)
        r = add_member(s, &h, pax, offset, size);
    if (h.type != TAR_PAX)
        pax_clear(pax);
    *at = offset + size + tar_padding(size);
    return r < 0 ? r : 1;
}

static int scan(struct oci_store *s, struct wp_error *err)
{
    struct pax pax = {0};
    struct stat st;
    uint64_t at = 0;
    int r = fstat(s->fd, &st) < 0 ? -errno : 1;

    while (r == 1)
        r = scan_one(s, &pax, &at, (uint64_t)st.st_size);
    pax_clear(&pax);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0)
        return 0; /* whatever it is, it is for the reader of tars */
    array_sort(s->members, s->count, path_compare);
    return 1;
}

/* ---- Either ------------------------------------------------------------------------------ */

int oci_store_open(struct oci_store *s, int fd, const char *name, struct wp_error *err)
{
    struct oci_file layout;
    struct stat st;
    int r;

    *s = (struct oci_store){.name = name, .fd = fd};
    if (fstat(fd, &st) < 0)
        return error_set(err, errno, name, "cannot stat");
    s->is_tar = !S_ISDIR(st.st_mode);
    r = s->is_tar ? scan(s, err) : 1;
    if (r == 1)
        r = oci_store_find(s, LAYOUT_FILE, &layout, err);
    if (r == 1)
        oci_file_close(&layout);
    return r;
}

void oci_store_close(struct oci_store *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->members[i].path);
    free(s->members);
    cleanup_close(&s->fd);
    *s = (struct oci_store){.fd = -1};
}

void oci_file_close(struct oci_file *f)
{
    cleanup_close(&f->fd);
}

static int find_in_tar(const struct oci_store *s, const char *path, struct oci_file *out,
                       struct wp_error *err)
{
    size_t at = array_first(i, s->count, strcmp(s->members[i].path, path) < 0);

    if (at == s->count || strcmp(s->members[at].path, path) != 0)
        return 0;
    *out = (struct oci_file){.fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3),
                             .offset = s->members[at].offset,
                             .size = s->members[at].size};
    return out->fd < 0 ? error_set(err, errno, s->name, "cannot be opened") : 1;
}

int oci_store_find(const struct oci_store *s, const char *path, struct oci_file *out,
                   struct wp_error *err)
{
    _cleanup_close_ int fd = -1;
    struct stat st;

    *out = (struct oci_file){.fd = -1};
    if (s->is_tar)
        return find_in_tar(s, path, out, err);
    fd = openat(s->fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && error_is_absence(-errno))
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, errno, s->name, "cannot open %s in it", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, 0, s->name, "%s in it is no regular file", path);
    *out = (struct oci_file){.fd = take_fd(&fd), .size = (uint64_t)st.st_size};
    return 1;
}

int oci_blob_path(const struct oci_store *s, const char *digest, char out[OCI_BLOB_PATH],
                  struct wp_error *err)
{
    const size_t n = sizeof SHA256_PREFIX - 1;
    const char *hex = digest + n;

    if (strncmp(digest, SHA256_PREFIX, n) != 0 || strlen(hex) != (size_t)2 * SHA256_SIZE ||
        strspn(hex, "0123456789abcdef") != (size_t)2 * SHA256_SIZE)
        return error_set(err, 0, s->name, "'%.100s' in it is no SHA-256 digest", digest);
    snprintf(out, OCI_BLOB_PATH, BLOBS "%s", hex);
    return 0;
}

int oci_store_blob(const struct oci_store *s, const char *digest, uint64_t size,
                   struct oci_file *out, struct wp_error *err)
{
    char path[OCI_BLOB_PATH];
    int r = oci_blob_path(s, digest, path, err);

    *out = (struct oci_file){.fd = -1};
    r = r < 0 ? r : oci_store_find(s, path, out, err);
    if (r == 0)
        return error_set(err, ENOENT, s->name, "the blob %s is missing in it", digest);
    if (r == 1 && out->size != size) {
        oci_file_close(out);
        return error_set(err, 0, s->name,
                         "the blob %s in it has not the %llu bytes that it is "
                         "said to have",
                         digest, (unsigned long long)size);
    }
    return r < 0 ? r : 0;
}

static int read_text(const struct oci_store *s, const char *what, const struct oci_file *f,
                     struct buf *out, struct wp_error *err)
{
    ssize_t n;

    if (f->size > LARGEST_TEXT)
        return error_set(err, EFBIG, s->name, "cannot read %s in it", what);
    if (buf_reserve(out, f->size + 1) < 0)
        return error_nomem(err);
    n = file_read_at(f->fd, out->data, f->size, f->offset);
    if (n < 0)
        return error_set(err, (int)-n, s->name, "cannot read %s in it", what);
    out->size = (size_t)n;
    return out->size == f->size ? 0 : error_set(err, 0, s->name, "%s in it is truncated", what);
}

int oci_store_text(const struct oci_store *s, const char *path, struct buf *out,
                   struct wp_error *err)
{
    _cleanup_(oci_file_close) struct oci_file f = {.fd = -1};
    int r = oci_store_find(s, path, &f, err);

    if (r == 0)
        return error_set(err, ENOENT, s->name, "%s is missing in it", path);
    return r < 0 ? r : read_text(s, path, &f, out, err);
}

void oci_digest_text(const unsigned char sha[SHA256_SIZE], char out[OCI_DIGEST])
{
    strcpy(out, SHA256_PREFIX);
    hex_encode(sha, SHA256_SIZE, out + strlen(out));
}

int oci_check_digest(const struct oci_store *s, const char *digest,
                     const unsigned char is[SHA256_SIZE], struct wp_error *err)
{
    char text[OCI_DIGEST];

    oci_digest_text(is, text);
    return strcmp(text, digest) == 0
               ? 0
               : error_set(err, EBADMSG, s->name, "the blob %s in it has another digest", digest);
}

int oci_store_blob_text(const struct oci_store *s, const char *digest, uint64_t size,
                        struct buf *out, struct wp_error *err)
{
    _cleanup_(oci_file_close) struct oci_file f = {.fd = -1};
    unsigned char is[SHA256_SIZE];
    int r = oci_store_blob(s, digest, size, &f, err);

    if (r == 0)
        r = read_text(s, digest, &f, out, err);
    if (r < 0)
        return r;
    sha256_of(out->data, out->size, is);
    return oci_check_digest(s, digest, is, err);
}
