/* Cut, damaged and made-up archives: refused with a reason, never a crash or an endless loop. */

#include "tar/pax.h"
#include "tar/tar_header.h"
#include "tar_fixture.h"

static const struct item small[] = {
    {.path = "d", .type = ENTRY_DIR, .mode = 0755, .mtime = {5, 5}},
    {.path = "d/f", .type = ENTRY_FILE, .mode = 0644, .mtime = {-1, 5}, .content = "content"},
    {.path = "d/l", .type = ENTRY_SYMLINK, .mode = 0777, .mtime = {5, 0}, .target = "f"},
    {.path = MANIFEST, .type = ENTRY_FILE, .mode = 0644, .mtime = {5, 0}, .content = "{}\n"},
};
enum { SMALL = sizeof(small) / sizeof(small[0]) };

static int read_part(const void *data, size_t n, struct contents *c)
{
    *c = (struct contents){0};
    return read_all(c, memory_file(data, n), NULL);
}

/* ---- Cut ------------------------------------------------------------------------------- */

static void test_a_tar_cut_before_its_end_is_refused_wherever(void **state)
{
    struct contents c;
    struct buf b = {0};

    (void)state;
    pack(&b, &format_tar, false, small, SMALL);
    /* comment (2), d, f and their records (3 + 4), l, the manifest and its records (4) */
    const size_t end = 14 * 512;
    assert_true(tar_is_zero_block(b.data + end) && !tar_is_zero_block(b.data + end - 512));
    for (size_t n = 0; n < end + 512; n++) {
        if (read_part(b.data, n, &c) != -EINVAL)
            fail_msg("cut to %zu bytes: not noticed", n);
        if (n >= 512 && !strstr(c.err.message, "truncated"))
            fail_msg("cut to %zu bytes: %s", n, c.err.message);
        contents_clear(&c);
    }
    assert_int_equal(read_part(b.data, end + 512, &c), 0);
    assert_int_equal(c.count, SMALL);
    contents_clear(&c);
    buf_free(&b);
}

static void cut_anywhere(const struct wp_format *f, bool one_member)
{
    struct contents c;
    struct buf b = {0};

    pack(&b, f, one_member, small, SMALL);
    assert_int_equal(read_part(b.data, b.size, &c), 0);
    contents_clear(&c);
    for (size_t n = 0; n < b.size; n++) {
        /* Cut between members behind the tar's end, only the pointer to the manifest is gone. */
        if (read_part(b.data, n, &c) >= 0 && (one_member || c.count < SMALL))
            fail_msg("%s cut to %zu of %zu bytes: not noticed", f->name, n, b.size);
        contents_clear(&c);
    }
    buf_free(&b);
}

static void test_compressed_ones_cut_are_refused(void **state)
{
    (void)state;
    cut_anywhere(&format_tgz, false);
    cut_anywhere(&format_tgz, true);
    cut_anywhere(&format_tar_zst, false);
}

/* ---- Damaged ----------------------------------------------------------------------------- */

static void test_a_flipped_byte_never_crashes(void **state)
{
    static const struct wp_format *const all[] = {&format_tar, &format_tgz, &format_tar_zst};

    (void)state;
    for (size_t f = 0; f < 3; f++) {
        struct contents c;
        struct buf b = {0};
        size_t n;

        pack(&b, all[f], false, small, SMALL);
        n = b.size < 12 * 512 ? b.size : 12 * 512;
        for (size_t i = 0; i < n; i++) {
            for (int bit = 1; bit < 256; bit *= 16) {
                b.data[i] ^= (unsigned char)bit;
                (void)read_part(b.data, b.size, &c);
                contents_clear(&c);
                b.data[i] ^= (unsigned char)bit;
            }
        }
        buf_free(&b);
    }
}

static void test_damage_in_a_header_is_found_by_its_checksum(void **state)
{
    struct contents c;
    struct buf b = {0};

    (void)state;
    pack(&b, &format_tar, false, small, SMALL);
    for (size_t i = 0; i < 500; i++) { /* of the second header, that of "d" */
        unsigned char *at = &b.data[1024 + i];

        *at ^= 4;
        if (read_part(b.data, b.size, &c) != -EINVAL && !(i >= 148 && i < 156))
            fail_msg("byte %zu: not noticed", i);
        contents_clear(&c);
        *at ^= 4;
    }
    b.data[1024] ^= 1;
    assert_int_equal(read_part(b.data, b.size, &c), -EINVAL);
    assert_non_null(strstr(c.err.message, "byte 1024"));
    contents_clear(&c);
    buf_free(&b);
}

/* ---- Made up ----------------------------------------------------------------------------- */

static struct tar_header header(char type, const char *name, int64_t size)
{
    struct tar_header h = {.type = type, .magic = "ustar", .version = {'0', '0'}};

    memcpy(h.name, name, strlen(name));
    tar_put_number(h.mode, 8, 0644);
    tar_put_number(h.size, 12, size);
    tar_put_checksum(&h);
    return h;
}

static void add(struct buf *b, char type, const char *name, const void *content, size_t n)
{
    struct tar_header h = header(type, name, (int64_t)n);

    assert_int_equal(buf_add(b, &h, sizeof(h)), 0);
    assert_int_equal(buf_add(b, content, n), 0);
    assert_int_equal(buf_add_zeros(b, tar_padding(n)), 0);
}

static void add_record(struct buf *b, const char *key, const char *value)
{
    struct buf records = {0};

    assert_int_equal(pax_add_str(&records, key, value), 0);
    add(b, 'x', "PaxHeader", records.data, records.size);
    buf_free(&records);
}

static void refused(struct buf *b, const char *why)
{
    struct contents c;

    assert_int_equal(buf_add_zeros(b, 1024), 0);
    assert_int_equal(read_part(b->data, b->size, &c), -EINVAL);
    if (!strstr(c.err.message, why))
        fail_msg("%s, not %s", c.err.message, why);
    contents_clear(&c);
    buf_clear(b);
}

static void test_what_no_tar_writes_is_refused_with_its_reason(void **state)
{
    struct buf b = {0};
    struct tar_header h;

    (void)state;
    add(&b, 'x', "x", "9 path=ab\n", 10);
    add(&b, '0', "f", "", 0);
    refused(&b, "malformed extended header");
    add(&b, 'x', "x", "12 path=a\0b\n", 12);
    add(&b, '0', "f", "", 0);
    refused(&b, "malformed extended header");
    add(&b, 'x', "x", "9 path=a\n", 9);
    refused(&b, "without its entry");
    add(&b, 'L', "x", "name", 5);
    refused(&b, "without its entry");
    add(&b, 'M', "f", "", 0);
    refused(&b, "another volume");
    h = header('x', "x", INT64_C(1) << 40);
    buf_add(&b, &h, sizeof(h));
    refused(&b, "16 MiB");
    h = header('0', "f", -1);
    buf_add(&b, &h, sizeof(h));
    refused(&b, "malformed header");
    h = header('0', "f", 0);
    memcpy(h.mtime, "99999999999", 12);
    tar_put_checksum(&h);
    buf_add(&b, &h, sizeof(h));
    refused(&b, "malformed header");
    add_record(&b, "uid", "4294967296");
    add(&b, '0', "f", "", 0);
    refused(&b, "malformed header");
    buf_free(&b);
}

static void test_sparse_maps_that_lie_are_refused(void **state)
{
    static const char *const maps[] = {"0,5,4,1", "0,9", "4,3", "3,9223372036854775807", "0,4,1,0"};
    struct buf b = {0}, records = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        buf_clear(&records);
        pax_add_str(&records, "GNU.sparse.size", "6");
        pax_add_str(&records, "GNU.sparse.map", maps[i]);
        add(&b, 'x', "x", records.data, records.size);
        add(&b, '0', "f", "content", 7);
        refused(&b, i == 0 || i > 2 ? "malformed" : "does not fit");
    }
    /* In front of the content: no end, too many runs, no number. */
    static const char *const texts[] = {"1\n0\n", "9999999999\n", "1\nx\n5\n", "1\n0\n99\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char block[512] = "";

        memset(block, '0', sizeof(block));
        memcpy(block, texts[i], strlen(texts[i]));
        buf_clear(&records);
        pax_add_str(&records, "GNU.sparse.major", "1");
        pax_add_str(&records, "GNU.sparse.realsize", "6");
        add(&b, 'x', "x", records.data, records.size);
        add(&b, '0', "f", block, sizeof(block));
        refused(&b, "sparse map");
    }
    buf_free(&b);
    buf_free(&records);
}

static void test_content_of_links_and_directories_is_not_believed(void **state)
{
    struct contents c;
    struct buf b = {0};

    (void)state;
    for (const char *type = "125"; *type; type++) {
        struct tar_header h = header(*type, "x", 4096);

        memcpy(h.linkname, "f", 2);
        tar_put_checksum(&h);
        buf_add(&b, &h, sizeof(h));
    }
    add(&b, '0', "f", "content", 7);
    buf_add_zeros(&b, 1024);
    assert_int_equal(read_part(b.data, b.size, &c), 0);
    assert_int_equal(c.count, 4);
    assert_int_equal(c.entries[0].size, 0);
    assert_string_equal(c.entries[3].path, "f");
    contents_clear(&c);
    buf_free(&b);
}

static void test_names_are_clean_but_kept_for_others_to_judge(void **state)
{
    static const struct {
        const char *given, *path;
    } names[] = {
        {"./a//b/./c/", "a/b/c"}, {"/etc/passwd", "/etc/passwd"}, {"../up", "../up"}, {"./", ""}};
    struct contents c;
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < 4; i++)
        add(&b, '0', names[i].given, "", 0);
    buf_add_zeros(&b, 1024);
    assert_int_equal(read_part(b.data, b.size, &c), 0);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(c.entries[i].path, names[i].path);
    assert_int_equal(c.entries[0].type, ENTRY_DIR); /* the slash */
    contents_clear(&c);
    buf_free(&b);
}

static void test_global_records_hold_until_an_entry_says_otherwise(void **state)
{
    struct buf b = {0}, records = {0};
    struct contents c;

    (void)state;
    pax_add_str(&records, "mtime", "12.5");
    pax_add_str(&records, "uname", "all");
    add(&b, 'g', "g", records.data, records.size);
    add(&b, '0', "a", "", 0);
    add_record(&b, "uname", "one");
    add(&b, '0', "b", "", 0);
    add(&b, '0', "c", "", 0);
    buf_add_zeros(&b, 1024);
    assert_int_equal(read_part(b.data, b.size, &c), 0);
    assert_int_equal(c.count, 3);
    assert_string_equal(c.entries[0].uname, "all");
    assert_string_equal(c.entries[1].uname, "one");
    assert_string_equal(c.entries[2].uname, "all");
    assert_int_equal(c.entries[1].mtime.tv_sec, 12);
    assert_int_equal(c.entries[1].mtime.tv_nsec, 500000000);
    assert_false(c.mark);
    contents_clear(&c);
    buf_free(&b);
    buf_free(&records);
}

static void count_warning(void *ctx, enum wp_severity severity, const char *text)
{
    assert_int_equal(severity, WP_WARNING);
    assert_non_null(text);
    ++*(int *)ctx;
}

static void test_oddities_are_warned_about(void **state)
{
    int warnings = 0;
    const struct wp_context context = {.message = count_warning, .user_data = &warnings};
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    add(&b, 'Z', "unknown", "content", 7);
    buf_add_zeros(&b, 512);
    add(&b, '0', "behind a lone block of zeros", "", 0);
    assert_int_equal(read_all(&c, memory_file(b.data, b.size), &context), 0);
    assert_int_equal(c.count, 1);
    assert_int_equal(c.entries[0].type, ENTRY_FILE);
    assert_int_equal(c.data[0].size, 7);
    assert_int_equal(warnings, 2);
    contents_clear(&c);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tar_cut_before_its_end_is_refused_wherever),
        cmocka_unit_test(test_compressed_ones_cut_are_refused),
        cmocka_unit_test(test_a_flipped_byte_never_crashes),
        cmocka_unit_test(test_damage_in_a_header_is_found_by_its_checksum),
        cmocka_unit_test(test_what_no_tar_writes_is_refused_with_its_reason),
        cmocka_unit_test(test_sparse_maps_that_lie_are_refused),
        cmocka_unit_test(test_content_of_links_and_directories_is_not_believed),
        cmocka_unit_test(test_names_are_clean_but_kept_for_others_to_judge),
        cmocka_unit_test(test_global_records_hold_until_an_entry_says_otherwise),
        cmocka_unit_test(test_oddities_are_warned_about),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
