/* The end of a zip and the records of its entries, which all of lib and formats read here. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/zip_directory.h"
#include "base/zip_format.h"

static void put(struct buf *b, unsigned bytes, uint64_t v)
{
    unsigned char text[8];

    put_le(text, bytes, v);
    assert_int_equal(buf_add(b, text, bytes), 0);
}

static void add_record(struct buf *b, const char *name, uint32_t at)
{
    put(b, 4, ZIP_CENTRAL);
    put(b, 2, ZIP_HOST_UNIX << 8 | 20);
    put(b, 2, 20);
    put(b, 2, ZIP_UTF8);
    put(b, 2, ZIP_DEFLATED);
    put(b, 4, 0x58210001); /* date and time */
    put(b, 4, 0x12345678);
    put(b, 4, 10);
    put(b, 4, 20);
    put(b, 2, strlen(name));
    put(b, 2, 5);
    put(b, 2, 7);
    put(b, 4, 0);
    put(b, 4, 0644u << 16);
    put(b, 4, at);
    buf_add_str(b, name);
    buf_add_str(b, "extracomment");
}

/* The end record for a directory of SIZE bytes that begins at AT. */
static void add_end(struct buf *b, unsigned count, uint64_t size, uint64_t at, const char *comment)
{
    put(b, 4, ZIP_END);
    put(b, 4, 0);
    put(b, 2, count);
    put(b, 2, count);
    put(b, 4, size);
    put(b, 4, at);
    put(b, 2, strlen(comment));
    buf_add_str(b, comment);
}

static void add_end_64(struct buf *b, uint64_t count, uint64_t size, uint64_t at, uint64_t here)
{
    put(b, 4, ZIP_END64);
    put(b, 8, ZIP_END64_SIZE - 12);
    put(b, 4, 45 << 16 | 45);
    put(b, 8, 0);
    put(b, 8, count);
    put(b, 8, count);
    put(b, 8, size);
    put(b, 8, at);
    put(b, 4, ZIP_LOCATOR64);
    put(b, 4, 0);
    put(b, 8, here);
    put(b, 4, 1);
}

/* BEFORE, then "contents", two records and the end. */
static struct buf sample(const char *before)
{
    struct buf b = {0};
    size_t at, size;

    buf_add_str(&b, before);
    buf_add_str(&b, "contents");
    at = b.size;
    add_record(&b, "one", 0);
    add_record(&b, "two/three", 4);
    size = b.size - at;
    add_end(&b, 2, size, strlen("contents"), "said");
    return b;
}

static struct zip_part part_of(const struct buf *b)
{
    struct zip_part z = {.fd = memfd_create("zip", 0), .size = b->size};

    assert_true(z.fd >= 0);
    assert_int_equal(write(z.fd, b->data, b->size), b->size);
    return z;
}

static int find(const struct buf *b, enum zip_rules rules, struct zip_end *e, const char **what)
{
    struct zip_part z = part_of(b);
    int r = zip_end_find(&z, rules, e, what);

    close(z.fd);
    return r;
}

static void refused(const struct buf *b, enum zip_rules rules, const char *why)
{
    const char *what = NULL;
    struct zip_end e;

    assert_int_equal(find(b, rules, &e, &what), -EBADMSG);
    assert_non_null(strstr(what, why));
}

static void the_records_say_where_entries_are(void **state)
{
    static const char *const names[] = {"one", "two/three"};

    (void)state;
    for (int prefixed = 0; prefixed < 2; prefixed++) {
        struct buf b = sample(prefixed ? "#!program\n" : "");
        struct zip_part z = part_of(&b);
        struct zip_directory d;
        struct zip_central c;
        const char *what = NULL;
        struct zip_end e;
        char comment[4];

        assert_int_equal(zip_end_find(&z, ZIP_AS_UNZIP, &e, &what), 0);
        assert_int_equal(e.count, 2);
        assert_int_equal(e.shift, prefixed ? strlen("#!program\n") : 0);
        assert_int_equal(e.directory, e.shift + strlen("contents"));
        assert_false(e.zip64);
        assert_int_equal(e.comment_size, sizeof comment);
        assert_int_equal(zip_part_read(&z, comment, sizeof comment, e.comment), sizeof comment);
        assert_memory_equal(comment, "said", sizeof comment);
        assert_int_equal(zip_directory_open(&d, &z, &e), 0);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(zip_directory_next(&d, &c, &what), 1);
            assert_int_equal(c.name_size, strlen(names[i]));
            assert_memory_equal(c.name, names[i], c.name_size);
            assert_int_equal(c.extra_size, 5);
            assert_memory_equal(c.extra, "extra", 5);
            assert_int_equal(c.host, ZIP_HOST_UNIX);
            assert_int_equal(c.flags, ZIP_UTF8);
            assert_int_equal(c.method, ZIP_DEFLATED);
            assert_int_equal(c.date, 0x5821);
            assert_int_equal(c.time, 1);
            assert_int_equal(c.crc, 0x12345678);
            assert_int_equal(c.packed_size, 10);
            assert_int_equal(c.size, 20);
            assert_int_equal(c.attributes, 0644u << 16);
            assert_int_equal(c.at, 4 * i);
        }
        assert_int_equal(zip_directory_next(&d, &c, &what), 0);
        zip_directory_close(&d);
        close(z.fd);
        buf_free(&b);
    }
}

static void a_part_of_a_file_is_a_zip_of_its_own(void **state)
{
    struct buf inner = sample(""), b = {0};
    struct zip_directory d;
    struct zip_central c;
    const char *what = NULL;
    struct zip_end e;
    struct zip_part z;

    (void)state;
    buf_add_str(&b, "something else");
    buf_add(&b, inner.data, inner.size);
    buf_add_str(&b, "PK\5\6 and more of it, long enough to be taken for an end");
    z = part_of(&b);
    z.at = strlen("something else");
    z.size = inner.size;
    assert_int_equal(zip_end_find(&z, ZIP_AS_ZIPIMPORT, &e, &what), 0);
    assert_int_equal(e.shift, 0);
    assert_int_equal(zip_directory_open(&d, &z, &e), 0);
    assert_int_equal(zip_directory_next(&d, &c, &what), 1);
    assert_memory_equal(c.name, "one", 3);
    zip_directory_close(&d);
    close(z.fd);
    buf_free(&inner);
    buf_free(&b);
}

/* Of what follows the end record. */
static void each_reader_has_its_rules(void **state)
{
    struct buf b = sample("");
    const char *what = NULL;
    struct zip_end e;

    (void)state;
    buf_add_zeros(&b, 65536);
    assert_int_equal(find(&b, ZIP_AS_UNZIP, &e, &what), 0);
    refused(&b, ZIP_AS_ZIPIMPORT, "end record is missing");
    b.size -= 65536;
    buf_add_str(&b, "more");
    assert_int_equal(find(&b, ZIP_AS_ZIPIMPORT, &e, &what), 0);
    assert_int_equal(e.count, 2);
    buf_free(&b);
}

static void long_numbers_are_taken_where_a_locator_names_them(void **state)
{
    const char *what = NULL;
    struct buf b = {0};
    struct zip_end e;
    size_t size;

    (void)state;
    add_record(&b, "one", 0);
    size = b.size;
    add_end_64(&b, 1, size, 0, size);
    add_end(&b, ZIP_MAX16, ZIP_MAX32, ZIP_MAX32, "");
    assert_int_equal(find(&b, ZIP_AS_UNZIP, &e, &what), 0);
    assert_true(e.zip64);
    assert_int_equal(e.count, 1);
    assert_int_equal(e.directory, 0);
    assert_int_equal(e.shift, 0);
    refused(&b, ZIP_AS_ZIPIMPORT, "does not fit");
    b.data[size] ^= 1;
    refused(&b, ZIP_AS_UNZIP, "zip64 end record is missing");
    buf_free(&b);
}

static void a_directory_of_any_size_is_read_whole(void **state)
{
    enum { COUNT = 9000 };
    struct buf b = {0};
    struct zip_directory d;
    struct zip_central c;
    const char *what = NULL;
    struct zip_part z;
    struct zip_end e;
    char name[80];
    size_t size;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "%060d", i);
        add_record(&b, name, 0);
    }
    size = b.size;
    add_end(&b, COUNT, size, 0, "");
    z = part_of(&b);
    assert_int_equal(zip_end_find(&z, ZIP_AS_UNZIP, &e, &what), 0);
    assert_int_equal(zip_directory_open(&d, &z, &e), 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "%060d", i);
        assert_int_equal(zip_directory_next(&d, &c, &what), 1);
        assert_memory_equal(c.name, name, 60);
    }
    assert_int_equal(zip_directory_next(&d, &c, &what), 0);
    zip_directory_close(&d);
    close(z.fd);
    buf_free(&b);
}

static int walk(const struct buf *b, const char **what)
{
    struct zip_part z = part_of(b);
    struct zip_directory d = {0};
    struct zip_central c;
    struct zip_end e;
    int r = zip_end_find(&z, ZIP_AS_UNZIP, &e, what);

    if (r == 0)
        r = zip_directory_open(&d, &z, &e);
    while (r == 0 && (r = zip_directory_next(&d, &c, what)) > 0)
        r = 0;
    zip_directory_close(&d);
    close(z.fd);
    return r;
}

static void records_that_are_cut_or_none_are_refused(void **state)
{
    struct buf b = sample("");
    const char *what = NULL;
    const size_t first = strlen("contents"), second = first + ZIP_CENTRAL_SIZE + 3 + 12;

    (void)state;
    assert_int_equal(walk(&b, &what), 0);
    b.data[second] ^= 1;
    assert_int_equal(walk(&b, &what), -EBADMSG);
    assert_non_null(strstr(what, "no record where one"));
    b.data[second] ^= 1;
    b.data[second + 33] = 1; /* 256 bytes more of comment */
    assert_int_equal(walk(&b, &what), -EBADMSG);
    assert_non_null(strstr(what, "its directory is truncated"));
    buf_free(&b);
}

static void ends_that_lie_are_refused(void **state)
{
    struct buf b = sample("");
    const size_t end = b.size - strlen("said") - ZIP_END_SIZE;

    (void)state;
    put_le(b.data + end + 12, 4, b.size);
    refused(&b, ZIP_AS_UNZIP, "does not fit into the file");
    refused(&b, ZIP_AS_ZIPIMPORT, "does not fit into the file");
    b.data[end + 4] = 1;
    refused(&b, ZIP_AS_UNZIP, "several volumes");
    b.size = end;
    refused(&b, ZIP_AS_UNZIP, "end record is missing");
    b.size = 3;
    refused(&b, ZIP_AS_UNZIP, "end record is missing");
    refused(&b, ZIP_AS_ZIPIMPORT, "end record is missing");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_records_say_where_entries_are),
        cmocka_unit_test(a_part_of_a_file_is_a_zip_of_its_own),
        cmocka_unit_test(each_reader_has_its_rules),
        cmocka_unit_test(long_numbers_are_taken_where_a_locator_names_them),
        cmocka_unit_test(a_directory_of_any_size_is_read_whole),
        cmocka_unit_test(records_that_are_cut_or_none_are_refused),
        cmocka_unit_test(ends_that_lie_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
