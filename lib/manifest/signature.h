#pragma once
/* Signatures behind the end line of a manifest, and the keys that are trusted. */

#include "base/buf.h"
#include "base/digest.h"
#include "base/ed25519.h"
#include "manifest.h"

/* One signature of a manifest that was read. */
struct manifest_signature {
    bool is_known; /* of the one algorithm that is known, and well formed */
    unsigned char key[ED25519_PUBLIC_SIZE], value[ED25519_SIGNATURE_SIZE];
    unsigned char before[SHA256_SIZE]; /* of every byte of the text before its line */
};

/* How many are looked at: a hostile manifest may have millions. */
enum { SIGNATURES_MOST = 64 };

/* Appends the line that signs a text whose digest, of every byte so far, is BEFORE. 0 or -ENOMEM.
 */
int signature_write(const struct ed25519_key *key, const unsigned char before[SHA256_SIZE],
                    struct buf *out);

/* Public keys of those whose archives and trees are to be taken, and no others. */
struct trust {
    unsigned char (*keys)[ED25519_PUBLIC_SIZE]; /* owned */
    size_t count;                               /* 0: everything is taken */
};
/* Reads the keys: each of PATHS (NULL: none) is a public key's file or a directory, of which all
 * files count whose names end in ".pem". Clear in any case. -EINVAL: one of them is no such key, or
 * a directory has none. */
int trust_read(struct trust *t, const char *const *paths, struct wp_error *err);
void trust_clear(struct trust *t);
/* Is M, whose text NAME holds, signed with one of the keys? -EKEYREJECTED where it is not; 0 where
 * there are no keys. */
int trust_check(const struct trust *t, const struct manifest *m, const char *name,
                struct wp_error *err);
/* The same of what has no manifest: 0, or -EKEYREJECTED where there are keys. */
int trust_check_none(const struct trust *t, const char *name, struct wp_error *err);
