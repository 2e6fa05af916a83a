/* Mends the digests that the RECORD of a distribution has of files that are relocated. */

#include "relocate_private.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "layout/restamp.h"
#include "manifest/wheel_record.h"

/* Tells the digest and size that RECORD is to have for PATH of the archive. */
typedef bool record_facts(const struct environment *env, const char *path,
                          const unsigned char **sha256, uint64_t *size);

static bool new_facts(const struct environment *env, const char *path, const unsigned char **sha256,
                      uint64_t *size)
{
    for (size_t i = 0; i < env->count; i++)
        if (strcmp(env->files[i].e->path, path) == 0) {
            *sha256 = env->files[i].sha256;
            *size = env->files[i].text.size;
            return true;
        }
    return false;
}

static bool packed_facts(const struct environment *env, const char *path,
                         const unsigned char **sha256, uint64_t *size)
{
    const struct entry *e = manifest_find(&env->r->t->m, path);

    if (!e || !e->has_sha256 || relocate_kind_of(env, e) == KIND_NONE)
        return false;
    *sha256 = e->sha256;
    *size = e->size;
    return true;
}

/* Appends TEXT of the RECORD at PATH of the archive, with FACTS in its lines that have a digest.
 * The number of lines that are others now, or -ENOMEM. */
static int mend(const struct environment *env, const char *path, const struct buf *text,
                record_facts *facts, struct buf *out)
{
    _cleanup_free_ char *info = path_dir(path), *site = info ? path_dir(info) : NULL;
    int count = 0;

    if (!site)
        return -ENOMEM;
    for (size_t at = 0, n; text->data && at < text->size; at += n) {
        const char *line = (char *)text->data + at, *comma;
        const char *end = memchr(line, '\n', text->size - at);
        const unsigned char *sha256;
        uint64_t size;
        size_t before = out->size;

        n = end ? (size_t)(end - line) + 1 : text->size - at;
        comma = *line == '"' ? NULL : memchr(line, ',', n);
        if (comma && n > (size_t)(comma - line) + 8 && memcmp(comma, ",sha256=", 8) == 0) {
            _cleanup_free_ char *name = strndup(line, (size_t)(comma - line));
            _cleanup_free_ char *joined = name ? path_join(site, name) : NULL;
            _cleanup_free_ char *archived = joined ? path_normalise(joined) : NULL;

            if (!archived)
                return -ENOMEM;
            if (facts(env, archived, &sha256, &size)) {
                bool cr = end && end > line && end[-1] == '\r';

                if (wheel_record_add(out, name, sha256, size) < 0)
                    return -ENOMEM;
                if (cr) {
                    out->size--;
                    if (buf_add_str(out, "\r\n") < 0)
                        return -ENOMEM;
                }
                count += out->size - before != n || memcmp(out->data + before, line, n) != 0;
                continue;
            }
        }
        if (buf_add(out, line, n) < 0)
            return -ENOMEM;
    }
    return count;
}

bool relocate_is_record(const struct environment *env, const struct entry *e)
{
    return e->type == ENTRY_FILE && path_is_under(e->path, env->dir) &&
           path_has_suffix(e->path, WHEEL_DIR_SUFFIX "/" WHEEL_RECORD);
}

int relocate_mend_record(struct environment *env, const struct entry *e)
{
    bool gone = false;
    _cleanup_free_ char *path = tree_path(env->r->t, e->path, &gone);
    _cleanup_buf_ struct buf text = {0}, out = {0};
    struct stat like;
    int r;

    if (!path)
        return gone ? 0 : -ENOMEM;
    r = relocate_read(env->r, path, LARGEST_RECORD, &text, &like);
    if (r == -EACCES) {
        report(env->r->context, WP_WARNING, path,
               "may have digests of files that are rewritten, and cannot be read");
        return 0;
    }
    if (r > 0)
        r = mend(env, e->path, &text, new_facts, &out);
    if (r <= 0)
        return r;
    if (!relocate_may_replace(env, path)) {
        report(env->r->context, WP_WARNING, path,
               "has digests of files that are rewritten, and cannot be written to");
        return 0;
    }
    return restamp_replace(env->r->fd, path, out.data, out.size, &like, &like.st_mtim);
}

int relocate_record_as_packed(const struct environment *env, const char *path,
                              const struct buf *text, struct buf *out)
{
    return mend(env, path, text, packed_facts, out);
}
