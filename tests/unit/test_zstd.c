#include "codec_test.h"

#include <zstd.h>

static void make_archive(struct buf *packed, struct buf *plain, size_t size, size_t block)
{
    make_data(plain, size, 7);
    for (size_t at = 0; at < size; at += block)
        pack_block(&codec_zstd, packed, plain->data + at, size - at < block ? size - at : block);
    assert_int_equal(codec_zstd.pointer(packed, 0, NULL), 0);
}

/* A frame as `zstd -` writes it: without the content's size. */
static void add_streamed(struct buf *to, const void *data, size_t n, bool with_checksum)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(n);

    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, with_checksum);
    assert_int_equal(buf_reserve(to, bound), 0);
    size_t made = ZSTD_compress2(c, to->data + to->size, bound, data, n);
    assert_false(ZSTD_isError(made));
    to->size += made;
    ZSTD_freeCCtx(c);
}

static void test_what_is_packed_reads_as_it_was(void **state)
{
    static const size_t sizes[] = {0, 1, 255, 256, 65791, 65792, 300000, 3000000};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buf plain = {0}, packed = {0};
        make_archive(&packed, &plain, sizes[i], i % 2 ? 100000 : 1000000);
        assert_reads_as(&codec_zstd, &packed, &plain);
        buf_free(&plain);
        buf_free(&packed);
    }
}

static void test_every_level_packs_and_others_are_refused(void **state)
{
    struct buf plain = {0};

    (void)state;
    make_data(&plain, 50000, 3);
    for (int level = -1; level <= 20; level++) {
        struct format_block b = {0};
        struct wp_error err = {0};
        assert_int_equal(buf_add(&b.plain, plain.data, plain.size), 0);
        bool is_fine = level == -1 || (level >= 1 && level <= 19);
        assert_int_equal(codec_zstd.pack(&b, level, &err), is_fine ? 0 : -EINVAL);
        if (is_fine)
            assert_reads_as(&codec_zstd, &b.packed, &plain);
        format_block_free(&b);
    }
    buf_free(&plain);
}

static void test_a_frame_has_its_content_size_and_a_checksum(void **state)
{
    struct buf packed = {0};

    (void)state;
    pack_block(&codec_zstd, &packed, "some bytes", 10);
    assert_int_equal(ZSTD_getFrameContentSize(packed.data, packed.size), 10);
    assert_true(packed.data[4] & 4);
    buf_free(&packed);
}

static void test_a_pipe_may_give_single_bytes(void **state)
{
    struct buf plain = {0}, packed = {0}, streamed = {0};

    (void)state;
    make_archive(&packed, &plain, 60000, 9000);
    assert_reads_from_pipe(&codec_zstd, &packed, 1, &plain);
    assert_reads_from_pipe(&codec_zstd, &packed, 4093, &plain);
    for (size_t at = 0; at < plain.size; at += 20000)
        add_streamed(&streamed, plain.data + at, 20000, at == 20000);
    assert_reads_from_pipe(&codec_zstd, &streamed, 1, &plain);
    buf_free(&plain);
    buf_free(&packed);
    buf_free(&streamed);
}

static void test_frames_of_other_programs_read(void **state)
{
    static const unsigned char skippable[] = {0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'};
    static const unsigned char large[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0x20, 0};
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_data(&plain, 5000000, 4);
    add_streamed(&packed, plain.data, plain.size, true);
    assert_reads_as(&codec_zstd, &packed, &plain);

    buf_clear(&packed);
    for (size_t at = 0; at < plain.size; at += 500000) {
        assert_int_equal(buf_add(&packed, skippable, sizeof(skippable)), 0);
        if (at == 1000000)
            add_streamed(&packed, plain.data + at, 500000, true);
        else
            pack_block(&codec_zstd, &packed, plain.data + at, 500000);
    }
    assert_reads_as(&codec_zstd, &packed, &plain);

    buf_clear(&packed);
    assert_int_equal(buf_add(&packed, large, sizeof(large)), 0); /* 2 MiB to be skipped */
    assert_int_equal(buf_add_zeros(&packed, 2 << 20), 0);
    pack_block(&codec_zstd, &packed, plain.data, plain.size);
    assert_reads_as(&codec_zstd, &packed, &plain);
    buf_free(&plain);
    buf_free(&packed);
}

/* Only then were they unpacked by their sizes: the stream would give them in one. */
static void test_frames_with_sizes_come_one_by_one(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++)
        assert_comes_in_blocks(&codec_zstd, threads);
}

static void cut_everywhere(const struct buf *packed, const struct buf *plain, unsigned whole)
{
    unsigned fine = 0;

    for (size_t n = 1; n < packed->size; n++) {
        struct buf cut = {.data = packed->data, .size = n}, got = {0};
        struct wp_error err = {0};
        int r = read_all(&codec_zstd, &cut, 1 + n % 2, &got, &err);
        assert_true(got.size <= plain->size);
        if (got.size > 0)
            assert_memory_equal(got.data, plain->data, got.size);
        if (r == 0)
            fine++;
        else if (r != -EBADMSG || !strstr(err.message, "the archive is truncated"))
            fail_msg("cut at %zu: %d %s", n, r, err.message);
        buf_free(&got);
    }
    assert_int_equal(fine, whole);
}

static void test_a_cut_archive_says_that_it_is_cut(void **state)
{
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_archive(&packed, &plain, 900, 300);
    cut_everywhere(&packed, &plain, 3);
    buf_clear(&packed);
    add_streamed(&packed, plain.data, 400, true);
    add_streamed(&packed, plain.data + 400, 500, false);
    cut_everywhere(&packed, &plain, 1);
    buf_free(&plain);
    buf_free(&packed);
}

static void test_a_flipped_bit_lets_no_other_content_through(void **state)
{
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_archive(&packed, &plain, 900, 300);
    for (size_t at = 0; at < packed.size; at++) {
        for (unsigned bit = 0; bit < 8; bit += 1 + at % 3) {
            struct buf got = {0};
            struct wp_error err = {0};
            packed.data[at] ^= (unsigned char)(1u << bit);
            int r = read_all(&codec_zstd, &packed, 1 + at % 2, &got, &err);
            if (r != 0 && r != -EBADMSG)
                fail_msg("flipped at %zu: %d %s", at, r, err.message);
            if (r == 0) {
                assert_int_equal(got.size, plain.size);
                assert_memory_equal(got.data, plain.data, plain.size);
            }
            packed.data[at] ^= (unsigned char)(1u << bit);
            buf_free(&got);
        }
    }
    buf_free(&plain);
    buf_free(&packed);
}

static void test_what_follows_the_frames_is_padding_or_an_error(void **state)
{
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_archive(&packed, &plain, 20000, 5000);
    assert_int_equal(buf_add_zeros(&packed, 1), 0);
    assert_reads_as(&codec_zstd, &packed, &plain);
    assert_int_equal(buf_add_zeros(&packed, 600000), 0);
    assert_reads_as(&codec_zstd, &packed, &plain);
    assert_int_equal(buf_add(&packed, "x", 1), 0);
    assert_fails(&codec_zstd, &packed, -EBADMSG, "not zstd follows");
    packed.size -= 600002;
    assert_int_equal(buf_add(&packed, "x", 1), 0);
    assert_fails(&codec_zstd, &packed, -EBADMSG, "not zstd follows");
    buf_clear(&packed);
    assert_int_equal(buf_add(&packed, "garbage", 7), 0);
    assert_fails(&codec_zstd, &packed, -EBADMSG, "no zstd data");
    buf_free(&plain);
    buf_free(&packed);
}

/* A header may claim what it likes: nothing of that size is allocated. */
static void test_a_header_that_claims_a_huge_content_allocates_nothing(void **state)
{
    struct buf huge = {0};
    static const unsigned char single[] = {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0,
                                           0,    0,    0x80, 0,    0,    1, 0, 0};
    static const unsigned char window[] = {0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0};

    (void)state;
    assert_int_equal(buf_add(&huge, single, sizeof(single)), 0);
    assert_fails(&codec_zstd, &huge, -EBADMSG, "window of more than 128 MiB");
    buf_clear(&huge);
    assert_int_equal(buf_add(&huge, window, sizeof(window)), 0);
    assert_fails(&codec_zstd, &huge, -EBADMSG, "window of more than 128 MiB");
    buf_free(&huge);
}

static void test_a_source_may_be_freed_at_any_time(void **state)
{
    struct buf plain = {0}, packed = {0}, streamed = {0};
    const struct buf *both[] = {&packed, &streamed};

    (void)state;
    make_archive(&packed, &plain, 6000000, 200000);
    add_streamed(&streamed, plain.data, plain.size, false);
    for (unsigned pulls = 0; pulls < 6; pulls++) {
        for (int i = 0; i < 2; i++) {
            struct pool *pool = pool_new(2);
            struct source *s;
            const void *data;
            int fd = file_of(both[i]->data, both[i]->size);
            assert_int_equal(codec_open(&s, &codec_zstd, fd, NULL, 0, "f", pool, NULL), 0);
            for (unsigned k = 0; k < pulls; k++)
                assert_true(source_pull(s, &data, NULL) > 0);
            source_free(s);
            pool_free(pool);
        }
    }
    buf_free(&plain);
    buf_free(&packed);
    buf_free(&streamed);
}

static void test_the_last_frame_says_where_the_manifest_begins(void **state)
{
    struct buf packed = {0};
    uint64_t offset = 0;

    (void)state;
    pack_block(&codec_zstd, &packed, "first", 5);
    uint64_t second = packed.size;
    pack_block(&codec_zstd, &packed, "manifest", 8);
    assert_int_equal(find_manifest(&codec_zstd, &packed, &offset), 0);
    assert_int_equal(codec_zstd.pointer(&packed, second, NULL), 0);
    assert_int_equal(find_manifest(&codec_zstd, &packed, &offset), 1);
    assert_int_equal(offset, second);
    for (size_t at = packed.size - 24; at < packed.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            packed.data[at] ^= (unsigned char)(1u << bit);
            if (find_manifest(&codec_zstd, &packed, &offset) == 1)
                assert_int_equal(offset, 0);
            packed.data[at] ^= (unsigned char)(1u << bit);
        }
    }
    buf_free(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_packed_reads_as_it_was),
        cmocka_unit_test(test_every_level_packs_and_others_are_refused),
        cmocka_unit_test(test_a_frame_has_its_content_size_and_a_checksum),
        cmocka_unit_test(test_a_pipe_may_give_single_bytes),
        cmocka_unit_test(test_frames_of_other_programs_read),
        cmocka_unit_test(test_frames_with_sizes_come_one_by_one),
        cmocka_unit_test(test_a_cut_archive_says_that_it_is_cut),
        cmocka_unit_test(test_a_flipped_bit_lets_no_other_content_through),
        cmocka_unit_test(test_what_follows_the_frames_is_padding_or_an_error),
        cmocka_unit_test(test_a_header_that_claims_a_huge_content_allocates_nothing),
        cmocka_unit_test(test_a_source_may_be_freed_at_any_time),
        cmocka_unit_test(test_the_last_frame_says_where_the_manifest_begins),
    };
    return cmocka_run_group_tests_name("zstd", tests, NULL, NULL);
}
