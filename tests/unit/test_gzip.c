#include "codec_test.h"

#include <zlib.h>

enum { MEMBER_HEADER = 20, SIZE_AT = 16 };

/* What zlib alone makes of one member or several: an independent judge. */
static void zlib_reads(const struct buf *packed, struct buf *plain)
{
    z_stream z = {.next_in = packed->data, .avail_in = (uInt)packed->size};
    unsigned char out[4096];

    assert_int_equal(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
    while (true) {
        z.next_out = out;
        z.avail_out = sizeof(out);
        int r = inflate(&z, Z_NO_FLUSH);
        assert_true(r == Z_OK || r == Z_STREAM_END);
        assert_int_equal(buf_add(plain, out, sizeof(out) - z.avail_out), 0);
        if (r == Z_STREAM_END && z.avail_in == 0)
            break;
        if (r == Z_STREAM_END)
            assert_int_equal(inflateReset(&z), Z_OK);
    }
    inflateEnd(&z);
}

/* A member as other programs write it: a name and a checksum in the header, no size. */
static void add_foreign(struct buf *to, const void *data, size_t n, bool with_name)
{
    z_stream z = {0};
    gz_header h = {
        .name = (Bytef *)"a-name", .extra = (Bytef *)"XX\1\0y", .extra_len = 5, .hcrc = 1};
    size_t bound = n + n / 1000 + 1000;

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    if (with_name)
        assert_int_equal(deflateSetHeader(&z, &h), Z_OK);
    assert_int_equal(buf_reserve(to, bound), 0);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)n;
    z.next_out = to->data + to->size;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    to->size += z.total_out;
    deflateEnd(&z);
}

/* SIZE bytes in blocks of BLOCK, packed as archives are. */
static void make_archive(struct buf *packed, struct buf *plain, size_t size, size_t block)
{
    make_data(plain, size, 7);
    for (size_t at = 0; at < size; at += block)
        pack_block(&codec_gzip, packed, plain->data + at, size - at < block ? size - at : block);
    assert_int_equal(codec_gzip.pointer(packed, 0, NULL), 0);
}

static void test_what_is_packed_reads_as_it_was(void **state)
{
    static const size_t sizes[] = {0, 1, 1000, 300000, 3000000};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buf plain = {0}, packed = {0}, judged = {0};
        make_archive(&packed, &plain, sizes[i], 100000);
        assert_reads_as(&codec_gzip, &packed, &plain);
        zlib_reads(&packed, &judged);
        assert_int_equal(judged.size, plain.size);
        assert_memory_equal(judged.data, plain.data, plain.size);
        buf_free(&plain);
        buf_free(&packed);
        buf_free(&judged);
    }
}

static void test_every_level_packs_and_others_are_refused(void **state)
{
    struct format_block b = {0};
    struct buf plain = {0};

    (void)state;
    make_data(&plain, 50000, 3);
    for (int level = -1; level <= 13; level++) {
        const struct codec *both[] = {&codec_gzip, &codec_gzip_one};
        for (int i = 0; i < 2; i++) {
            struct wp_error err = {0};
            b = (struct format_block){0};
            assert_int_equal(buf_add(&b.plain, plain.data, plain.size), 0);
            bool is_fine = level == -1 || (level >= 1 && level <= 12);
            assert_int_equal(both[i]->pack(&b, level, &err), is_fine ? 0 : -EINVAL);
            if (is_fine && i == 0)
                assert_reads_as(&codec_gzip, &b.packed, &plain);
            format_block_free(&b);
        }
    }
    buf_free(&plain);
}

static void test_a_member_depends_on_its_content_alone(void **state)
{
    struct format_block used = {0};
    struct buf first = {0}, second = {0}, alone = {0};

    (void)state;
    make_data(&first, 80000, 1);
    make_data(&second, 70000, 2);
    assert_int_equal(buf_add(&used.plain, first.data, first.size), 0);
    assert_int_equal(codec_gzip.pack(&used, 6, NULL), 0);
    assert_int_equal(codec_gzip.pack(&used, 5, NULL), 0);
    buf_clear(&used.plain);
    assert_int_equal(buf_add(&used.plain, second.data, second.size), 0);
    assert_int_equal(codec_gzip.pack(&used, 5, NULL), 0);
    pack_block(&codec_gzip, &alone, second.data, second.size);
    assert_int_equal(used.packed.size, alone.size);
    assert_memory_equal(used.packed.data, alone.data, alone.size);
    format_block_free(&used);
    buf_free(&first);
    buf_free(&second);
    buf_free(&alone);
}

static void test_a_member_says_how_long_its_deflate_data_are(void **state)
{
    struct buf packed = {0};

    (void)state;
    pack_block(&codec_gzip, &packed, "some bytes", 10);
    static const unsigned char header[16] = {0x1f, 0x8b, 8, 4, 0,   0,   0, 0,
                                             0,    255,  8, 0, 'M', 'Z', 4, 0};
    assert_memory_equal(packed.data, header, 16);
    assert_int_equal(packed.data[16] | packed.data[17] << 8, packed.size - 20 - 8);
    buf_free(&packed);
}

static void test_a_pipe_may_give_single_bytes(void **state)
{
    struct buf plain = {0}, packed = {0}, foreign = {0};

    (void)state;
    make_archive(&packed, &plain, 60000, 9000);
    assert_reads_from_pipe(&codec_gzip, &packed, 1, &plain);
    assert_reads_from_pipe(&codec_gzip, &packed, 4093, &plain);
    for (size_t at = 0; at < plain.size; at += 20000)
        add_foreign(&foreign, plain.data + at, 20000, at == 20000);
    assert_reads_from_pipe(&codec_gzip, &foreign, 1, &plain);
    assert_reads_from_pipe(&codec_gzip, &foreign, 7, &plain);
    buf_free(&plain);
    buf_free(&packed);
    buf_free(&foreign);
}

static void test_what_was_looked_at_is_read_again(void **state)
{
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_archive(&packed, &plain, 60000, 9000);
    for (size_t n = 0; n <= 16; n += 4) {
        struct buf got = {0};
        int fd = file_of(packed.data, packed.size);
        assert_int_equal(lseek(fd, (off_t)n, SEEK_SET), n);
        assert_int_equal(read_fd(&codec_gzip, fd, packed.data, n, 2, &got, NULL), 0);
        assert_int_equal(got.size, plain.size);
        assert_memory_equal(got.data, plain.data, plain.size);
        buf_free(&got);
    }
    buf_free(&plain);
    buf_free(&packed);
}

static void test_members_of_other_programs_read(void **state)
{
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_data(&plain, 5000000, 4);
    add_foreign(&packed, plain.data, plain.size, true);
    assert_reads_as(&codec_gzip, &packed, &plain);
    buf_clear(&packed);
    for (size_t at = 0; at < plain.size; at += 50000)
        add_foreign(&packed, plain.data + at, 50000, at % 100000 == 0);
    assert_reads_as(&codec_gzip, &packed, &plain);
    buf_free(&plain);
    buf_free(&packed);
}

static void test_members_with_and_without_size_may_alternate(void **state)
{
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_data(&plain, 800000, 5);
    for (size_t at = 0; at < plain.size; at += 50000) {
        if (at / 50000 % 5 < 3)
            pack_block(&codec_gzip, &packed, plain.data + at, 50000);
        else
            add_foreign(&packed, plain.data + at, 50000, true);
    }
    assert_reads_as(&codec_gzip, &packed, &plain);
    buf_clear(&packed);
    add_foreign(&packed, plain.data, 50000, false);
    for (size_t at = 50000; at < plain.size; at += 50000)
        pack_block(&codec_gzip, &packed, plain.data + at, 50000);
    assert_reads_as(&codec_gzip, &packed, &plain);
    buf_free(&plain);
    buf_free(&packed);
}

static void test_a_lying_size_changes_nothing(void **state)
{
    static const uint32_t lies[] = {0, 1, 2, 100, 0xffff, 1 << 24, (1 << 24) + 1, 0xffffffff};
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_archive(&packed, &plain, 60000, 9000);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct buf lying = {0};
        size_t second =
            MEMBER_HEADER + 8 + packed.data[SIZE_AT] + ((size_t)packed.data[SIZE_AT + 1] << 8);
        assert_int_equal(buf_add(&lying, packed.data, packed.size), 0);
        assert_int_equal(lying.data[second], 0x1f);
        for (int k = 0; k < 4; k++)
            lying.data[second + SIZE_AT + (size_t)k] = (unsigned char)(lies[i] >> 8 * k);
        assert_reads_as(&codec_gzip, &lying, &plain);
        buf_free(&lying);
    }
    buf_free(&plain);
    buf_free(&packed);
}

/* A size that takes in the next member whole, which has the same content and so the same trailer:
 * the second must not be lost, nor what comes behind it. */
static void test_a_size_beyond_the_member_is_seen_through(void **state)
{
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_data(&plain, 1000, 5);
    make_data(&plain, 1000, 5); /* the same again */
    pack_block(&codec_gzip, &packed, plain.data, 1000);
    pack_block(&codec_gzip, &packed, plain.data, 1000);
    size_t beyond = packed.size - MEMBER_HEADER - 8;
    packed.data[SIZE_AT] = (unsigned char)beyond;
    packed.data[SIZE_AT + 1] = (unsigned char)(beyond >> 8);
    assert_reads_as(&codec_gzip, &packed, &plain);

    make_data(&plain, 3000, 6);
    pack_block(&codec_gzip, &packed, plain.data + 2000, 1000);
    add_foreign(&packed, plain.data + 3000, 1000, true);
    pack_block(&codec_gzip, &packed, plain.data + 4000, 1000);
    assert_reads_as(&codec_gzip, &packed, &plain);
    buf_free(&plain);
    buf_free(&packed);
}

/* Only then were they unpacked by their sizes: the stream would give them in one. */
static void test_members_with_sizes_come_one_by_one(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++)
        assert_comes_in_blocks(&codec_gzip, threads);
}

/* A member whose last bytes do not fit the reader's buffer, in a pipe of short writes: what the
 * decompressor took beyond the data then comes from several of them. */
static void test_the_next_member_is_found_however_the_bytes_come(void **state)
{
    (void)state;
    for (size_t size = (512 << 10) - 3; size <= (512 << 10) + 3; size++) {
        struct buf plain = {0}, packed = {0};
        assert_int_equal(buf_add_zeros(&plain, size + 100), 0);
        make_data(&plain, 20, 1);
        add_foreign(&packed, plain.data, size, false);
        add_foreign(&packed, plain.data + size, 120, false);
        for (size_t piece = 1; piece < 10; piece++)
            assert_reads_from_pipe(&codec_gzip, &packed, piece, &plain);
        buf_free(&plain);
        buf_free(&packed);
    }
}

static void test_a_plain_size_that_lies_is_an_error(void **state)
{
    static const uint32_t lies[] = {0, 1, 999, 1001, 64 << 20, (64 << 20) + 1, 0xffffffff};
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_data(&plain, 1000, 6);
    pack_block(&codec_gzip, &packed, plain.data, 1000);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        for (int k = 0; k < 4; k++)
            packed.data[packed.size - 4 + (size_t)k] = (unsigned char)(lies[i] >> 8 * k);
        assert_fails(&codec_gzip, &packed, -EBADMSG, "checksum differs");
    }
    buf_free(&plain);
    buf_free(&packed);
}

/* Cut at every byte: an error that says so, or, between members, the members before the cut. */
static void cut_everywhere(const struct buf *packed, const struct buf *plain, unsigned whole)
{
    unsigned fine = 0;

    for (size_t n = 1; n < packed->size; n++) {
        struct buf cut = {.data = packed->data, .size = n}, got = {0};
        struct wp_error err = {0};
        int r = read_all(&codec_gzip, &cut, 1 + n % 2, &got, &err);
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
    add_foreign(&packed, plain.data, 400, true);
    add_foreign(&packed, plain.data + 400, 500, true);
    cut_everywhere(&packed, &plain, 1);
    buf_free(&plain);
    buf_free(&packed);
}

/* No flipped bit gets other content through: it is an error, or a field that says nothing. */
static void flip_everywhere(const struct buf *packed, const struct buf *plain)
{
    for (size_t at = 0; at < packed->size; at++) {
        for (unsigned bit = 0; bit < 8; bit += 1 + at % 3) {
            struct buf got = {0};
            struct wp_error err = {0};
            packed->data[at] ^= (unsigned char)(1u << bit);
            int r = read_all(&codec_gzip, packed, 1 + at % 2, &got, &err);
            packed->data[at] ^= (unsigned char)(1u << bit);
            if (r == 0) {
                assert_int_equal(got.size, plain->size);
                assert_memory_equal(got.data, plain->data, plain->size);
            } else if (r != -EBADMSG) {
                fail_msg("flipped at %zu: %d %s", at, r, err.message);
            }
            buf_free(&got);
        }
    }
}

static void test_a_flipped_bit_lets_no_other_content_through(void **state)
{
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_archive(&packed, &plain, 900, 300);
    flip_everywhere(&packed, &plain);
    buf_clear(&packed);
    add_foreign(&packed, plain.data, 400, true);
    add_foreign(&packed, plain.data + 400, 500, false);
    flip_everywhere(&packed, &plain);
    buf_free(&plain);
    buf_free(&packed);
}

static void test_zeros_behind_the_last_member_are_padding(void **state)
{
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_archive(&packed, &plain, 20000, 5000);
    assert_int_equal(buf_add_zeros(&packed, 1), 0);
    assert_reads_as(&codec_gzip, &packed, &plain);
    assert_int_equal(buf_add_zeros(&packed, 600000), 0);
    assert_reads_as(&codec_gzip, &packed, &plain);
    assert_int_equal(buf_add(&packed, "x", 1), 0);
    assert_fails(&codec_gzip, &packed, -EBADMSG, "not gzip follows");
    buf_free(&plain);
    buf_free(&packed);
}

static void test_other_bytes_behind_the_last_member_are_an_error(void **state)
{
    struct buf plain = {0}, packed = {0};

    (void)state;
    make_archive(&packed, &plain, 20000, 5000);
    size_t size = packed.size;
    assert_int_equal(buf_add(&packed, "garbage", 7), 0);
    assert_fails(&codec_gzip, &packed, -EBADMSG, "not gzip follows");
    packed.size = size;
    assert_int_equal(buf_add(&packed, "\x1f", 1), 0);
    assert_fails(&codec_gzip, &packed, -EBADMSG, "truncated");
    buf_clear(&packed);
    assert_int_equal(buf_add(&packed, "garbage", 7), 0);
    assert_fails(&codec_gzip, &packed, -EBADMSG, "no gzip data");
    buf_free(&plain);
    buf_free(&packed);
}

/* 80 MB of zeros in one member: too much for one allocation, so it comes as a stream. */
static void test_a_large_member_comes_as_a_stream(void **state)
{
    size_t size = 80u << 20;
    unsigned char *zeros = calloc(1, size);
    struct format_block b = {.plain = {.data = zeros, .size = size, .room = size}};
    struct pool *pool = pool_new(2);
    struct source *s;
    struct wp_error err = {0};
    const void *data;
    ssize_t n;
    size_t total = 0;

    (void)state;
    assert_int_equal(codec_gzip.pack(&b, 1, NULL), 0);
    int fd = file_of(b.packed.data, b.packed.size);
    assert_int_equal(codec_open(&s, &codec_gzip, fd, NULL, 0, "f", pool, &err), 0);
    while ((n = source_pull(s, &data, &err)) > 0) {
        assert_true(n <= 1 << 20);
        total += (size_t)n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(total, size);
    source_free(s);
    pool_free(pool);
    format_block_free(&b);
}

static void test_a_source_may_be_freed_at_any_time(void **state)
{
    struct buf plain = {0}, packed = {0}, foreign = {0};
    const struct buf *both[] = {&packed, &foreign};

    (void)state;
    make_archive(&packed, &plain, 6000000, 200000);
    add_foreign(&foreign, plain.data, plain.size, false);
    for (unsigned pulls = 0; pulls < 6; pulls++) {
        for (int i = 0; i < 2; i++) {
            struct pool *pool = pool_new(2);
            struct source *s;
            const void *data;
            int fd = file_of(both[i]->data, both[i]->size);
            assert_int_equal(codec_open(&s, &codec_gzip, fd, NULL, 0, "f", pool, NULL), 0);
            for (unsigned k = 0; k < pulls; k++)
                assert_true(source_pull(s, &data, NULL) > 0);
            source_free(s);
            pool_free(pool);
        }
    }
    buf_free(&plain);
    buf_free(&packed);
    buf_free(&foreign);
}

static void test_the_last_member_says_where_the_manifest_begins(void **state)
{
    struct buf packed = {0};
    uint64_t offset = 0;

    (void)state;
    pack_block(&codec_gzip, &packed, "first", 5);
    uint64_t second = packed.size;
    pack_block(&codec_gzip, &packed, "manifest", 8);
    assert_int_equal(find_manifest(&codec_gzip, &packed, &offset), 0);
    assert_int_equal(codec_gzip.pointer(&packed, second, NULL), 0);
    assert_int_equal(find_manifest(&codec_gzip, &packed, &offset), 1);
    assert_int_equal(offset, second);

    /* Damaged in any bit it is none, or leads somewhere else where a member begins. */
    for (size_t at = packed.size - 42; at < packed.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            packed.data[at] ^= (unsigned char)(1u << bit);
            if (find_manifest(&codec_gzip, &packed, &offset) == 1)
                assert_int_equal(offset, 0);
            packed.data[at] ^= (unsigned char)(1u << bit);
        }
    }
    uint64_t own = packed.size;
    assert_int_equal(codec_gzip.pointer(&packed, own, NULL), 0);
    assert_int_equal(find_manifest(&codec_gzip, &packed, &offset), 0);
    packed.size = own;
    for (size_t n = 0; n < packed.size; n++) {
        struct buf cut = {.data = packed.data, .size = n};
        assert_int_equal(find_manifest(&codec_gzip, &cut, &offset), 0);
    }
    buf_free(&packed);
}

/* SIZE bytes as a single member, in blocks of BLOCK. */
static void make_one(struct buf *packed, const struct buf *plain, size_t block, int level)
{
    struct gzip_one g = {0};
    struct format_block b = {0};

    assert_int_equal(gzip_one_head(packed), 0);
    for (size_t at = 0; at < plain->size; at += block) {
        size_t n = plain->size - at < block ? plain->size - at : block;
        buf_clear(&b.plain);
        assert_int_equal(buf_add(&b.plain, plain->data + at, n), 0);
        assert_int_equal(codec_gzip_one.pack(&b, level, NULL), 0);
        assert_int_equal(gzip_one_add(&g, &b), 0);
        assert_int_equal(buf_add(packed, b.packed.data, b.packed.size), 0);
    }
    assert_int_equal(gzip_one_tail(&g, packed), 0);
    format_block_free(&b);
}

static void test_joined_blocks_are_one_member_for_zlib(void **state)
{
    static const size_t sizes[] = {0, 1, 7, 5000, 400000};
    static const int levels[] = {1, 5, 12};

    (void)state;
    for (size_t i = 0; i < 5 * 3; i++) {
        struct buf plain = {0}, packed = {0};
        make_data(&plain, sizes[i % 5], 9);
        make_one(&packed, &plain, i % 2 ? 1 + sizes[i % 5] / 97 : 100000, levels[i / 5]);

        unsigned char *out = malloc(plain.size + 1);
        z_stream z = {.next_in = packed.data,
                      .avail_in = (uInt)packed.size,
                      .next_out = out,
                      .avail_out = (uInt)plain.size + 1};
        assert_int_equal(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END); /* one member, to the last byte */
        assert_int_equal(z.avail_in, 0);
        assert_int_equal(z.total_out, plain.size);
        if (plain.size > 0)
            assert_memory_equal(out, plain.data, plain.size);
        inflateEnd(&z);
        free(out);
        assert_reads_as(&codec_gzip, &packed, &plain);
        buf_free(&plain);
        buf_free(&packed);
    }
}

/* Blocks that end at every bit of a byte, incompressible and constant ones among them. */
static void test_blocks_join_wherever_in_a_byte_they_end(void **state)
{
    struct buf plain = {0}, packed = {0};
    unsigned x = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        x = x * 1664525 + 1013904223;
        unsigned char c = i % 3000 < 1000 ? 'a' : (unsigned char)(x >> 24);
        assert_int_equal(buf_add(&plain, &c, 1), 0);
    }
    for (size_t block = 1; block < 200; block += 13) {
        buf_clear(&packed);
        make_one(&packed, &plain, block, 6);
        assert_reads_as(&codec_gzip, &packed, &plain);
    }
    buf_free(&plain);
    buf_free(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_packed_reads_as_it_was),
        cmocka_unit_test(test_every_level_packs_and_others_are_refused),
        cmocka_unit_test(test_a_member_depends_on_its_content_alone),
        cmocka_unit_test(test_a_member_says_how_long_its_deflate_data_are),
        cmocka_unit_test(test_a_pipe_may_give_single_bytes),
        cmocka_unit_test(test_what_was_looked_at_is_read_again),
        cmocka_unit_test(test_members_of_other_programs_read),
        cmocka_unit_test(test_members_with_and_without_size_may_alternate),
        cmocka_unit_test(test_a_lying_size_changes_nothing),
        cmocka_unit_test(test_a_size_beyond_the_member_is_seen_through),
        cmocka_unit_test(test_members_with_sizes_come_one_by_one),
        cmocka_unit_test(test_the_next_member_is_found_however_the_bytes_come),
        cmocka_unit_test(test_a_plain_size_that_lies_is_an_error),
        cmocka_unit_test(test_a_cut_archive_says_that_it_is_cut),
        cmocka_unit_test(test_a_flipped_bit_lets_no_other_content_through),
        cmocka_unit_test(test_zeros_behind_the_last_member_are_padding),
        cmocka_unit_test(test_other_bytes_behind_the_last_member_are_an_error),
        cmocka_unit_test(test_a_large_member_comes_as_a_stream),
        cmocka_unit_test(test_a_source_may_be_freed_at_any_time),
        cmocka_unit_test(test_the_last_member_says_where_the_manifest_begins),
        cmocka_unit_test(test_joined_blocks_are_one_member_for_zlib),
        cmocka_unit_test(test_blocks_join_wherever_in_a_byte_they_end),
    };
    return cmocka_run_group_tests_name("gzip", tests, NULL, NULL);
}
