#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "stream/chunk.h"

enum { TYPICAL = 64 << 10 };

static struct chunk *filled(struct chunks *s, size_t size, int c)
{
    struct chunk *chunk = chunk_new(s, size);

    assert_non_null(chunk);
    assert_int_equal(chunk->size, size);
    assert_int_equal(chunk_fill_begin(chunk), 0);
    memset(chunk->data, c, size);
    return chunk;
}

static void test_bytes_stay_until_the_last_lets_go(void **state)
{
    struct chunks *s = chunks_new(TYPICAL);
    struct chunk *c = filled(s, 1000, 'a');
    struct chunk *other;

    (void)state;
    assert_ptr_equal(chunk_keep(c), c);
    chunk_drop(c);
    other = filled(s, 1000, 'b');
    assert_ptr_not_equal(other->data, c->data);
    for (size_t i = 0; i < c->size; i++)
        assert_int_equal(c->data[i], 'a');
    chunk_drop(other);
    chunk_drop(c);
    chunks_free(s);
}

static void test_the_memory_used_last_is_used_next(void **state)
{
    struct chunks *s = chunks_new(TYPICAL);
    struct chunk *first = filled(s, 10, 'a'), *second = filled(s, TYPICAL, 'b'), *next;
    unsigned char *was = first->data;

    (void)state;
    chunk_drop(second);
    chunk_drop(first);
    next = filled(s, TYPICAL, 'c'); /* also where the first was small */
    assert_ptr_equal(next->data, was);
    chunk_drop(next);
    chunks_free(s);
}

static void test_a_chunk_larger_than_the_spare_has_room(void **state)
{
    static const size_t sizes[] = {
        0, 1, TYPICAL, TYPICAL + 1, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 9 << 20, 1};
    struct chunks *s = chunks_new(TYPICAL);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        chunk_drop(filled(s, sizes[i], (int)i)); /* a sanitizer sees a byte too many */
    chunks_free(s);
}

static void test_held_counts_what_somebody_keeps_or_is_to_fill(void **state)
{
    struct chunks *s = chunks_new(TYPICAL);
    struct chunk *empty = chunk_new(s, 100), *full = filled(s, 23, 'x');

    (void)state;
    assert_null(empty->data);
    assert_int_equal(chunks_held(s), 123);
    chunk_keep(full);
    assert_int_equal(chunks_held(s), 123);
    chunk_drop(full);
    assert_int_equal(chunks_held(s), 123);
    chunk_drop(full);
    assert_int_equal(chunks_held(s), 100);
    chunk_drop(empty);
    assert_int_equal(chunks_held(s), 0);
    chunk_drop(NULL);
    chunks_free(s);
    chunks_free(NULL);
}

static void test_a_chunk_outlives_where_it_comes_from(void **state)
{
    struct chunks *s = chunks_new(TYPICAL);
    struct chunk *c = filled(s, TYPICAL, 'a');

    (void)state;
    chunk_drop(filled(s, TYPICAL, 'b')); /* a spare */
    chunks_free(s);
    for (size_t i = 0; i < c->size; i++)
        assert_int_equal(c->data[i], 'a');
    chunk_drop(c);
}

static void *take_and_drop(void *arg)
{
    struct chunks *s = arg;

    for (int i = 0; i < 2000; i++) {
        struct chunk *c = filled(s, 64, i & 0x7f);

        chunk_drop(chunk_keep(c));
        assert_int_equal(c->data[63], i & 0x7f);
        chunk_drop(c);
    }
    return NULL;
}

static void test_threads_take_and_drop_at_once(void **state)
{
    struct chunks *s = chunks_new(64);
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_drop, s), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(chunks_held(s), 0);
    chunks_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_stay_until_the_last_lets_go),
        cmocka_unit_test(test_the_memory_used_last_is_used_next),
        cmocka_unit_test(test_a_chunk_larger_than_the_spare_has_room),
        cmocka_unit_test(test_held_counts_what_somebody_keeps_or_is_to_fill),
        cmocka_unit_test(test_a_chunk_outlives_where_it_comes_from),
        cmocka_unit_test(test_threads_take_and_drop_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
