/* Writing zip archives and reading them back: every shape of entry, files spread over blocks, many
 * entries, large numbers. */

#include "tar_shapes.h"
#include "zip/zip_write_header.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->path, ((const struct item *)b)->path);
}

/* The shapes of a tar that a zip can hold. */
static size_t make_zip_shapes(struct shapes *s)
{
    size_t n = 0;

    make_shapes(s);
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].type != ENTRY_HARDLINK)
            s->items[n++] = s->items[i];
    qsort(s->items, n - 1, sizeof(s->items[0]), by_name);
    return s->count = n;
}

static bool fits_the_time_field(time_t t)
{
    return t >= INT32_MIN && t <= INT32_MAX;
}

static void test_every_shape_comes_back(void **state)
{
    struct contents c = {0};
    struct buf b = {0};
    struct shapes s;

    (void)state;
    make_zip_shapes(&s);
    pack(&b, &format_zip, false, s.items, s.count);
    read_bytes(&c, &b);
    assert_true(c.mark);
    assert_int_equal(c.count, s.count);
    for (size_t i = 0; i < c.count; i++) {
        const struct item *want = &s.items[i];
        const struct entry *got = &c.entries[i];
        const char *content = want->type == ENTRY_FILE && want->content ? want->content : "";

        assert_string_equal(got->path, want->path);
        assert_int_equal(got->type, want->type);
        assert_int_equal(got->mode, want->mode ? want->mode : 0644);
        if (fits_the_time_field(want->mtime.tv_sec)) /* whole seconds: the manifest has the rest */
            assert_int_equal(got->mtime.tv_sec, want->mtime.tv_sec);
        if (want->target)
            assert_string_equal(got->target, want->target);
        assert_int_equal(c.data[i].size, strlen(content));
        assert_memory_equal(c.data[i].data ? (char *)c.data[i].data : "", content, strlen(content));
    }
    contents_clear(&c);
    free_shapes(&s);
    buf_free(&b);
}

/* ---- Files spread over blocks ------------------------------------------------------------ */

enum { PIECES = 5, PIECE = 300001 };

static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i % 1000 < 500 ? i % 7 : i * 2654435761u >> 13);
}

static void put_and_patch(struct packer *p, bool can_patch)
{
    struct format_patch patch;

    assert_int_equal(p->w->ops->seal(p->w, &p->b, NULL), 0);
    put_block(p);
    while (can_patch && p->w->ops->patch(p->w, &patch) == 1) {
        assert_true(patch.offset + patch.size <= p->out->size);
        memcpy(p->out->data + patch.offset, patch.data, patch.size);
    }
}

/* An archive of "small", "large" in PIECES blocks, and "last". */
static void pack_spread(struct buf *out, bool can_patch, int level)
{
    struct format_write_options o = {.level = level, .mark = MARK, .can_patch = can_patch};
    const struct item small = FILE_AT("small", 1, 1), last = FILE_AT("last", 2, 2);
    struct entry large = {.path = (char *)"large", .mode = 0600, .size = PIECES * PIECE};
    struct packer p = {.out = out};

    assert_int_equal(format_zip.open_writer(&p.w, &format_zip, &o, NULL), 0);
    assert_int_equal(p.w->ops->head(p.w, &p.b, NULL), 0);
    put_block(&p);
    assert_int_equal(p.w->ops->begin_block(p.w, &p.b, NULL), 0);
    pack_item(&p, &small);
    assert_int_equal(p.w->ops->add_header(p.w, &p.b, &large, NULL), 0);
    for (size_t k = 0; k < PIECES; k++) {
        if (k)
            assert_int_equal(p.w->ops->begin_block(p.w, &p.b, NULL), 0);
        for (size_t i = 0; i < PIECE; i++) {
            unsigned char c = byte_at(k * PIECE + i);

            assert_int_equal(buf_add(&p.b.plain, &c, 1), 0);
        }
        if (k + 1 == PIECES)
            assert_int_equal(p.w->ops->add_end(p.w, &p.b, &large, NULL), 0);
        put_and_patch(&p, can_patch);
    }
    assert_int_equal(p.w->ops->begin_block(p.w, &p.b, NULL), 0);
    pack_item(&p, &last);
    put_and_patch(&p, can_patch);
    assert_int_equal(p.w->ops->tail(p.w, &p.b, 0, NULL), 0);
    assert_int_equal(buf_add(out, p.b.packed.data, p.b.packed.size), 0);
    format_block_free(&p.b);
    p.w->ops->free(p.w);
}

static void check_spread(bool can_patch, int level)
{
    struct contents c = {0};
    struct buf b = {0};
    char *dir = new_dir(), *path;

    pack_spread(&b, can_patch, level);
    read_bytes(&c, &b);
    assert_int_equal(c.count, 3);
    assert_int_equal(c.data[1].size, PIECES * PIECE);
    for (size_t i = 0; i < c.data[1].size; i++)
        if (c.data[1].data[i] != byte_at(i))
            fail_msg("byte %zu differs", i);
    assert_true(asprintf(&path, "%s/a.zip", dir) > 0);
    write_file(path, &b);
    run("/usr/bin/python3 -m zipfile -t %s >/dev/null", path);
    free(path);
    remove_dir(dir);
    contents_clear(&c);
    buf_free(&b);
}

static void test_a_file_spread_over_blocks_comes_back(void **state)
{
    (void)state;
    check_spread(true, -1);
    check_spread(true, 0);
}

static void test_a_file_spread_over_blocks_comes_back_from_a_pipe(void **state)
{
    (void)state;
    check_spread(false, -1);
    check_spread(false, 0);
}

/* 3: a descriptor follows. Where the header can be written anew, it has all sizes. */
static void test_only_a_pipe_has_descriptors(void **state)
{
    struct buf b = {0};
    const unsigned char *large;

    (void)state;
    pack_spread(&b, true, -1);
    large = memmem(b.data, b.size, "large", 5);
    assert_non_null(large);
    assert_int_equal(get_le16(large - 24) & ZIP_HAS_DESCRIPTOR, 0);
    assert_int_equal(get_le32(large - 8), PIECES * PIECE);
    buf_free(&b);
    pack_spread(&b, false, 0);
    large = memmem(b.data, b.size, "large", 5);
    assert_int_equal(get_le16(large - 24) & ZIP_HAS_DESCRIPTOR, ZIP_HAS_DESCRIPTOR);
    assert_int_equal(get_le16(large - 22), ZIP_DEFLATED);
    buf_free(&b);
}

/* ---- Many and large ---------------------------------------------------------------------- */

static void test_more_entries_than_sixteen_bits_count_come_back(void **state)
{
    enum { MANY = 65536 + 10 };
    struct format_write_options o = {.level = -1};
    struct pool *pool = pool_new(1);
    struct format_open_options open_options = {.name = "archive", .pool = pool};
    struct packer p = {.out = &(struct buf){0}};
    struct format_reader *r;
    const struct entry *e;
    char name[16], *dir = new_dir(), *path;

    (void)state;
    assert_int_equal(format_zip.open_writer(&p.w, &format_zip, &o, NULL), 0);
    assert_int_equal(p.w->ops->begin_block(p.w, &p.b, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        struct item item = FILE_AT(name, i, 0);

        snprintf(name, sizeof(name), "%07d", i);
        pack_item(&p, &item);
    }
    put_and_patch(&p, false);
    assert_int_equal(p.w->ops->tail(p.w, &p.b, 0, NULL), 0);
    assert_int_equal(buf_add(p.out, p.b.packed.data, p.b.packed.size), 0);
    format_block_free(&p.b);
    p.w->ops->free(p.w);

    assert_int_equal(
        formats_open_reader(&r, memory_file(p.out->data, p.out->size), &open_options, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(r->ops->next(r, &e, NULL), 1);
        snprintf(name, sizeof(name), "%07d", i);
        assert_string_equal(e->path, name);
        assert_int_equal(e->mtime.tv_sec, i);
    }
    assert_int_equal(r->ops->next(r, &e, NULL), 0);
    r->ops->free(r);
    pool_free(pool);
    assert_true(asprintf(&path, "%s/a.zip", dir) > 0);
    write_file(path, p.out);
    run("test $(/usr/bin/python3 -m zipfile -l %s | wc -l) = %d", path, MANY + 1);
    free(path);
    remove_dir(dir);
    buf_free(p.out);
}

static void test_numbers_beyond_32_bits_stand_in_the_long_field(void **state)
{
    const uint64_t size = (UINT64_C(5) << 32) + 1, packed = (UINT64_C(4) << 32) + 2,
                   at = (UINT64_C(3) << 32) + 3;
    struct zip_record r = {
        .at = at, .name = "x", .name_size = 1, .size = size, .packed_size = packed, .zip64 = true};
    unsigned char local[64];
    struct buf b = {0};

    (void)state;
    assert_int_equal(zip_add_central(&r, &b), 0);
    assert_int_equal(get_le32(b.data + 20), ZIP_MAX32);
    assert_int_equal(get_le32(b.data + 24), ZIP_MAX32);
    assert_int_equal(get_le32(b.data + 42), ZIP_MAX32);
    assert_int_equal(get_le16(b.data + 47), ZIP_EXTRA_64);
    assert_int_equal(get_le64(b.data + 51), size);
    assert_int_equal(get_le64(b.data + 59), packed);
    assert_int_equal(get_le64(b.data + 67), at);
    zip_put_local(&r, local);
    assert_int_equal(get_le32(local + 18), ZIP_MAX32);
    assert_int_equal(get_le64(local + 35), size);
    assert_int_equal(get_le64(local + 43), packed);
    buf_free(&b);
}

/* ---- Times ------------------------------------------------------------------------------- */

static void test_dos_times_stay_within_what_they_can_say(void **state)
{
    const struct entry old = {.mtime = {0, 0}}, late = {.mtime = {INT64_C(5000000000), 0}},
                       odd = {.mtime = {1000000001, 999999999}};
    struct zip_record r;

    (void)state;
    zip_record_begin(&r, &old, "x", 1);
    assert_int_equal(r.date, 1 << 5 | 1);
    zip_record_begin(&r, &late, "x", 1);
    assert_int_equal(r.date >> 9, 127);
    assert_false(r.has_mtime);
    zip_record_begin(&r, &odd, "x", 1); /* 01:46:41 UTC on 9 September 2001 */
    assert_int_equal(r.date, 21 << 9 | 9 << 5 | 9);
    assert_int_equal(r.time, 1 << 11 | 46 << 5 | 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shape_comes_back),
        cmocka_unit_test(test_a_file_spread_over_blocks_comes_back),
        cmocka_unit_test(test_a_file_spread_over_blocks_comes_back_from_a_pipe),
        cmocka_unit_test(test_only_a_pipe_has_descriptors),
        cmocka_unit_test(test_more_entries_than_sixteen_bits_count_come_back),
        cmocka_unit_test(test_numbers_beyond_32_bits_stand_in_the_long_field),
        cmocka_unit_test(test_dos_times_stay_within_what_they_can_say),
    };

    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
