/* Unpacking to standard output: writes the contents of the selected files, one after the other. */

#include "job.h"

#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"

static int print_bytes(const char *data, size_t n, struct wp_error *err)
{
    int r = file_write(STDOUT_FILENO, data, n);

    return r < 0 ? error_set(err, -r, "standard output", "cannot write") : 0;
}

/* HOLE zero bytes, of which a few bytes of an archive can tell more than are ever written, then
 * DATA. */
static int print_run(const struct unpack *unpack, uint64_t hole, const void *data, size_t n,
                     struct wp_error *err)
{
    static const char zeros[65536];
    int r = 0;

    while (hole && r == 0) {
        size_t part = hole < sizeof zeros ? (size_t)hole : sizeof zeros;

        r = context_check(unpack->a->context, err);
        if (r == 0)
            r = print_bytes(zeros, part, err);
        hole -= part;
    }
    return r < 0 ? r : print_bytes(data, n, err);
}

/* Prints the entry's content and takes its digest. */
static int print_entry(struct unpack *unpack, struct unpacked *item, struct sha256 *sha,
                       struct wp_error *err)
{
    struct format_reader *reader = unpack->a->reader;
    const void *data;
    uint64_t offset, at = 0;
    size_t n;
    int r;

    while ((r = reader->ops->data(reader, &data, &n, &offset, err)) > 0) {
        r = context_check(unpack->a->context, err);
        if (r == 0)
            r = print_run(unpack, offset - at, data, n, err);
        if (r < 0)
            return r;
        sha256_add(sha, data, n);
        at = offset + n;
    }
    if (r == 0 && at < item->e.size)
        r = print_run(unpack, item->e.size - at, NULL, 0, err);
    sha256_end(sha, item->e.sha256);
    item->e.has_sha256 = true;
    unpack->result->files++;
    return r;
}

static int print_manifest(struct unpack *unpack, struct archive_reading *in, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    int r = unpack_take_manifest(unpack, in, &text, err);

    if (r == 0 && unpack_selected(unpack, in->e->path))
        r = print_bytes((const char *)text.data, text.size, err);
    return r;
}

static int take_entry(struct unpack *unpack, const struct entry *e, struct sha256 *sha,
                      struct wp_error *err)
{
    struct unpacked *item = NULL;
    int r = unpack_make_item(unpack, e, &item, err);

    if (r == 0 && !item->skipped && e->type == ENTRY_FILE)
        r = print_entry(unpack, item, sha, err);
    if (r == 0)
        unpack_tell_size(unpack);
    if (r == 0 && unpack_add_item(unpack, item) < 0)
        r = error_nomem(err);
    if (r < 0)
        free(item);
    return r;
}

static int print_entries(struct unpack *unpack, struct wp_error *err)
{
    struct archive_reading in = {.a = unpack->a};
    struct sha256 *sha = sha256_new();
    int r = sha ? 0 : error_nomem(err);

    while (r == 0 && (r = archive_next(&in, err)) > 0)
        r = r == ARCHIVE_TOP        ? 0
            : r == ARCHIVE_MANIFEST ? print_manifest(unpack, &in, err)
                                    : take_entry(unpack, in.e, sha, err);
    sha256_free(sha);
    return r;
}

/* What has been printed cannot be taken back, but the exit status tells whether it was right. */
int unpack_to_stdout(struct unpack *unpack, struct wp_error *err)
{
    int r = unpack_read_recorded(unpack, err);

    if (r == 0)
        r = print_entries(unpack, err);
    if (r == 0 && unpack->has_manifest)
        r = unpack_check(unpack, err);
    if (r == 0)
        patterns_tell_unused(&unpack->patterns, unpack->a->context);
    return r;
}
