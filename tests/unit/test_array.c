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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_all_that_is_added),
        cmocka_unit_test(has_room_after_items_were_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
