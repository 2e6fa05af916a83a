/* Arrays that grow without a member for their room. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/array.h"

static void keeps_all_that_is_added(void **state)
{
    size_t *list = NULL;

    (void)state;
    for (size_t count = 0; count < 1000; count++) {
        assert_int_equal(array_grow(list, count), 0);
        list[count] = count;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(list[i], i);
    free(list);
}

/* Sanitizers see a write behind the end. */
static void has_room_after_items_were_dropped(void **state)
{
    (void)state;
    for (size_t left = 0; left <= 70; left++) {
        size_t *list = NULL;

        for (size_t count = 0; count < 70; count++) {
            assert_int_equal(array_grow(list, count), 0);
            list[count] = count;
        }
        for (size_t count = left; count < 150; count++) {
            assert_int_equal(array_grow(list, count), 0);
            list[count] = count;
        }
        for (size_t i = 0; i < 150; i++)
            assert_int_equal(list[i], i);
        free(list);
    }
}

static void finds_the_first_that_is_not_before(void **state)
{
    static const int sorted[] = {1, 3, 3, 3, 7};

    (void)state;
    assert_int_equal(array_first(i, 0, sorted[i] < 3), 0);
    assert_int_equal(array_first(i, 5, sorted[i] < 0), 0);
    assert_int_equal(array_first(i, 5, sorted[i] < 2), 1);
    assert_int_equal(array_first(i, 5, sorted[i] < 3), 1);
    assert_int_equal(array_first(i, 5, sorted[i] <= 3), 4);
    assert_int_equal(array_first(i, 5, sorted[i] < 8), 5);
    for (size_t count = 0; count < 40; count++)
        for (size_t first = 0; first <= count; first++)
            assert_int_equal(array_first(i, count, i < first), first);
}

static int compare_ints(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Sanitizers see a NULL given to libc. */
static void sorts_and_finds_where_there_is_nothing_too(void **state)
{
    int numbers[] = {7, 1, 3}, key = 3, *none = NULL;

    (void)state;
    array_sort(none, 0, compare_ints);
    assert_null(array_find(&key, none, 0, compare_ints));
    array_sort(numbers, 3, compare_ints);
    assert_int_equal(numbers[0], 1);
    assert_ptr_equal(array_find(&key, numbers, 3, compare_ints), &numbers[1]);
    key = 4;
    assert_null(array_find(&key, numbers, 3, compare_ints));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_all_that_is_added),
        cmocka_unit_test(has_room_after_items_were_dropped),
        cmocka_unit_test(finds_the_first_that_is_not_before),
        cmocka_unit_test(sorts_and_finds_where_there_is_nothing_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
