/* Digests taken at once are those of libcrypto taken one by one. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"

enum { SIZE = 1 << 20, MOST = 300 };

static unsigned char data[SIZE];

static uint32_t next(uint32_t *x)
{
    *x = *x * 1664525 + 1013904223;
    return *x >> 8;
}

static void fill(void)
{
    uint32_t x = 1;

    for (size_t i = 0; i < SIZE; i++)
        data[i] = (unsigned char)next(&x);
}

/* The first text whose digest is not right, or N. */
static size_t wrong_one(struct sha256_many *m, const size_t *sizes, size_t n)
{
    static const unsigned char before[SHA256_SIZE] = "what was there";
    unsigned char(*out)[SHA256_SIZE] = calloc(n, sizeof *out);
    struct sha256_text *texts = calloc(n, sizeof *texts);
    size_t wrong = n;

    for (size_t i = 0; i < n; i++) {
        memcpy(out[i], before, SHA256_SIZE);
        texts[i] = (struct sha256_text){.data = data + i % 61, .size = sizes[i], .out = out[i]};
    }
    sha256_many_of(m, texts, n);
    for (size_t i = 0; i < n && wrong == n; i++) {
        unsigned char one[SHA256_SIZE];

        sha256_of(texts[i].data, texts[i].size, one);
        if (memcmp(one, out[i], SHA256_SIZE) != 0)
            wrong = i;
    }
    free(texts);
    free(out);
    return wrong;
}

static void are_right_at_every_length_around_a_block(void **state)
{
    struct sha256_many *m = sha256_many_new();
    size_t sizes[MOST];

    (void)state;
    assert_non_null(m);
    for (size_t i = 0; i < MOST; i++)
        sizes[i] = i;
    for (size_t n = 0; n <= MOST; n += n < 20 ? 1 : 70)
        assert_int_equal(wrong_one(m, sizes, n), n);
    sha256_many_free(m);
}

static void are_right_around_sixteen_bits(void **state)
{
    struct sha256_many *m = sha256_many_new();
    size_t sizes[200], n = 0;

    (void)state;
    assert_non_null(m);
    for (size_t size = 65535 - 90; size <= 65536 + 70; size++)
        sizes[n++] = size;
    assert_int_equal(wrong_one(m, sizes, n), n);
    sha256_many_free(m);
}

static void are_right_where_long_and_short_ones_and_empty_ones_mix(void **state)
{
    struct sha256_many *m = sha256_many_new();
    size_t sizes[MOST];
    uint32_t x = 7;

    (void)state;
    assert_non_null(m);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < MOST; i++)
            sizes[i] = next(&x) % 4 ? next(&x) % 20000 : next(&x) % 2 ? next(&x) % 300000 : 0;
        assert_int_equal(wrong_one(m, sizes, MOST), MOST);
    }
    sha256_many_free(m);
}

static void *many_rounds(void *m)
{
    static const size_t sizes[] = {5, 1000, 0, 64, 30000, 77, 70000, 12, 4096};

    for (int round = 0; round < 100; round++)
        if (wrong_one(m, sizes, 9) != 9)
            return m;
    return NULL;
}

static void are_right_for_several_threads_at_once(void **state)
{
    struct sha256_many *m = sha256_many_new();
    pthread_t threads[4];

    (void)state;
    assert_non_null(m);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many_rounds, m), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;

        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    sha256_many_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_right_at_every_length_around_a_block),
        cmocka_unit_test(are_right_around_sixteen_bits),
        cmocka_unit_test(are_right_where_long_and_short_ones_and_empty_ones_mix),
        cmocka_unit_test(are_right_for_several_threads_at_once),
    };

    fill();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
