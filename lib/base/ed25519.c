/* Reads Ed25519 keys, signs, and verifies signatures. */

#include "base/ed25519.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"

enum { KEY_LARGEST = 64 << 10 }; /* bytes of a key's file */

struct ed25519_key {
    EVP_PKEY *pkey;
    unsigned char public[ED25519_PUBLIC_SIZE];
};

/* A password is never asked for. */
static int no_password(char *out, int size, int writes, void *arg)
{
    (void)out, (void)size, (void)writes, (void)arg;
    return -1;
}

static bool has(const struct buf *text, const char *word)
{
    return memmem(text->data, text->size, word, strlen(word)) != NULL;
}

static size_t count(const struct buf *text, const char *word)
{
    const char *at = (const char *)text->data, *const end = at + text->size;
    size_t n = 0;

    for (; at && (at = memmem(at, (size_t)(end - at), word, strlen(word))); n++)
        at += strlen(word);
    return n;
}

static int read_text(const char *path, struct buf *text, struct wp_error *err)
{
    int r = file_read(path, KEY_LARGEST, text, NULL);

    if (r == -ENOMEM)
        return error_nomem(err);
    if (r == -EINVAL || r == -ENXIO)
        return error_set(err, 0, path, "is not a regular file, as keys are");
    return r < 0 ? error_set(err, -r, path, "cannot read the key") : 0;
}

/* A text that held a private key is overwritten. */
static void forget(struct buf *text)
{
    if (text->data)
        explicit_bzero(text->data, text->size);
    buf_free(text);
}

typedef EVP_PKEY *pem_reader(BIO *, EVP_PKEY **, pem_password_cb *, void *);

/* NULL: it is none, or no memory. */
static EVP_PKEY *parse(const struct buf *text, pem_reader *read)
{
    BIO *in = BIO_new_mem_buf(text->data, (int)text->size);
    EVP_PKEY *pkey = in ? read(in, NULL, no_password, NULL) : NULL;

    BIO_free(in);
    ERR_clear_error();
    return pkey;
}

/* What stands in DER before the 32 bytes of a key: SubjectPublicKeyInfo and OneAsymmetricKey of RFC
 * 8410, as openssl writes them. */
static const unsigned char public_head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                            0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
static const unsigned char private_head[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                             0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
enum { DER_LARGEST = sizeof private_head + 32, LINE_LARGEST = (DER_LARGEST + 2) / 3 * 4 };

/* Decodes what stands between the lines BEGIN and END of TEXT. The number of bytes, or 0: it is not
 * there, or more than such a key. */
static size_t decode(const struct buf *text, const char *begin, const char *end,
                     unsigned char der[LINE_LARGEST])
{
    const char *at = text->size ? memmem(text->data, text->size, begin, strlen(begin)) : NULL;
    const char *stop = (const char *)text->data + text->size;
    unsigned char line[LINE_LARGEST + 1];
    size_t n = 0, padding = 0;
    int got;

    at = at ? at + strlen(begin) : stop;
    stop = at < stop ? memmem(at, (size_t)(stop - at), end, strlen(end)) : NULL;
    for (; stop && at < stop; at++) {
        if (strchr(" \t\r\n", *at) && *at)
            continue;
        if (n == LINE_LARGEST)
            return 0;
        padding += *at == '=';
        line[n++] = (unsigned char)*at;
    }
    got = n ? EVP_DecodeBlock(der, line, (int)n) : 0;
    explicit_bzero(line, sizeof line);
    return got > (int)padding ? (size_t)got - padding : 0;
}

/* Fills OUT with the 32 bytes of a key where TEXT has one behind HEAD, of N bytes. libcrypto's own
 * decoders know all kinds of keys: they take a hundred times as long, which tells where there are
 * thousands, and where memory is short they call a key none. */
static bool take_plain(const struct buf *text, const char *begin, const char *end,
                       const unsigned char *head, size_t n, unsigned char out[32])
{
    unsigned char der[LINE_LARGEST];
    const bool is = decode(text, begin, end, der) == n + 32 && memcmp(der, head, n) == 0;

    if (is)
        memcpy(out, der + n, 32);
    explicit_bzero(der, sizeof der);
    return is;
}

static bool take_plain_public(const struct buf *text, unsigned char out[ED25519_PUBLIC_SIZE])
{
    return take_plain(text, "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----", public_head,
                      sizeof public_head, out);
}

/* 1: *OUT is the key; 0: TEXT has none of this form; -ENOMEM. */
static int take_plain_private(const struct buf *text, EVP_PKEY **out)
{
    unsigned char seed[32];
    int r = take_plain(text, "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
                       private_head, sizeof private_head, seed);

    if (r) {
        *out = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
        ERR_clear_error();
        r = *out ? 1 : -ENOMEM;
    }
    explicit_bzero(seed, sizeof seed);
    return r;
}

/* Fills OUT where PKEY, which PATH holds, is a key of this kind. */
static int take_public(const EVP_PKEY *pkey, const char *path,
                       unsigned char out[ED25519_PUBLIC_SIZE], struct wp_error *err)
{
    const char *kind = EVP_PKEY_get0_type_name(pkey);
    size_t n = ED25519_PUBLIC_SIZE;

    /* EVP_PKEY_is_a allocates, and takes lack of memory for another kind. */
    if (!kind || strcmp(kind, "ED25519") != 0)
        return error_set(err, 0, path, "is a key of kind %s, not Ed25519", kind ? kind : "unknown");
    if (EVP_PKEY_get_raw_public_key(pkey, out, &n) != 1 || n != ED25519_PUBLIC_SIZE) {
        ERR_clear_error();
        return error_nomem(err); /* every key of this kind has one */
    }
    return 0;
}

void ed25519_key_free(struct ed25519_key *k)
{
    if (k)
        EVP_PKEY_free(k->pkey);
    free(k);
}

static int key_of_text(struct ed25519_key **out, const struct buf *text, const char *path,
                       struct wp_error *err)
{
    struct ed25519_key *k;
    int r;

    if (has(text, "ENCRYPTED"))
        return error_set(err, 0, path,
                         "is encrypted with a password: warmpack takes keys without one");
    if (has(text, "BEGIN PUBLIC KEY"))
        return error_set(err, 0, path, "is a public key: signing takes the private one");
    k = calloc(1, sizeof *k);
    if (!k)
        return error_nomem(err);
    r = take_plain_private(text, &k->pkey);
    if (r == 0)
        k->pkey = parse(text, PEM_read_bio_PrivateKey);
    r = r < 0 ? error_nomem(err)
        : k->pkey
            ? take_public(k->pkey, path, k->public, err)
            : error_set(err, 0, path, "is no private key in PEM, as openssl genpkey writes it");
    if (r < 0)
        ed25519_key_free(k);
    else
        *out = k;
    return r;
}

int ed25519_key_read(struct ed25519_key **out, const char *path, struct wp_error *err)
{
    struct buf text = {0};
    int r = read_text(path, &text, err);

    if (r == 0)
        r = key_of_text(out, &text, path, err);
    forget(&text);
    return r;
}

void ed25519_key_public(const struct ed25519_key *k, unsigned char out[ED25519_PUBLIC_SIZE])
{
    memcpy(out, k->public, ED25519_PUBLIC_SIZE);
}

int ed25519_public_read(const char *path, unsigned char out[ED25519_PUBLIC_SIZE],
                        struct wp_error *err)
{
    struct buf text = {0};
    int r = read_text(path, &text, err);
    EVP_PKEY *pkey = NULL;

    if (r == 0 && has(&text, "PRIVATE KEY"))
        r = error_set(err, 0, path, "is a private key: give the public one");
    if (r == 0 && count(&text, "-----BEGIN PUBLIC KEY-----") > 1)
        r = error_set(err, 0, path, "holds several keys: give each a file");
    if (r == 0 && !take_plain_public(&text, out)) {
        pkey = parse(&text, PEM_read_bio_PUBKEY);
        r = pkey ? take_public(pkey, path, out, err)
                 : error_set(err, 0, path, "is no public key in PEM");
    }
    EVP_PKEY_free(pkey);
    forget(&text);
    return r;
}

int ed25519_sign(const struct ed25519_key *k, const void *data, size_t n,
                 unsigned char out[ED25519_SIGNATURE_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t size = ED25519_SIGNATURE_SIZE;
    bool signs = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
                 EVP_DigestSign(ctx, out, &size, data, n) == 1 && size == ED25519_SIGNATURE_SIZE;

    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return signs ? 0 : -ENOMEM;
}

/* Does libcrypto tell of more than that the signature is wrong? OpenSSL says that from 3.4 on, with
 * a reason that older headers have no name for; before, a wrong signature leaves no error behind.
 */
static bool has_failed(void)
{
    enum { WRONG_SIGNATURE = 234 }; /* EVP_R_PROVIDER_SIGNATURE_FAILURE */
    unsigned long e;

    while ((e = ERR_get_error()) != 0)
        if (ERR_GET_LIB(e) != ERR_LIB_EVP || ERR_GET_REASON(e) != WRONG_SIGNATURE)
            return true;
    return false;
}

/* 1, 0 or -ENOMEM; 0 also for some lack of memory, which libcrypto does not tell of. */
static int verify_once(const unsigned char public[ED25519_PUBLIC_SIZE], const void *data, size_t n,
                       const unsigned char signature[ED25519_SIGNATURE_SIZE])
{
    ERR_clear_error();
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, ED25519_PUBLIC_SIZE);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int r = -ENOMEM;

    if (pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1)
        r = EVP_DigestVerify(ctx, signature, ED25519_SIGNATURE_SIZE, data, n) == 1;
    if (r == 0 && has_failed())
        r = -ENOMEM; /* it is not known to be wrong */
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return r;
}

int ed25519_verify(const unsigned char public[ED25519_PUBLIC_SIZE], const void *data, size_t n,
                   const unsigned char signature[ED25519_SIGNATURE_SIZE])
{
    int r = verify_once(public, data, n, signature);

    /* What is wrong is so twice. */
    return r == 0 ? verify_once(public, data, n, signature) : r;
}
