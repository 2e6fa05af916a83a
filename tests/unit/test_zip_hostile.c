/* Cut, damaged and made-up zip archives: refused with one line, or read rightly. */

#include "base/zip_format.h"
#include "tar_fixture.h"

static const struct item items[] = {
    {.path = "d", .type = ENTRY_DIR, .mode = 0755, .mtime = {1, 0}},
    FILE_AT("d/one", 1000000000, 1),
    {.path = "d/link", .type = ENTRY_SYMLINK, .mode = 0777, .target = "one"},
    {.path = "d/two",
     .mode = 0644,
     .content = "warm warm warm warm warm warm warm warm warm warm warm warm warm warm warm"},
    {.path = MANIFEST, .mode = 0644, .content = "{\"format\": \"warmpack-manifest\"}\n"},
};
#define COMMENT "warmpack-manifest=0123456789abcdef" /* what MARK becomes in a zip */
enum { ITEMS = sizeof(items) / sizeof(items[0]) };

static void make(struct buf *b)
{
    buf_free(b);
    pack(b, &format_zip, false, items, ITEMS);
}

static int read_buf(struct contents *c, const struct buf *b)
{
    return read_all(c, memory_file(b->data, b->size), NULL);
}

static void refused(const struct buf *b, const char *why)
{
    struct contents c = {0};

    assert_true(read_buf(&c, b) < 0);
    if (!strstr(c.err.message, why))
        fail_msg("%s", c.err.message);
    assert_null(strchr(c.err.message, '\n'));
    contents_clear(&c);
}

/* The central record of the entry whose name is NAME. */
static unsigned char *central(const struct buf *b, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i + ZIP_CENTRAL_SIZE + n <= b->size; i++) {
        unsigned char *p = b->data + i;

        if (get_le32(p) == ZIP_CENTRAL && get_le16(p + 28) == n &&
            memcmp(p + ZIP_CENTRAL_SIZE, name, n) == 0)
            return p;
    }
    fail_msg("no %s", name);
    return NULL;
}

static unsigned char *local(const struct buf *b, const char *name)
{
    return b->data + get_le32(central(b, name) + 42);
}

static void test_an_archive_cut_anywhere_is_refused(void **state)
{
    struct buf b = {0};

    (void)state;
    make(&b);
    for (size_t n = 1; n < b.size; n++) {
        struct contents c = {0};

        if (read_all(&c, memory_file(b.data, n), NULL) >= 0)
            fail_msg("cut to %zu of %zu bytes and read", n, b.size);
        contents_clear(&c);
    }
    buf_free(&b);
}

/* Whatever byte is damaged: no content comes out under its own name that is not the right one. */
static void test_a_damaged_byte_never_changes_content(void **state)
{
    struct buf b = {0};

    (void)state;
    make(&b);
    for (size_t at = 0; at < b.size; at++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            struct contents c = {0};
            int rc;

            b.data[at] ^= (unsigned char)(1u << bit);
            rc = read_buf(&c, &b);
            for (size_t i = 0; rc == 0 && i < c.count; i++)
                for (size_t k = 0; k < ITEMS; k++)
                    if (strcmp(c.entries[i].path, items[k].path) == 0 && items[k].content &&
                        c.entries[i].type == ENTRY_FILE &&
                        (c.data[i].size != strlen(items[k].content) ||
                         memcmp(c.data[i].data, items[k].content, c.data[i].size) != 0))
                        fail_msg("byte %zu, bit %u: %s changed", at, bit, items[k].path);
            contents_clear(&c);
            b.data[at] ^= (unsigned char)(1u << bit);
        }
    }
    buf_free(&b);
}

static void test_headers_that_contradict_one_another_are_refused(void **state)
{
    static const int places[] = {8, 14, 18, 22, 26, 30}; /* method, checksum, sizes, name */
    struct buf b = {0};

    (void)state;
    make(&b);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        unsigned char *p = local(&b, "d/two") + places[i];

        *p ^= 1;
        refused(&b, "contradict");
        *p ^= 1;
    }
    buf_free(&b);
}

static void test_entries_that_share_bytes_are_refused(void **state)
{
    struct buf b = {0};

    (void)state;
    make(&b);
    memcpy(central(&b, "d/two") + 42, central(&b, "d/one") + 42, 4);
    refused(&b, "overlaps");
    make(&b);
    put_le(central(&b, "d/one") + 20, 4, 4000);
    put_le(local(&b, "d/one") + 18, 4, 4000);
    refused(&b, "overlaps");
    buf_free(&b);
}

/* Both headers lie alike about how much comes out. */
static void test_sizes_that_lie_are_found_out(void **state)
{
    static const struct {
        uint32_t size;
        const char *why;
    } lies[] = {{10, "longer"},
                {1000, "shorter"},
                {3u << 20, "shorter"},
                {0x7fffffff, "shorter"}, /* streamed: no memory is taken for it */
                {0, ""}};
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        make(&b);
        put_le(central(&b, "d/two") + 24, 4, lies[i].size);
        put_le(local(&b, "d/two") + 22, 4, lies[i].size);
        refused(&b, lies[i].why);
    }
    buf_free(&b);
}

static void test_encrypted_content_is_refused(void **state)
{
    struct buf b = {0};

    (void)state;
    make(&b);
    central(&b, "d/one")[8] |= ZIP_ENCRYPTED;
    local(&b, "d/one")[6] |= ZIP_ENCRYPTED;
    refused(&b, "d/one: it is encrypted");
    make(&b);
    central(&b, "d/link")[8] |= ZIP_ENCRYPTED;
    local(&b, "d/link")[6] |= ZIP_ENCRYPTED;
    refused(&b, "it is encrypted");
    make(&b);
    put_le(central(&b, "d/one") + 8, 2, ZIP_MASKED);
    refused(&b, "encrypted");
    buf_free(&b);
}

static void test_unknown_methods_are_refused(void **state)
{
    struct buf b = {0};

    (void)state;
    make(&b);
    put_le(central(&b, "d/two") + 10, 2, 77);
    put_le(local(&b, "d/two") + 8, 2, 77);
    refused(&b, "method");
    buf_free(&b);
}

static void test_names_with_a_zero_byte_are_refused(void **state)
{
    struct buf b = {0};

    (void)state;
    make(&b);
    central(&b, "d/one")[ZIP_CENTRAL_SIZE + 1] = '\0';
    refused(&b, "zero byte");
    make(&b);
    local(&b, "d/link")[ZIP_LOCAL_SIZE + strlen("d/link") + 9] = '\0'; /* of the link's text */
    refused(&b, "");
    buf_free(&b);
}

static void test_backslashes_separate_only_where_windows_wrote_them(void **state)
{
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    make(&b);
    central(&b, "d/one")[ZIP_CENTRAL_SIZE + 1] = '\\';
    local(&b, "d/two"); /* still found */
    for (size_t i = 0; i + 5 < b.size; i++)
        if (memcmp(b.data + i, "d/one", 5) == 0)
            b.data[i + 1] = '\\';
    read_bytes(&c, &b);
    assert_string_equal(c.entries[1].path, "d\\one");
    contents_clear(&c);
    central(&b, "d\\one")[5] = ZIP_HOST_FAT;
    read_bytes(&c, &b);
    assert_string_equal(c.entries[1].path, "d/one");
    assert_int_equal(c.entries[1].mode, 0644);
    contents_clear(&c);
    buf_free(&b);
}

static void test_numbers_of_the_end_that_lie_are_refused(void **state)
{
    static const struct {
        size_t at, n; /* in the end record */
        uint64_t value;
        const char *why;
    } lies[] = {{4, 2, 1, "volumes"},
                {10, 2, 4, "number of entries"},
                {12, 4, 0xfffffff, "does not fit"},
                {16, 4, 0xfffffff, "does not fit"},
                {12, 4, 10, "truncated"}};
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        make(&b);
        put_le(b.data + b.size - strlen(COMMENT) - ZIP_END_SIZE + lies[i].at, (unsigned)lies[i].n,
               lies[i].value);
        refused(&b, lies[i].why);
    }
    buf_free(&b);
}

/* A program that unpacks itself, or a Python zipapp. */
static void test_what_stands_in_front_does_no_harm(void **state)
{
    struct buf b = {0}, whole = {0};
    struct contents c = {0};

    (void)state;
    make(&b);
    assert_int_equal(buf_add_str(&whole, "#!/usr/bin/env python3\n"), 0);
    assert_int_equal(buf_add(&whole, b.data, b.size), 0);
    read_bytes(&c, &whole);
    assert_int_equal(c.count, ITEMS);
    assert_int_equal(c.data[3].size, strlen(items[3].content));
    contents_clear(&c);
    buf_free(&b);
    buf_free(&whole);
}

static void test_a_pipe_is_read_as_a_file_is(void **state)
{
    struct contents c = {0};
    struct buf b = {0};
    int ends[2];

    (void)state;
    make(&b);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], b.data, b.size), (ssize_t)b.size);
    close(ends[1]);
    assert_int_equal(read_all(&c, ends[0], NULL), 0);
    assert_int_equal(c.count, ITEMS);
    assert_true(c.mark);
    contents_clear(&c);
    buf_free(&b);
}

static void test_the_manifest_is_found_at_once(void **state)
{
    struct pool *pool = pool_new(1);
    struct format_open_options o = {.name = "archive", .pool = pool};
    struct buf b = {0}, path = {0}, text = {0};
    struct format_reader *r;

    (void)state;
    make(&b);
    local(&b, "d/one")[0] = 'X'; /* what stands before it is not looked at */
    assert_int_equal(formats_open_reader(&r, memory_file(b.data, b.size), &o, NULL), 0);
    assert_int_equal(r->ops->manifest(r, &path, &text, NULL), 1);
    assert_int_equal(text.size, strlen(items[ITEMS - 1].content));
    assert_memory_equal(text.data, items[ITEMS - 1].content, text.size);
    r->ops->free(r);
    pool_free(pool);
    buf_free(&path);
    buf_free(&text);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_archive_cut_anywhere_is_refused),
        cmocka_unit_test(test_a_damaged_byte_never_changes_content),
        cmocka_unit_test(test_headers_that_contradict_one_another_are_refused),
        cmocka_unit_test(test_entries_that_share_bytes_are_refused),
        cmocka_unit_test(test_sizes_that_lie_are_found_out),
        cmocka_unit_test(test_encrypted_content_is_refused),
        cmocka_unit_test(test_unknown_methods_are_refused),
        cmocka_unit_test(test_names_with_a_zero_byte_are_refused),
        cmocka_unit_test(test_backslashes_separate_only_where_windows_wrote_them),
        cmocka_unit_test(test_numbers_of_the_end_that_lie_are_refused),
        cmocka_unit_test(test_what_stands_in_front_does_no_harm),
        cmocka_unit_test(test_a_pipe_is_read_as_a_file_is),
        cmocka_unit_test(test_the_manifest_is_found_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
