/* Writes RECORD, a wheel's list of its files. */

#include "wheel_record.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "base64.h"

char *wheel_record_path(const char *home)
{
    static const char suffix[] = WHEEL_DIR_SUFFIX;
    size_t n = strcspn(home, "/"), tail = sizeof suffix - 1;
    _cleanup_free_ char *dir = NULL;

    errno = 0;
    if (n <= tail || strncmp(home + n - tail, suffix, tail) != 0)
        return NULL;
    dir = strndup(home, n);
    return dir ? path_join(dir, WHEEL_RECORD) : NULL;
}

/* A field of CSV. */
static int add_field(struct buf *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n"))
        return buf_add_str(out, text);
    if (buf_add_str(out, "\"") < 0)
        return -ENOMEM;
    for (; *text; text++)
        if (buf_add(out, text, 1) < 0 || (*text == '"' && buf_add(out, text, 1) < 0))
            return -ENOMEM;
    return buf_add_str(out, "\"");
}

/* "PATH,sha256=DIGEST,SIZE", the digest in base 64 for URLs without padding. */
int wheel_record_add(struct buf *out, const char *path, const unsigned char *sha256, uint64_t size)
{
    size_t from;

    if (add_field(out, path) < 0)
        return -ENOMEM;
    if (!sha256)
        return buf_add_str(out, ",,\n");
    if (buf_add_str(out, ",sha256=") < 0)
        return -ENOMEM;
    from = out->size;
    if (base64_add(out, sha256, SHA256_SIZE) < 0)
        return -ENOMEM;
    for (size_t i = from; i < out->size; i++) {
        if (out->data[i] == '+')
            out->data[i] = '-';
        else if (out->data[i] == '/')
            out->data[i] = '_';
        else if (out->data[i] == '=')
            out->size = i;
    }
    return buf_printf(out, ",%llu\n", (unsigned long long)size);
}

int wheel_record_write(const struct manifest *m, const char *home,
                       const unsigned char digest[SHA256_SIZE], uint64_t size, struct buf *out)
{
    _cleanup_free_ char *path = path_join(home, MANIFEST_NAME);
    bool is_listed = false;
    int r = path ? 0 : -ENOMEM;

    for (size_t i = 0; i <= m->entry_count && r == 0; i++) {
        const struct entry *e = i < m->entry_count ? &m->entries[i] : NULL;

        if (!is_listed && (!e || strcmp(path, e->path) < 0)) {
            r = wheel_record_add(out, path, digest, size);
            is_listed = true;
        }
        if (r == 0 && e && e->type == ENTRY_FILE)
            r = wheel_record_add(out, e->path, e->has_sha256 ? e->sha256 : NULL, e->size);
    }
    return r;
}
