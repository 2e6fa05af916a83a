/* Unpacking, the manifest: takes it as the last entry, or reads it first where the format holds
 * less than it. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"
#include "tree/beneath.h"

/* The text of the manifest is known now, in SIZE bytes with DIGEST. Where it has been read before,
 * it must be the same. */
static int note_text(struct unpack *u, const struct entry *e,
                     const unsigned char digest[SHA256_SIZE], uint64_t size, struct wp_error *err)
{
    if (u->is_recorded &&
        (size != u->text_size || memcmp(digest, u->text_sha256, SHA256_SIZE) != 0))
        return error_set(err, EBADMSG, e->path, "the archive has a second manifest");
    memcpy(u->text_sha256, digest, SHA256_SIZE);
    u->text_size = size;
    return 0;
}

/* Is the manifest, which lies at PATH in the archive, one that may be followed? It must also lie
 * where it says: its place names what is warmpack's own. */
static int check_trust(const struct unpack *u, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *home = path_dir(path);
    int r = home ? trust_check(&u->trust, &u->manifest, path, err) : error_nomem(err);

    if (r == 0 && u->trust.count && u->manifest.home && strcmp(u->manifest.home, home) != 0)
        r = error_set(err, EKEYREJECTED, path, "does not lie where it says");
    return r;
}

int unpack_read_recorded(struct unpack *u, struct wp_error *err)
{
    _cleanup_buf_ struct buf path = {0}, text = {0};
    /* With keys, too, nothing is to be unpacked that is refused in the end. */
    int r = u->a->reader->is_rounded || u->trust.count
                ? u->a->reader->ops->manifest(u->a->reader, &path, &text, err)
                : 0;

    if (r <= 0)
        return r;
    if (buf_terminate(&path) < 0)
        return error_nomem(err);
    sha256_of(text.data, text.size, u->text_sha256);
    u->text_size = text.size;
    u->is_recorded = true;
    r = manifest_read_once(&u->manifest, &text, (const char *)path.data, u->a->pool, err);
    return r < 0 ? r : check_trust(u, (const char *)path.data, err);
}

static int find_home(struct unpack *u, const struct entry *e, struct wp_error *err)
{
    bool gone;
    _cleanup_free_ char *name = unpack_name(u, e->path, &gone);

    u->home = name ? path_dir(name) : NULL;
    return u->home ? 0 : error_nomem(err);
}

int unpack_take_manifest(struct unpack *u, struct archive_reading *in, struct buf *text,
                         struct wp_error *err)
{
    const struct entry *e = in->e;
    unsigned char digest[SHA256_SIZE];
    int r = find_home(u, e, err);

    if (r == 0)
        r = archive_content(in, text, err);
    if (r < 0)
        return r;
    sha256_of(text->data, text->size, digest);
    r = note_text(u, e, digest, text->size, err);
    if (r == 0 && !u->is_recorded)
        r = manifest_read(&u->manifest, text->data, text->size, e->path, u->a->pool, err);
    u->has_manifest = r == 0;
    return r;
}

/* The current entry's content to FD, as it comes: a text of a million entries is large. */
static int pull_to_file(struct unpack *u, const struct entry *e, int fd, struct wp_error *err)
{
    struct sha256 *sha = sha256_new();
    unsigned char digest[SHA256_SIZE];
    uint64_t offset, size = 0;
    const void *data;
    size_t n;
    int r;

    if (!sha)
        return error_nomem(err);
    while ((r = u->a->reader->ops->data(u->a->reader, &data, &n, &offset, err)) > 0) {
        if (offset != size || n > e->size - size)
            r = error_set(err, EBADMSG, e->path, "has another size than its header says");
        else if ((r = file_write(fd, data, n)) < 0)
            error_set(err, -r, e->path, "cannot write");
        if (r < 0)
            break;
        sha256_add(sha, data, n);
        size += n;
    }
    sha256_end(sha, digest);
    sha256_free(sha);
    return r < 0 ? r : note_text(u, e, digest, size, err);
}

int unpack_stage_manifest(struct unpack *u, const struct entry *e, struct wp_error *err)
{
    _cleanup_free_ char *name = NULL;
    _cleanup_close_ int fd = -1, text = -1;
    /* It is the packer's; who unpacks as an ordinary user cannot give it away. */
    struct create_policy policy = u->policy;
    struct entry file = *e;
    int r = find_home(u, e, err);

    if (r == 0)
        r = create_dir(u->tree, u->home, 0700, err);
    if (r < 0)
        return r;
    file.path = name = path_join(u->home, MANIFEST_NAME);
    if (!name)
        return error_nomem(err);
    fd = create_open(u->tree, &file, err);
    if (fd < 0)
        return fd;
    r = pull_to_file(u, e, fd, err);
    if (r < 0)
        return r;
    text = beneath_open(u->tree, name, O_RDONLY, 0);
    if (text < 0)
        return error_set(err, -text, name, "cannot be read");
    if (!u->is_recorded)
        r = manifest_read_file(&u->manifest, text, u->text_size, e->path, u->a->pool, err);
    if (r == 0)
        r = check_trust(u, e->path, err);
    u->has_manifest = r == 0;
    file.size = u->text_size;
    policy.owner &= policy.superuser;
    /* No signature covers what the archive says of this one entry. */
    if (u->trust.count) {
        file.mode = 0644;
        policy.owner = false;
    }
    return r < 0 ? r : create_close(take_fd(&fd), &policy, &file, err);
}
