#pragma once
/* Ed25519 (RFC 8032) of libcrypto, with keys as `openssl genpkey` writes them. */

#include <stddef.h>

#include "error.h"

enum { ED25519_PUBLIC_SIZE = 32, ED25519_SIGNATURE_SIZE = 64 };

struct ed25519_key; /* private */

/* Reads the private key in file PATH, PEM without a password. -EINVAL: it is none. *OUT is only set
 * on success, and the caller's to free. */
int ed25519_key_read(struct ed25519_key **out, const char *path, struct wp_error *err);
void ed25519_key_free(struct ed25519_key *k); /* NULL is fine */
void ed25519_key_public(const struct ed25519_key *k, unsigned char out[ED25519_PUBLIC_SIZE]);
/* Signs N bytes: the same bytes give the same signature. 0 or -ENOMEM. */
int ed25519_sign(const struct ed25519_key *k, const void *data, size_t n,
                 unsigned char out[ED25519_SIGNATURE_SIZE]);

/* Reads the public key in file PATH, PEM. */
int ed25519_public_read(const char *path, unsigned char out[ED25519_PUBLIC_SIZE],
                        struct wp_error *err);
/* Is SIGNATURE the one that the private key of PUBLIC makes of N bytes? 1, 0 or -ENOMEM. */
int ed25519_verify(const unsigned char public[ED25519_PUBLIC_SIZE], const void *data, size_t n,
                   const unsigned char signature[ED25519_SIGNATURE_SIZE]);
