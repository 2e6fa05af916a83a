/* Digests are the known ones, and cannot fail on the way: jobs take them that could not say so. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "base/digest.h"

static const char SHA256_ABC[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char SHA256_EMPTY[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char SHA1_ABC[] = "a9993e364706816aba3e25717850c26c9cd0d89d";

static bool no_memory; /* for libcrypto */

static void *crypto_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return no_memory ? NULL : malloc(n);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return no_memory ? NULL : realloc(p, n);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* Before libcrypto has allocated anything: later it takes no other functions. */
static int take_memory_over(void **state)
{
    (void)state;
    return CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) ? 0 : -1;
}

static void ends_in(struct sha256 *s, const char *hex)
{
    unsigned char digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];

    sha256_end(s, digest);
    hex_encode(digest, sizeof digest, text);
    assert_string_equal(text, hex);
}

static void a_running_digest_starts_anew_where_memory_has_run_out(void **state)
{
    struct sha256 *s = sha256_new();

    (void)state;
    assert_non_null(s);
    no_memory = true;
    for (int i = 0; i < 3; i++) {
        sha256_add(s, "a", 1);
        sha256_add(s, "bc", 2);
        ends_in(s, SHA256_ABC);
    }
    ends_in(s, SHA256_EMPTY);
    no_memory = false;
    sha256_free(s);
}

static void a_digest_at_once_needs_no_memory(void **state)
{
    unsigned char digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];

    (void)state;
    no_memory = true;
    sha256_of("abc", 3, digest);
    hex_encode(digest, SHA256_SIZE, text);
    assert_string_equal(text, SHA256_ABC);
    sha1_of("abc", 3, digest);
    hex_encode(digest, SHA1_SIZE, text);
    assert_string_equal(text, SHA1_ABC);
    no_memory = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_digest_starts_anew_where_memory_has_run_out),
        cmocka_unit_test(a_digest_at_once_needs_no_memory),
    };

    return cmocka_run_group_tests(tests, take_memory_over, NULL);
}
