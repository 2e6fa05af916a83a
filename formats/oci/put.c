/* Writes the files of a layout behind the layer, which has been written. What a base has is linked
 * or copied as it is. */

#include "put.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "tar/tar_header.h"
#include "tar/tar_write_header.h"

enum { PIECE = 1 << 20, RECORD = 20 * TAR_BLOCK };

/* Of files around the layer: what the field of a header holds. A record for a later one would make
 * the headers before the layer longer than the room that was left for them. */
#define LATEST_TIME INT64_C(077777777777)

static void free_sha(struct sha256 **s)
{
    sha256_free(*s);
}

/* ---- Tar --------------------------------------------------------------------------------- */

static int add_header(struct buf *b, const struct oci_put *p, const char *path,
                      enum entry_type type, uint64_t size, struct wp_error *err)
{
    const struct entry e = {.path = (char *)path,
                            .type = type,
                            .mode = type == ENTRY_DIR ? 0755 : 0644,
                            .size = size,
                            .mtime = {.tv_sec = p->time}};

    return tar_add_header(b, &e, NULL, err);
}

static int put_header(struct oci_put *p, const char *path, uint64_t size, struct wp_error *err)
{
    _cleanup_buf_ struct buf b = {0};
    int r = add_header(&b, p, path, ENTRY_FILE, size, err);

    return r < 0 ? r : output_write(p->out, b.data, b.size, err);
}

static int put_zeros(struct oci_put *p, size_t n, struct wp_error *err)
{
    static const char zeros[RECORD];

    return n ? output_write(p->out, zeros, n, err) : 0;
}

/* The headers before the layer: of one size, whatever that of the layer is. */
static int patch_head(struct oci_put *p, const struct oci_made *made, const char *path,
                      struct wp_error *err)
{
    _cleanup_buf_ struct buf b = {0};
    struct tar_header h;
    int r = add_header(&b, p, "blobs", ENTRY_DIR, 0, err);

    if (r == 0)
        r = add_header(&b, p, "blobs/sha256", ENTRY_DIR, 0, err);
    if (r == 0)
        r = add_header(&b, p, path, ENTRY_FILE, 0, err);
    if (r < 0)
        return r;
    if (b.size != OCI_LAYER_AT)
        return error_set(err, ERANGE, p->out->name,
                         "cannot be written: its first headers do not fit");
    memcpy(&h, b.data + b.size - TAR_BLOCK, sizeof h);
    tar_put_number(h.size, sizeof h.size, (int64_t)made->size);
    tar_put_checksum(&h);
    memcpy(b.data + b.size - TAR_BLOCK, &h, sizeof h);
    return output_patch(p->out, 0, b.data, b.size, err);
}

/* ---- Files ------------------------------------------------------------------------------- */

static int put_text(struct oci_put *p, const char *path, const char *text, size_t n,
                    struct wp_error *err)
{
    int r, fd;

    if (!p->out->is_dir) {
        r = put_header(p, path, n, err);
        r = r < 0 ? r : output_write(p->out, text, n, err);
        return r < 0 ? r : put_zeros(p, tar_padding(n), err);
    }
    fd = output_dir_create(p->out, path, err);
    if (fd < 0)
        return fd;
    r = file_write(fd, text, n);
    if (r < 0) {
        close(fd);
        return error_set(err, -r, p->out->name, "cannot write %s in it", path);
    }
    p->out->written += n;
    return output_dir_close(p->out, fd, path, err);
}

int oci_put_file(struct oci_put *p, const char *path, const json_t *json, struct wp_error *err)
{
    _cleanup_free_ char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    return text ? put_text(p, path, text, strlen(text), err) : error_nomem(err);
}

/* Notes that the blob DIGEST is there: 1; 0: it is already. */
static int note(struct oci_put *p, const char *digest, struct wp_error *err)
{
    if (json_object_get(p->known, digest))
        return 0;
    return json_object_set_new(p->known, digest, json_true()) < 0 ? error_nomem(err) : 1;
}

static void blob_path(const char *digest, char out[OCI_BLOB_PATH])
{
    snprintf(out, OCI_BLOB_PATH, "blobs/sha256/%.64s", digest + strlen("sha256:"));
}

int oci_put_json(struct oci_put *p, const json_t *json, char digest[OCI_DIGEST], size_t *size,
                 struct wp_error *err)
{
    _cleanup_free_ char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    unsigned char sha[SHA256_SIZE];
    char path[OCI_BLOB_PATH];
    int r;

    if (!text)
        return error_nomem(err);
    *size = strlen(text);
    sha256_of(text, *size, sha);
    oci_digest_text(sha, digest);
    blob_path(digest, path);
    r = note(p, digest, err);
    return r <= 0 ? r : put_text(p, path, text, *size, err);
}

int oci_put_begin(struct oci_put *p, struct output *out, const struct oci_made *made, int64_t time,
                  struct wp_error *err)
{
    static const char *const dirs[] = {"blobs", "blobs/sha256", NULL};
    char path[OCI_BLOB_PATH];
    int r;

    *p = (struct oci_put){
        .out = out, .known = json_object(), .time = time < LATEST_TIME ? time : LATEST_TIME};
    r = p->known ? note(p, made->layer, err) : error_nomem(err);
    if (r < 0)
        return r;
    if (!out->is_dir)
        return put_zeros(p, tar_padding(made->size), err);
    blob_path(made->layer, path);
    r = output_dir_begin(out, dirs, err);
    return r < 0 ? r : output_dir_take(out, path, err);
}

int oci_put_end(struct oci_put *p, const struct oci_made *made, struct wp_error *err)
{
    char path[OCI_BLOB_PATH];
    uint64_t end = p->out->written + (uint64_t)2 * TAR_BLOCK;
    int r;

    if (p->out->is_dir)
        return 0;
    r = put_zeros(p, 2 * TAR_BLOCK + (RECORD - end % RECORD) % RECORD, err);
    blob_path(made->layer, path);
    return r < 0 ? r : patch_head(p, made, path, err);
}

void oci_put_clear(struct oci_put *p)
{
    json_decref(p->known);
}

/* ---- The base's -------------------------------------------------------------------------- */

/* A name for the whole file FROM, which shares its bytes: 1; 0: it is to be copied, into *FD. */
static int share(struct oci_put *p, const struct oci_store *s, const struct oci_file *from,
                 const char *path, int *fd, struct wp_error *err)
{
    char self[64];

    snprintf(self, sizeof self, "/proc/self/fd/%d", from->fd);
    if (!s->is_tar && linkat(AT_FDCWD, self, p->out->staged_fd, path, AT_SYMLINK_FOLLOW) == 0)
        return 1;
    *fd = output_dir_create(p->out, path, err);
    if (*fd < 0)
        return *fd;
    return !s->is_tar && ioctl(*fd, FICLONE, from->fd) == 0;
}

/* Reads all of FROM, and writes it to FD, to the tar (-1), or nowhere (SHARED). */
static int copy(struct oci_put *p, const struct oci_store *s, const struct oci_file *from, int fd,
                bool shared, const char *digest, struct wp_error *err)
{
    _cleanup_(free_sha) struct sha256 *sha = sha256_new();
    _cleanup_free_ unsigned char *data = malloc(PIECE);
    unsigned char is[SHA256_SIZE];
    int r = 0;

    if (!sha || !data)
        return error_nomem(err);
    for (uint64_t done = 0; done < from->size;) {
        uint64_t left = from->size - done;
        ssize_t n = file_read_at(from->fd, data, left < PIECE ? left : PIECE, from->offset + done);

        if (n <= 0)
            return error_set(err, n < 0 ? (int)-n : EBADMSG, s->name, "cannot read %s in it",
                             digest);
        if (p->out->interrupted && *p->out->interrupted)
            return error_set(err, EINTR, s->name, "cannot read");
        sha256_add(sha, data, (size_t)n);
        if (!shared && fd < 0)
            r = output_write(p->out, data, (size_t)n, err);
        else if (!shared && (r = file_write(fd, data, (size_t)n)) < 0)
            r = error_set(err, -r, p->out->name, "cannot write %s in it", digest);
        if (r < 0)
            return r;
        done += (uint64_t)n;
    }
    sha256_end(sha, is);
    return oci_check_digest(s, digest, is, err);
}

static int put_layer(struct oci_put *p, const struct oci_store *s, const json_t *d,
                     struct wp_error *err)
{
    _cleanup_(oci_file_close) struct oci_file from = {.fd = -1};
    const char *digest = oci_digest(d);
    char path[OCI_BLOB_PATH];
    bool shared = false;
    int fd = -1, r = note(p, digest, err);

    if (r <= 0)
        return r;
    blob_path(digest, path);
    r = oci_store_blob(s, digest, oci_size(d), &from, err);
    if (r == 0 && p->out->is_dir) {
        r = share(p, s, &from, path, &fd, err);
        shared = r > 0;
    } else if (r == 0) {
        r = put_header(p, path, from.size, err);
    }
    if (r >= 0)
        r = copy(p, s, &from, fd, shared, digest, err);
    if (fd >= 0 && r < 0)
        close(fd);
    else if (fd >= 0)
        r = output_dir_close(p->out, fd, path, err);
    if (p->out->is_dir)
        p->out->written += from.size;
    return r < 0 || p->out->is_dir ? r : put_zeros(p, tar_padding(from.size), err);
}

int oci_put_base(struct oci_put *p, const struct oci_base *base, struct wp_error *err)
{
    const json_t *layers = oci_image_layers(&base->image), *d;
    size_t i;

    json_array_foreach(layers, i, d)
    {
        int r = put_layer(p, &base->store, d, err);

        if (r < 0)
            return r;
    }
    return 0;
}
