#include <stdio.h>

#include "codec_test.h"

static void test_packing_hands_the_bytes_through(void **state)
{
    struct buf data = {0}, packed = {0};

    (void)state;
    make_data(&data, 100000, 1);
    pack_block(&codec_none, &packed, data.data, data.size);
    assert_int_equal(packed.size, data.size);
    assert_memory_equal(packed.data, data.data, data.size);
    assert_reads_as(&codec_none, &packed, &data);
    buf_free(&data);
    buf_free(&packed);
}

static void test_what_was_looked_at_is_read_again(void **state)
{
    struct buf got = {0};
    struct wp_error err = {0};

    (void)state;
    assert_int_equal(read_fd(&codec_none, file_of("behind", 6), "before ", 7, 2, &got, &err), 0);
    assert_int_equal(got.size, 13);
    assert_memory_equal(got.data, "before behind", 13);
    buf_free(&got);
}

/* Two headers, the end of a tar, the pointer of earlier ones. */
static void make_tar(struct buf *tar, uint64_t offset)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(buf_add_zeros(tar, 512), 0);
        memcpy(tar->data + tar->size - 512 + 257, "ustar", 6);
    }
    memcpy(tar->data + 530 + 257, "ustar", 5); /* content that looks like a header */
    assert_int_equal(buf_add_zeros(tar, 1024), 0);
    assert_int_equal(buf_add_zeros(tar, 512), 0);
    snprintf((char *)tar->data + tar->size - 512, 512, "warmpack-manifest-offset=%llu\n",
             (unsigned long long)offset);
}

static void test_the_last_block_says_where_the_manifest_begins(void **state)
{
    struct buf tar = {0};
    uint64_t offset = 0;

    (void)state;
    make_tar(&tar, 512);
    assert_int_equal(tar.size % 512, 0);
    assert_int_equal(find_manifest(&codec_none, &tar, &offset), 1);
    assert_int_equal(offset, 512);
    buf_free(&tar);
}

static void test_a_pointer_that_leads_nowhere_is_none(void **state)
{
    static const uint64_t wrong[] = {1, 1024, 2048, 2560, 4096, UINT64_MAX, INT64_MAX, 530};
    uint64_t offset;
    int ends[2];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf tar = {0};
        make_tar(&tar, wrong[i]);
        assert_int_equal(find_manifest(&codec_none, &tar, &offset), 0);
        buf_free(&tar);
    }
    struct buf tar = {0};
    make_tar(&tar, 512);
    memset(tar.data + tar.size - 512, 'w', 512); /* no NUL anywhere */
    assert_int_equal(find_manifest(&codec_none, &tar, &offset), 0);
    tar.size = 511;
    assert_int_equal(find_manifest(&codec_none, &tar, &offset), 0);
    buf_free(&tar);

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(codec_find_manifest(&codec_none, ends[0], &offset), 0);
    close(ends[0]);
    close(ends[1]);
}

static void test_the_start_of_an_archive_tells_the_codec(void **state)
{
    static const unsigned char skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
    struct buf gz = {0}, zst = {0};

    (void)state;
    pack_block(&codec_gzip, &gz, "x", 1);
    pack_block(&codec_zstd, &zst, "x", 1);
    assert_ptr_equal(codec_recognise(gz.data, 10), &codec_gzip);
    assert_ptr_equal(codec_recognise(zst.data, 10), &codec_zstd);
    assert_ptr_equal(codec_recognise(skippable, 8), &codec_zstd);
    assert_null(codec_recognise((const unsigned char *)"BZh91AY&SY", 10));
    assert_null(codec_recognise((const unsigned char *)"app/__init__.py", 16));
    assert_null(codec_recognise(gz.data, 2));
    assert_null(codec_recognise(zst.data, 3));
    assert_null(codec_recognise(NULL, 0));
    buf_free(&gz);
    buf_free(&zst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing_hands_the_bytes_through),
        cmocka_unit_test(test_what_was_looked_at_is_read_again),
        cmocka_unit_test(test_the_last_block_says_where_the_manifest_begins),
        cmocka_unit_test(test_a_pointer_that_leads_nowhere_is_none),
        cmocka_unit_test(test_the_start_of_an_archive_tells_the_codec),
    };
    return cmocka_run_group_tests_name("none", tests, NULL, NULL);
}
