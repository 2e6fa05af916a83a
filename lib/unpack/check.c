/* Unpacking, the check: compares what lies in the staged tree with what was packed. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "job.h"
#include "manifest/wheel_record.h"

static int compare_archived(const void *a, const void *b)
{
    return strcmp(unpack_archived(*(struct unpacked *const *)a),
                  unpack_archived(*(struct unpacked *const *)b));
}

/* The items by their paths in the archive, owned by the caller. Mostly they are in that order. */
static struct unpacked **sort_items(const struct unpack *unpack)
{
    struct unpacked **sorted = malloc((unpack->count ? unpack->count : 1) * sizeof *sorted);
    bool is_sorted = true;

    if (!sorted)
        return NULL;
    for (size_t i = 0; i < unpack->count; i++) {
        sorted[i] = unpack->items[i];
        is_sorted = is_sorted && (i == 0 || compare_archived(&sorted[i - 1], &sorted[i]) <= 0);
    }
    if (!is_sorted)
        qsort(sorted, unpack->count, sizeof *sorted, compare_archived);
    return sorted;
}

/* A wheel's RECORD. The manifest has no digest of it, as RECORD has the manifest's. */
struct record {
    char *path; /* owned; NULL: this is no wheel */
    unsigned char sha256[SHA256_SIZE];
};

static void record_clear(struct record *record)
{
    free(record->path);
}

static int make_record(const struct unpack *unpack, struct record *record, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};

    record->path = wheel_record_path(unpack->home);
    if (!record->path)
        return errno ? error_nomem(err) : 0;
    if (wheel_record_write(&unpack->manifest, unpack->home, unpack->text_sha256, unpack->text_size,
                           &text) < 0)
        return error_nomem(err);
    sha256_of(text.data, text.size, record->sha256);
    return 0;
}

/* The digest that the entry must have, or NULL. */
static const unsigned char *wanted_digest(const struct entry *want, const struct record *record)
{
    if (want->has_sha256)
        return want->sha256;
    return record->path && strcmp(record->path, want->path) == 0 ? record->sha256 : NULL;
}

/* Does hard link ITEM lead to what WANT says? Its target may have been stripped, as its path. */
static bool leads_to(const struct unpack *unpack, const struct unpacked *item,
                     const struct entry *want)
{
    _cleanup_free_ char *stripped = NULL;
    bool gone;

    if (strcmp(item->e.target, want->target) == 0)
        return true;
    stripped = unpack_name(unpack, want->target, &gone);
    return stripped && !item->skipped && strcmp(item->e.target, stripped) == 0;
}

static const char *difference(const struct unpack *unpack, const struct unpacked *item,
                              const struct entry *want, const struct record *record)
{
    const unsigned char *sha256 = wanted_digest(want, record);
    const struct entry *got = &item->e;

    const char *why = entry_difference(got, want);

    if (!why && unpack->trust.count)
        why = entry_owner_difference(got, want);
    if (why)
        return why;
    if (got->type == ENTRY_HARDLINK && !leads_to(unpack, item, want))
        return "is a hard link to another file than the manifest says";
    if (got->type != ENTRY_FILE)
        return NULL;
    if (!item->skipped &&
        (!got->has_sha256 || !sha256 || memcmp(got->sha256, sha256, sizeof got->sha256) != 0))
        return "does not have the content that the manifest says (SHA-256)";
    return NULL;
}

int unpack_check(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_free_ struct unpacked **sorted = sort_items(unpack);
    _cleanup_(record_clear) struct record record = {0};
    const struct manifest *m = &unpack->manifest;
    size_t i = 0;
    int r = sorted ? make_record(unpack, &record, err) : error_nomem(err);

    if (r < 0)
        return r;
    for (size_t k = 0; k < m->entry_count || i < unpack->count; k++, i++) {
        const char *text;
        int order = k == m->entry_count  ? -1
                    : i == unpack->count ? 1
                                         : strcmp(unpack_archived(sorted[i]), m->entries[k].path);

        if (order > 0 && m->entries[k].absent) { /* only told of */
            i--;
            continue;
        }
        if (order == 0 && m->entries[k].absent)
            return error_set(err, EBADMSG, m->entries[k].path,
                             "is in the archive, but the manifest says that it is not");
        if (order < 0)
            return error_set(
                err, EBADMSG, unpack_archived(sorted[i]), "%s",
                i && strcmp(unpack_archived(sorted[i - 1]), unpack_archived(sorted[i])) == 0
                    ? "is in the archive twice"
                    : "is not in the manifest");
        if (order > 0)
            return error_set(err, EBADMSG, m->entries[k].path,
                             "is in the manifest, but not in the archive");
        text = difference(unpack, sorted[i], &m->entries[k], &record);
        if (text)
            return error_set(err, EBADMSG, unpack_archived(sorted[i]), "%s", text);
    }
    return 0;
}
