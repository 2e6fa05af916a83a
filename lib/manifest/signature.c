/* Writes the line that signs a manifest, and tells whether a trusted key has signed one. */

#include "signature.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "json_line.h"

/* What is signed: this text, with the NUL at its end, and then the digest. No signature that a key
 * makes for another purpose begins so. */
static const char CONTEXT[] = "warmpack-manifest signature 1";

struct message {
    char context[sizeof CONTEXT];
    unsigned char before[SHA256_SIZE];
};

static struct message message_of(const unsigned char before[SHA256_SIZE])
{
    struct message m;

    memcpy(m.context, CONTEXT, sizeof CONTEXT);
    memcpy(m.before, before, SHA256_SIZE);
    return m;
}

int signature_write(const struct ed25519_key *key, const unsigned char before[SHA256_SIZE],
                    struct buf *out)
{
    const struct message m = message_of(before);
    unsigned char public[ED25519_PUBLIC_SIZE], value[ED25519_SIGNATURE_SIZE];
    char public_hex[2 * sizeof public + 1], value_hex[2 * sizeof value + 1];
    struct json_writer w = {.out = out};

    if (ed25519_sign(key, &m, sizeof m, value) < 0)
        return -ENOMEM;
    ed25519_key_public(key, public);
    hex_encode(public, sizeof public, public_hex);
    hex_encode(value, sizeof value, value_hex);
    json_write_object(&w, NULL);
    json_write_object(&w, "signature");
    json_write_plain(&w, "algorithm", "ed25519");
    json_write_plain(&w, "key", public_hex);
    json_write_plain(&w, "value", value_hex);
    json_write_close(&w);
    json_write_end_line(&w);
    return w.error;
}

/* ---- Trust ------------------------------------------------------------------------------- */

static int add_key(struct trust *t, const char *path, struct wp_error *err)
{
    int r = array_grow(t->keys, t->count) < 0 ? error_nomem(err) : 0;

    if (r == 0)
        r = ed25519_public_read(path, t->keys[t->count], err);
    t->count += r == 0;
    return r;
}

/* Every key of directory D. */
static int add_directory(struct trust *t, DIR *d, const char *path, struct wp_error *err)
{
    const size_t before = t->count;
    struct dirent *item;
    int r;

    while ((r = file_next(d, &item)) > 0) {
        _cleanup_free_ char *file = NULL;

        if (!path_has_suffix(item->d_name, ".pem"))
            continue;
        file = path_join(path, item->d_name);
        r = file ? add_key(t, file, err) : error_nomem(err);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return error_set(err, -r, path, "cannot list the keys");
    return t->count > before ? 0 : error_set(err, 0, path, "holds no key: no NAME.pem is in it");
}

static int add(struct trust *t, const char *path, struct wp_error *err)
{
    _cleanup_closedir_ DIR *d = NULL;
    int r = file_list_path(path, &d);

    if (r == 0 || error_is_no_directory(r))
        return add_key(t, path, err);
    return r < 0 ? error_set(err, -r, path, "cannot list the keys")
                 : add_directory(t, d, path, err);
}

int trust_read(struct trust *t, const char *const *paths, struct wp_error *err)
{
    int r = 0;

    *t = (struct trust){0};
    for (; paths && *paths && r == 0; paths++)
        r = add(t, *paths, err);
    return r;
}

void trust_clear(struct trust *t)
{
    free(t->keys);
    *t = (struct trust){0};
}

static bool is_trusted(const struct trust *t, const unsigned char key[ED25519_PUBLIC_SIZE])
{
    for (size_t i = 0; i < t->count; i++)
        if (memcmp(t->keys[i], key, ED25519_PUBLIC_SIZE) == 0)
            return true;
    return false;
}

/* Why none of the signatures counts. */
static const char *refusal(const struct manifest *m, bool met)
{
    bool known = false;

    for (size_t i = 0; i < m->signature_count; i++)
        known |= m->signatures[i].is_known;
    if (met)
        return "has a signature that is wrong: it was altered after it was signed";
    if (known)
        return "is signed, but with no key that is trusted";
    if (m->signature_count)
        return "has no signature that can be checked here: they are of unknown kinds";
    return "is not signed";
}

int trust_check(const struct trust *t, const struct manifest *m, const char *name,
                struct wp_error *err)
{
    bool met = false;

    if (!t->count)
        return 0;
    for (size_t i = 0; i < m->signature_count; i++) {
        const struct manifest_signature *s = &m->signatures[i];
        const struct message text = message_of(s->before);
        int r;

        if (!s->is_known || !is_trusted(t, s->key))
            continue;
        met = true;
        r = ed25519_verify(s->key, &text, sizeof text, s->value);
        if (r != 0)
            return r < 0 ? error_nomem(err) : 0;
    }
    return error_set(err, EKEYREJECTED, name, "%s", refusal(m, met));
}

int trust_check_none(const struct trust *t, const char *name, struct wp_error *err)
{
    return t->count ? error_set(err, EKEYREJECTED, name,
                                "has no manifest, and so nothing says who packed it")
                    : 0;
}
