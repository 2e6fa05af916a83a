#pragma once
/* The files of an OCI image layout, which is a directory or a tar of one. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"

enum { OCI_DIGEST = sizeof "sha256:" + (size_t)2 * SHA256_SIZE }; /* bytes of one, written */

struct oci_store {
    const char *name; /* for messages; borrowed */
    int fd;           /* the directory or the tar; owned */
    bool is_tar;
    struct oci_member *members; /* of a tar: its files; owned */
    size_t count;
};

/* A file of it: SIZE bytes of FD from OFFSET on. */
struct oci_file {
    int fd; /* owned */
    uint64_t offset, size;
};

/* Takes FD over, also on failure: 1; 0: it holds no layout, and the store is to be closed all the
 * same; negative errno. */
int oci_store_open(struct oci_store *s, int fd, const char *name, struct wp_error *err);
void oci_store_close(struct oci_store *s);

/* The file PATH: 1; 0: there is none; negative errno. */
int oci_store_find(const struct oci_store *s, const char *path, struct oci_file *out,
                   struct wp_error *err);
void oci_file_close(struct oci_file *f);
/* The path of the blob DIGEST, "sha256:...", or negative errno. */
enum { OCI_BLOB_PATH = 13 + 64 + 1 };
int oci_blob_path(const struct oci_store *s, const char *digest, char out[OCI_BLOB_PATH],
                  struct wp_error *err);
/* The blob DIGEST, which must be there and have SIZE bytes. */
int oci_store_blob(const struct oci_store *s, const char *digest, uint64_t size,
                   struct oci_file *out, struct wp_error *err);
/* All of a small file or a blob. A blob must have the digest; its absence is an error. */
int oci_store_text(const struct oci_store *s, const char *path, struct buf *out,
                   struct wp_error *err);
int oci_store_blob_text(const struct oci_store *s, const char *digest, uint64_t size,
                        struct buf *out, struct wp_error *err);
/* Is that of a blob's content, IS, what DIGEST says? 0 or the error. */
int oci_check_digest(const struct oci_store *s, const char *digest,
                     const unsigned char is[SHA256_SIZE], struct wp_error *err);
/* How digests are written: "sha256:..." */
void oci_digest_text(const unsigned char sha[SHA256_SIZE], char out[OCI_DIGEST]);
