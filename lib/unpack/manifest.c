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
static int note_text(struct unpack *unpack, const struct entry *e,
                     const unsigned char digest[SHA256_SIZE], uint64_t size, struct wp_error *err)
{
    if (unpack->is_recorded &&
        (size != unpack->text_size || memcmp(digest, unpack->text_sha256, SHA256_SIZE) != 0))
        return error_set(err, EBADMSG, e->path, "the archive has a second manifest");
    memcpy(unpack->text_sha256, digest, SHA256_SIZE);
    unpack->text_size = size;
    return 0;
}

/* Is the manifest, which lies at PATH in the archive, one that may be followed? It must also lie
 * where it says: its place names what is warmpack's own. */
static int check_trust(const struct unpack *unpack, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *home = path_dir(path);
    int r = home ? trust_check(&unpack->trust, &unpack->manifest, path, err) : error_nomem(err);

    if (r == 0 && unpack->trust.count && unpack->manifest.home &&
        strcmp(unpack->manifest.home, home) != 0)
        r = error_set(err, EKEYREJECTED, path, "does not lie where it says");
    return r;
}

/* The directory of the manifest at PATH of the archive, as unpacked. Allocated; NULL on no memory.
 */
static char *home_of(const struct unpack *unpack, const char *path)
{
    bool gone;
    _cleanup_free_ char *name = unpack_name(unpack, path, &gone);

    return name ? path_dir(name) : NULL;
}

int unpack_read_recorded(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_buf_ struct buf path = {0}, text = {0};
    /* With keys, too, nothing is to be unpacked that is refused in the end. */
    int r = unpack->a->reader->is_rounded || unpack->trust.count || unpack_has_earlier(unpack)
                ? unpack->a->reader->ops->manifest(unpack->a->reader, &path, &text, err)
                : 0;

    if (r <= 0)
        return r;
    if (buf_terminate(&path) < 0)
        return error_nomem(err);
    sha256_of(text.data, text.size, unpack->text_sha256);
    unpack->text_size = text.size;
    unpack->is_recorded = true;
    unpack->earlier.home = home_of(unpack, (const char *)path.data);
    if (!unpack->earlier.home)
        return error_nomem(err);
    r = manifest_read_once(&unpack->manifest, &text, (const char *)path.data, unpack->a->pool, err);
    return r < 0 ? r : check_trust(unpack, (const char *)path.data, err);
}

static int find_home(struct unpack *unpack, const struct entry *e, struct wp_error *err)
{
    unpack->home = home_of(unpack, e->path);
    return unpack->home ? 0 : error_nomem(err);
}

int unpack_take_manifest(struct unpack *unpack, struct archive_reading *in, struct buf *text,
                         struct wp_error *err)
{
    const struct entry *e = in->e;
    unsigned char digest[SHA256_SIZE];
    int r = find_home(unpack, e, err);

    if (r == 0)
        r = archive_content(in, text, err);
    if (r < 0)
        return r;
    sha256_of(text->data, text->size, digest);
    r = note_text(unpack, e, digest, text->size, err);
    if (r == 0 && !unpack->is_recorded)
        r = manifest_read(&unpack->manifest, text->data, text->size, e->path, unpack->a->pool, err);
    unpack->has_manifest = r == 0;
    return r;
}

/* The current entry's content to FD, as it comes: a text of a million entries is large. */
static int pull_to_file(struct unpack *unpack, const struct entry *e, int fd, struct wp_error *err)
{
    struct sha256 *sha = sha256_new();
    unsigned char digest[SHA256_SIZE];
    uint64_t offset, size = 0;
    const void *data;
    size_t n;
    int r;

    if (!sha)
        return error_nomem(err);
    while ((r = unpack->a->reader->ops->data(unpack->a->reader, &data, &n, &offset, err)) > 0) {
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
    return r < 0 ? r : note_text(unpack, e, digest, size, err);
}

int unpack_stage_manifest(struct unpack *unpack, const struct entry *e, struct wp_error *err)
{
    _cleanup_free_ char *name = NULL;
    _cleanup_close_ int fd = -1, text = -1;
    /* It is the packer's; who unpacks as an ordinary user cannot give it away. */
    struct create_policy policy = unpack->policy;
    struct entry file = *e;
    int r = find_home(unpack, e, err);

    if (r == 0)
        r = create_dir(unpack->tree, unpack->home, 0700, err);
    if (r < 0)
        return r;
    file.path = name = path_join(unpack->home, MANIFEST_NAME);
    if (!name)
        return error_nomem(err);
    fd = create_open(unpack->tree, &file, err);
    if (fd < 0)
        return fd;
    r = pull_to_file(unpack, e, fd, err);
    if (r < 0)
        return r;
    text = beneath_open(unpack->tree, name, O_RDONLY, 0);
    if (text < 0)
        return error_set(err, -text, name, "cannot be read");
    if (!unpack->is_recorded)
        r = manifest_read_file(&unpack->manifest, text, unpack->text_size, e->path, unpack->a->pool,
                               err);
    if (r == 0)
        r = check_trust(unpack, e->path, err);
    unpack->has_manifest = r == 0;
    file.size = unpack->text_size;
    policy.owner &= policy.superuser;
    /* No signature covers what the archive says of this one entry. */
    if (unpack->trust.count) {
        file.mode = 0644;
        policy.owner = false;
    }
    return r < 0 ? r : create_close(take_fd(&fd), &policy, &file, err);
}
