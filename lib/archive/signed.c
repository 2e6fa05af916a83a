/* Holds an archive against its signed manifest: every entry, and nothing besides. */

#include "signed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "manifest/wheel_record.h"

static bool is_asked(const struct archive_signed *s)
{
    return s->trust && s->trust->count;
}

int archive_signed_meet(struct archive_signed *s, const struct manifest *m, const char *path,
                        const struct buf *text, struct wp_error *err)
{
    _cleanup_free_ char *home = path_dir(path);
    int r = home ? 0 : error_nomem(err);

    if (!is_asked(s) || r < 0)
        return r;
    r = trust_check(s->trust, m, path, err);
    if (r < 0)
        return r;
    if (m->home && strcmp(m->home, home) != 0)
        return error_set(err, EKEYREJECTED, path, "does not lie where it says");
    s->path = strdup(path);
    s->size = text->size;
    sha256_of(text->data, text->size, s->sha256);
    return s->path ? 0 : error_nomem(err);
}

/* What has no digest in a manifest, a wheel's RECORD, is made again. */
static int make_record(const struct archive_signed *s, const struct manifest *m, char **path,
                       unsigned char sha256[SHA256_SIZE], struct wp_error *err)
{
    _cleanup_free_ char *home = path_dir(s->path);
    _cleanup_buf_ struct buf text = {0};

    if (!home)
        return error_nomem(err);
    *path = wheel_record_path(home);
    if (!*path)
        return errno ? error_nomem(err) : 0;
    if (wheel_record_write(m, home, s->sha256, s->size, &text) < 0)
        return error_nomem(err);
    sha256_of(text.data, text.size, sha256);
    return 0;
}

/* Why GOT is not what the manifest says, or NULL. RECORDED: the digest of what it has none of. */
static const char *difference(const struct entry *got, const struct entry *want,
                              const unsigned char *recorded)
{
    const unsigned char *sha256 = want->has_sha256 ? want->sha256 : recorded;
    const char *why = entry_difference(got, want);

    if (!why)
        why = entry_owner_difference(got, want);
    if (why)
        return why;
    if (got->type == ENTRY_HARDLINK && strcmp(got->target, want->target) != 0)
        return "is a hard link to another file than the manifest says";
    if (got->type != ENTRY_FILE)
        return NULL;
    if (!sha256 || !got->has_sha256 || memcmp(got->sha256, sha256, SHA256_SIZE) != 0)
        return "does not have the content that the manifest says (SHA-256)";
    return NULL;
}

int archive_signed_check(const struct archive_signed *s, const struct manifest *m,
                         const struct entry *entries, size_t count, const char *name,
                         struct wp_error *err)
{
    _cleanup_free_ char *record = NULL;
    unsigned char sha256[SHA256_SIZE];
    size_t i = 0;
    int r;

    if (!is_asked(s))
        return 0;
    if (!s->path)
        return trust_check_none(s->trust, name, err);
    r = make_record(s, m, &record, sha256, err);
    for (size_t k = 0; r == 0 && (k < m->entry_count || i < count);) {
        const struct entry *want = k < m->entry_count ? &m->entries[k] : NULL;
        const int order = !want ? -1 : i == count ? 1 : strcmp(entries[i].path, want->path);
        const char *why;

        if (order < 0)
            return error_set(err, EBADMSG, entries[i].path, "%s",
                             i && strcmp(entries[i - 1].path, entries[i].path) == 0
                                 ? "is in the archive twice"
                                 : "is not in the manifest");
        if (order > 0 && !want->absent)
            return error_set(err, EBADMSG, want->path,
                             "is in the manifest, but not in the archive");
        k++;
        if (order > 0)
            continue;
        why = want->absent ? "is in the archive, but the manifest says that it is not"
                           : difference(&entries[i], want,
                                        record && strcmp(record, want->path) == 0 ? sha256 : NULL);
        if (why)
            return error_set(err, EBADMSG, want->path, "%s", why);
        i++;
    }
    return r;
}

void archive_signed_clear(struct archive_signed *s)
{
    free(s->path);
    s->path = NULL;
}
