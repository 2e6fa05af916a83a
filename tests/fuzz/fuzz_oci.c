/* Feeds the readers of image layouts: libFuzzer calls it.
 *
 * Blobs have the names of their digests, which no fuzzer finds. So the input is the index and the
 * blobs, with a line "%%" between them, and in those that are JSON "@3" stands for digest and size
 * of the third blob, which comes later. */

#include <stdio.h>

#include "base/digest.h"
#include "fuzz_archive.h"
#include "oci/base.h"
#include "tar/tar_header.h"
#include "tar/tar_write_header.h"
#include "warmpack.h"

enum { MOST_PARTS = 10 };

struct part {
    struct buf text;
    char digest[2 * SHA256_SIZE + 1];
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static size_t split(const uint8_t *data, size_t size, struct part parts[MOST_PARTS])
{
    static const char between[] = "\n%%\n";
    const size_t n = sizeof between - 1;
    size_t count = 0;

    while (count < MOST_PARTS) {
        const uint8_t *end = count + 1 < MOST_PARTS ? memmem(data, size, between, n) : NULL;
        const size_t length = end ? (size_t)(end - data) : size;

        check(buf_add(&parts[count++].text, data, length) == 0);
        if (!end)
            break;
        data += length + n;
        size -= length + n;
    }
    return count;
}

/* Puts what it stands for in place of each "@3" in part NUMBER. */
static void fill_in(struct part *parts, size_t count, size_t number)
{
    struct buf *text = &parts[number].text;
    struct buf made = {0};

    for (size_t i = 0; i < text->size && text->data[0] == '{'; i++) {
        const size_t named = i + 1 < text->size ? (size_t)text->data[i + 1] - '0' : 0;

        if (text->data[i] != '@' || named <= number || named >= count) {
            check(buf_add(&made, text->data + i, 1) == 0);
            continue;
        }
        check(buf_printf(&made, "\"digest\":\"sha256:%s\",\"size\":%zu", parts[named].digest,
                         parts[named].text.size) == 0);
        i++;
    }
    if (made.size) {
        buf_free(text);
        *text = made;
    }
}

static void name_by_digest(struct part *part)
{
    unsigned char sha[SHA256_SIZE];

    sha256_of(part->text.data ? (const void *)part->text.data : "", part->text.size, sha);
    hex_encode(sha, sizeof sha, part->digest);
}

static void add_file(struct buf *tar, const char *path, const void *data, size_t size)
{
    static const char zeros[TAR_BLOCK];
    const struct entry e = {.path = (char *)path, .type = ENTRY_FILE, .mode = 0644, .size = size};

    check(tar_add_header(tar, &e, NULL, NULL) == 0);
    check(!size || buf_add(tar, data, size) == 0);
    check(buf_add(tar, zeros, tar_padding(size)) == 0);
}

static void make_tar(struct buf *tar, const struct part *parts, size_t count)
{
    static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}", zeros[2 * TAR_BLOCK];
    char path[OCI_BLOB_PATH];

    add_file(tar, "oci-layout", layout, sizeof layout - 1);
    add_file(tar, "index.json", parts[0].text.data, parts[0].text.size);
    for (size_t i = 1; i < count; i++) {
        snprintf(path, sizeof path, "blobs/sha256/%s", parts[i].digest);
        add_file(tar, path, parts[i].text.data, parts[i].text.size);
    }
    check(buf_add(tar, zeros, sizeof zeros) == 0);
}

/* As create --base does. */
static void read_base(const struct buf *tar, const char *platform)
{
    char path[32];
    const struct wp_image_options options = {.base = path, .platform = platform};
    struct wp_error err = {0};
    struct oci_base base;
    int fd = memfd_create("base", MFD_CLOEXEC);

    check(fd >= 0 && write(fd, tar->data, tar->size) == (ssize_t)tar->size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (oci_base_open(&base, &options, &err) == 0)
        touch(base.image.digest, strlen(base.image.digest));
    oci_base_close(&base);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct part parts[MOST_PARTS] = {0};
    const size_t count = split(data, size, parts);
    struct buf tar = {0};

    for (size_t i = count; i-- > 0;) {
        fill_in(parts, count, i);
        name_by_digest(&parts[i]);
    }
    make_tar(&tar, parts, count);
    fuzz_archive(tar.data, tar.size);
    read_base(&tar, NULL);
    read_base(&tar, "linux/arm64");
    for (size_t i = 0; i < count; i++)
        buf_free(&parts[i].text);
    buf_free(&tar);
    return 0;
}
