/* The CRC-32 of gzip and zip is zlib's, whichever library takes it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zlib.h>

#include "codec/crc.h"

enum { SIZE = 5000 };

static void fill(unsigned char data[SIZE])
{
    uint32_t x = 1;

    for (size_t i = 0; i < SIZE; i++) {
        x = x * 1664525 + 1013904223;
        data[i] = (unsigned char)(x >> 24);
    }
}

static void is_that_of_zlib_at_every_length_and_place(void **state)
{
    unsigned char data[SIZE];

    (void)state;
    fill(data);
    for (size_t from = 0; from < 17; from++)
        for (size_t n = 0; n <= 1100; n++)
            assert_int_equal(crc_add(0, data + from, n), crc32(0, data + from, (uInt)n));
    assert_int_equal(crc_add(0, data, SIZE), crc32(0, data, SIZE));
}

static void goes_on_from_what_stood_before(void **state)
{
    unsigned char data[SIZE];

    (void)state;
    fill(data);
    for (size_t cut = 0; cut <= SIZE; cut += 37)
        assert_int_equal(crc_add(crc_add(0, data, cut), data + cut, SIZE - cut),
                         crc32(0, data, SIZE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_that_of_zlib_at_every_length_and_place),
        cmocka_unit_test(goes_on_from_what_stood_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
