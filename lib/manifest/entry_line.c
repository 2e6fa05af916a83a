/* Reads an entry's line as manifest_write writes it, without a JSON parser. */

#include "manifest/manifest_private.h"

#include <string.h>

#include "base/digest.h"
#include "base/number_text.h"
#include "manifest/manifest.h"

struct cursor {
    const char *at, *end;
};

/* Steps over TEXT, if it comes next. */
static bool skip(struct cursor *c, const char *text, size_t n)
{
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0)
        return false;
    c->at += n;
    return true;
}
#define SKIP(c, text) skip(c, text, sizeof(text) - 1)

/* Up to the quote that ends a string, and over that. */
static bool read_text(struct cursor *c, const char **text, size_t *n)
{
    *text = c->at;
    for (; c->at < c->end && *c->at != '"'; c->at++)
        if ((unsigned char)*c->at < 0x20 || (unsigned char)*c->at >= 0x7f || *c->at == '\\')
            return false;
    *n = (size_t)(c->at - *text);
    return SKIP(c, "\"");
}

/* Larger numbers than these 18 digits are left to the other parser. */
static bool read_number(struct cursor *c, uint64_t max, uint64_t *out)
{
    const char *start = c->at;

    for (*out = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9' && c->at - start < 18; c->at++)
        *out = *out * 10 + (uint64_t)(*c->at - '0');
    return c->at > start && (*start != '0' || c->at == start + 1) && *out <= max;
}

static bool read_type(struct cursor *c, struct entry *e)
{
    const char *text;
    size_t n;

    if (!read_text(c, &text, &n))
        return false;
    for (size_t i = 0; i < manifest_type_names.count; i++)
        if (strlen(manifest_type_names.names[i]) == n &&
            memcmp(text, manifest_type_names.names[i], n) == 0) {
            e->type = (enum entry_type)i;
            return true;
        }
    return false;
}

static bool read_mode(struct cursor *c, struct entry *e)
{
    const char *text;
    size_t n;

    if (!read_text(c, &text, &n) || n != 4)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '7')
            return false;
        e->mode = e->mode << 3 | (mode_t)(text[i] - '0');
    }
    return true;
}

/* A text of fewer than ROOM bytes, with a NUL behind it. */
static bool copy_text(struct cursor *c, char *out, size_t room)
{
    const char *text;
    size_t n;

    if (!read_text(c, &text, &n) || n >= room)
        return false;
    memcpy(out, text, n);
    out[n] = '\0';
    return true;
}

static bool read_mtime(struct cursor *c, struct entry *e)
{
    char copy[32];

    return copy_text(c, copy, sizeof copy) && time_parse(copy, &e->mtime) == 0;
}

static bool read_digest(struct cursor *c, struct entry *e)
{
    char copy[2 * SHA256_SIZE + 1];

    e->has_sha256 = copy_text(c, copy, sizeof copy) && strlen(copy) == sizeof copy - 1 &&
                    hex_decode(copy, e->sha256, SHA256_SIZE) == 0;
    return e->has_sha256;
}

static bool read_owner(struct cursor *c, struct entry *e, const struct entry *before,
                       struct texts *t)
{
    uint64_t uid, gid;
    const char *text;
    size_t n;

    if (!SKIP(c, ", \"uid\": ") || !read_number(c, UINT32_MAX, &uid) || !SKIP(c, ", \"gid\": ") ||
        !read_number(c, UINT32_MAX, &gid))
        return false;
    e->uid = (uid_t)uid;
    e->gid = (gid_t)gid;
    if (SKIP(c, ", \"user\": \"")) {
        if (!read_text(c, &text, &n))
            return false;
        e->uname = texts_share(t, text, n, before ? before->uname : NULL);
        if (!e->uname)
            return false;
    }
    if (SKIP(c, ", \"group\": \"")) {
        if (!read_text(c, &text, &n))
            return false;
        e->gname = texts_share(t, text, n, before ? before->gname : NULL);
        if (!e->gname)
            return false;
    }
    return true;
}

static bool read_target(struct cursor *c, struct entry *e, struct texts *t)
{
    const char *text;
    size_t n;

    if (!SKIP(c, ", \"target\": \"") || !read_text(c, &text, &n) || n == 0)
        return false;
    e->target = texts_add(t, text, n);
    return e->target && (e->type == ENTRY_SYMLINK || manifest_path_is_canonical(e->target));
}

bool entry_line_read(struct entry *e, const char *line, size_t size, const struct entry *before,
                     struct texts *t)
{
    struct cursor c = {line, line + size};
    const char *path;
    size_t n;

    *e = (struct entry){0};
    if (!SKIP(&c, "{\"path\": \"") || !read_text(&c, &path, &n) || !SKIP(&c, ", \"type\": \"") ||
        !read_type(&c, e))
        return false;
    e->path = texts_add(t, path, n);
    if (!e->path || !manifest_path_is_canonical(e->path))
        return false;
    if ((e->type == ENTRY_SYMLINK || e->type == ENTRY_HARDLINK) && !read_target(&c, e, t))
        return false;
    if (!SKIP(&c, ", \"mode\": \"") || !read_mode(&c, e) || !read_owner(&c, e, before, t))
        return false;
    if (e->type == ENTRY_FILE &&
        (!SKIP(&c, ", \"size\": ") || !read_number(&c, INT64_MAX, &e->size)))
        return false;
    if (!SKIP(&c, ", \"mtime\": \"") || !read_mtime(&c, e))
        return false;
    if (e->type == ENTRY_FILE && SKIP(&c, ", \"sha256\": \"") && !read_digest(&c, e))
        return false;
    return SKIP(&c, "}\n") && c.at == c.end;
}
