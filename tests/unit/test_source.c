#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "stream/source.h"

static int file_of(const void *data, size_t n)
{
    int fd = memfd_create("source", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), (ssize_t)n);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void drink(struct source *s, struct buf *all)
{
    struct wp_error err = {0};
    const void *data;
    ssize_t n;

    while ((n = source_pull(s, &data, &err)) > 0)
        assert_int_equal(buf_add(all, data, (size_t)n), 0);
    assert_int_equal(n, 0);
}

static void test_a_file_is_given_from_where_it_stands_to_its_end(void **state)
{
    size_t size = 1000003;
    unsigned char *bytes = malloc(size);
    struct buf all = {0};
    struct source *s;

    (void)state;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 31 >> 3);
    int fd = file_of(bytes, size);
    assert_int_equal(lseek(fd, 5, SEEK_SET), 5);
    assert_int_equal(source_file(&s, fd, "f", NULL), 0);
    drink(s, &all);
    assert_int_equal(all.size, size - 5);
    assert_memory_equal(all.data, bytes + 5, all.size);
    source_free(s);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was taken over */
    buf_free(&all);
    free(bytes);
}

static void test_what_was_looked_at_comes_first_again(void **state)
{
    struct buf all = {0};
    struct source *below, *s;

    (void)state;
    assert_int_equal(source_file(&below, file_of("rest", 4), "f", NULL), 0);
    assert_int_equal(source_with_prefix(&s, "first ", 6, below, NULL), 0);
    drink(s, &all);
    assert_int_equal(all.size, 10);
    assert_memory_equal(all.data, "first rest", 10);
    source_free(s);
    buf_free(&all);
}

static void test_an_empty_prefix_is_not_taken_for_the_end(void **state)
{
    struct buf all = {0};
    struct source *below, *s;

    (void)state;
    assert_int_equal(source_file(&below, file_of("rest", 4), "f", NULL), 0);
    assert_int_equal(source_with_prefix(&s, NULL, 0, below, NULL), 0);
    drink(s, &all);
    assert_int_equal(all.size, 4);
    source_free(s);
    buf_free(&all);
}

/* Small gaps, which lie in what has been read, and large ones, two side by side and at the end. */
static void test_what_is_left_out_of_a_file_is_stepped_over(void **state)
{
    static const struct source_gap gaps[] = {
        {10, 20, 10},        {21, 300000, 0},      {300000, 300001, 0},
        {700000, 700512, 0}, {999000, 1000000, 0},
    };
    const size_t size = 1000000, count = sizeof gaps / sizeof *gaps;
    unsigned char *bytes = malloc(size);
    struct source *s;
    const void *data;
    size_t at = 0;
    ssize_t n;

    (void)state;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 31 >> 3);
    assert_int_equal(source_file(&s, file_of(bytes, size), "f", NULL), 0);
    assert_int_equal(source_leave_out(s, gaps, count), 0);
    while ((n = source_pull(s, &data, NULL)) > 0) {
        for (size_t i = 0; i < count; i++)
            assert_true(at + s->gap + (size_t)n <= gaps[i].at || at + s->gap >= gaps[i].end);
        at += s->gap;
        assert_memory_equal(data, bytes + at, (size_t)n);
        at += (size_t)n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(at + s->gap, size);
    source_free(s);
    free(bytes);
}

static void test_a_failing_read_names_the_file(void **state)
{
    struct wp_error err = {0};
    struct source *s;
    const void *data;

    (void)state;
    assert_int_equal(source_file(&s, open("/", O_RDONLY), "the-name", &err), 0);
    assert_int_equal(source_pull(s, &data, &err), -EISDIR);
    assert_non_null(strstr(err.message, "the-name"));
    source_free(s);
    source_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_given_from_where_it_stands_to_its_end),
        cmocka_unit_test(test_what_was_looked_at_comes_first_again),
        cmocka_unit_test(test_an_empty_prefix_is_not_taken_for_the_end),
        cmocka_unit_test(test_what_is_left_out_of_a_file_is_stepped_over),
        cmocka_unit_test(test_a_failing_read_names_the_file),
    };
    return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
