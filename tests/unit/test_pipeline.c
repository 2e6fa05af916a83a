#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "stream/pipeline.h"

struct square_slot {
    uint64_t in, out;
    char *kept; /* allocated once, and found again at reuse */
};

static atomic_uint allocated;

static void square(void *slot, void *arg)
{
    struct square_slot *s = slot;

    (void)arg;
    if (!s->kept) {
        s->kept = malloc(16);
        atomic_fetch_add(&allocated, 1);
    }
    /* Uneven work, so that slots finish out of order. */
    for (volatile uint64_t i = 0; i < s->in * 7919 % 5000; i++)
        ;
    s->out = s->in * s->in;
}

static void drop_square(void *slot)
{
    struct square_slot *s = slot;

    if (s->kept)
        atomic_fetch_sub(&allocated, 1);
    free(s->kept);
}

static void run_through(unsigned threads, unsigned slots, uint64_t blocks)
{
    struct pool *pool = pool_new(threads);
    struct pipeline *p =
        pipeline_new(pool, slots, sizeof(struct square_slot), square, drop_square, NULL);
    uint64_t in = 0, out = 0;

    assert_non_null(p);
    while (out < blocks) {
        struct square_slot *s;
        while (in < blocks && (s = pipeline_free_slot(p))) {
            s->in = in++;
            pipeline_submit(p);
        }
        assert_true(in - out <= slots);
        s = pipeline_wait_oldest(p);
        assert_non_null(s);
        assert_true(s->in == out);
        assert_true(s->out == out * out);
        pipeline_release(p);
        out++;
    }
    assert_null(pipeline_wait_oldest(p));
    assert_true(atomic_load(&allocated) <= slots);
    pipeline_free(p);
    assert_int_equal(atomic_load(&allocated), 0);
    pool_free(pool);
}

static void test_blocks_come_back_in_the_order_in_which_they_were_filled(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads++)
        for (unsigned slots = 1; slots <= 9; slots += 4)
            run_through(threads, slots, 3000);
}

static void test_a_free_slot_is_none_while_all_are_in_flight_or_held(void **state)
{
    struct pool *pool = pool_new(1);
    struct pipeline *p =
        pipeline_new(pool, 2, sizeof(struct square_slot), square, drop_square, NULL);
    void *first = pipeline_free_slot(p);

    (void)state;
    assert_non_null(first);
    assert_ptr_equal(pipeline_free_slot(p), first); /* asking again promises nothing new */
    pipeline_submit(p);
    assert_non_null(pipeline_free_slot(p));
    pipeline_submit(p);
    assert_null(pipeline_free_slot(p));
    assert_ptr_equal(pipeline_wait_oldest(p), first);
    assert_null(pipeline_free_slot(p)); /* still in use by the owner */
    pipeline_release(p);
    assert_ptr_equal(pipeline_free_slot(p), first);
    pipeline_free(p); /* with one in flight */
    pool_free(pool);
    assert_int_equal(atomic_load(&allocated), 0);
}

static void test_a_size_that_overflows_is_refused(void **state)
{
    struct pool *pool = pool_new(1);

    (void)state;
    errno = 0;
    assert_null(pipeline_new(pool, 4, SIZE_MAX - 32, square, NULL, NULL));
    assert_int_equal(errno, ENOMEM);
    assert_null(pipeline_new(pool, 1000, SIZE_MAX / 500, square, NULL, NULL));
    errno = 0;
    assert_null(pipeline_new(pool, 0, 8, square, NULL, NULL));
    assert_int_equal(errno, EINVAL);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_come_back_in_the_order_in_which_they_were_filled),
        cmocka_unit_test(test_a_free_slot_is_none_while_all_are_in_flight_or_held),
        cmocka_unit_test(test_a_size_that_overflows_is_refused),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
