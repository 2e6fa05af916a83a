/* Our writer and our reader between themselves. */

#include "codec/codec.h"
#include "tar_fixture.h"
#include "tar_shapes.h"

static void same_entry(const struct item *i, const struct entry *e, const struct buf *data)
{
    size_t n = i->content ? strlen(i->content) : 0;

    assert_string_equal(e->path, i->path);
    assert_int_equal(e->type, i->type);
    assert_int_equal(e->mode, i->mode);
    assert_int_equal(e->uid, i->uid);
    if (e->mtime.tv_sec != i->mtime.tv_sec || e->mtime.tv_nsec != i->mtime.tv_nsec)
        fail_msg("%s: %lld.%09ld", i->path, (long long)e->mtime.tv_sec, e->mtime.tv_nsec);
    if (i->target)
        assert_string_equal(e->target, i->target);
    else
        assert_null(e->target);
    if (i->uname)
        assert_string_equal(e->uname, i->uname);
    else
        assert_null(e->uname);
    assert_int_equal(e->size, n);
    assert_int_equal(data->size, n);
    if (n)
        assert_memory_equal(data->data, i->content, n);
}

static void round_trip(const struct wp_format *f, bool one_member)
{
    struct contents c = {0};
    struct shapes s;
    struct buf b = {0};

    make_shapes(&s);
    pack(&b, f, one_member, s.items, s.count);
    read_bytes(&c, &b);
    assert_int_equal(c.count, s.count);
    for (size_t i = 0; i < s.count; i++)
        same_entry(&s.items[i], &c.entries[i], &c.data[i]);
    assert_true(c.mark);
    contents_clear(&c);
    buf_free(&b);
    free_shapes(&s);
}

static void test_every_shape_comes_back_from_tar(void **state)
{
    (void)state;
    round_trip(&format_tar, false);
}

static void test_every_shape_comes_back_from_tgz(void **state)
{
    (void)state;
    round_trip(&format_tgz, false);
}

static void test_every_shape_comes_back_from_tgz_of_one_member(void **state)
{
    (void)state;
    round_trip(&format_tgz, true);
}

static void test_every_shape_comes_back_from_tar_zst(void **state)
{
    (void)state;
    round_trip(&format_tar_zst, false);
}

static void test_owners_come_back_whatever_their_number_and_name(void **state)
{
    static const struct item items[] = {
        {.path = "a", .uid = 0, .uname = "root"},
        {.path = "b", .uid = 07777777, .uname = "exactly-thirty-one-bytes-of-it-"},
        {.path = "c", .uid = 010000000, .uname = "exactly-thirty-two-bytes-of-it--"},
        {.path = "d", .uid = 4294967294, .uname = "not utf-8, and of more than 31 bytes: \xe9"},
        {.path = "e", .uid = 1000, .uname = "\xe9"},
    };
    const size_t n = sizeof(items) / sizeof(items[0]);
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    pack(&b, &format_tar, false, items, n);
    read_bytes(&c, &b);
    assert_int_equal(c.count, n);
    for (size_t i = 0; i < n; i++)
        same_entry(&items[i], &c.entries[i], &c.data[i]);
    contents_clear(&c);
    buf_free(&b);
}

static void test_any_size_and_time_fits_a_header(void **state)
{
    static const struct entry known[] = {
        {.path = (char *)"f", .size = UINT64_C(8589934591)},
        {.path = (char *)"f", .size = UINT64_C(8589934592)},
        {.path = (char *)"f", .size = UINT64_C(1) << 62},
        {.path = (char *)"f", .size = 1, .mtime = {INT64_MAX, 999999999}},
        {.path = (char *)"f", .size = 1, .mtime = {-INT64_MAX, 1}},
    };
    struct format_write_options wo = {.level = -1};
    struct format_open_options ro = {.name = "archive"};

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct format_block b = {.codec = NULL};
        struct format_writer *w;
        struct format_reader *r;
        const struct entry *e;
        struct wp_error err = {0};

        assert_int_equal(format_tar.open_writer(&w, &format_tar, &wo, NULL), 0);
        assert_int_equal(w->ops->begin_block(w, &b, NULL), 0);
        assert_int_equal(w->ops->add_header(w, &b, &known[i], NULL), 0);
        assert_int_equal(
            formats_open_reader(&r, memory_file(b.plain.data, b.plain.size), &ro, &err), 0);
        assert_int_equal(r->ops->next(r, &e, &err), 1);
        assert_int_equal(e->size, known[i].size);
        assert_int_equal(e->mtime.tv_sec, known[i].mtime.tv_sec);
        assert_int_equal(e->mtime.tv_nsec, known[i].mtime.tv_nsec);
        /* The content is not there. */
        assert_true(r->ops->next(r, &e, &err) < 0);
        assert_non_null(strstr(err.message, "truncated"));
        r->ops->free(r);
        format_block_free(&b);
        w->ops->free(w);
    }
}

static void test_the_stream_is_padded_as_tar_pads_it(void **state)
{
    struct item items[40];
    struct buf b = {0};

    (void)state;
    for (size_t n = 1; n < 40; n += 7) {
        for (size_t i = 0; i < n; i++)
            items[i] = FILE_AT("f", 1, 0);
        buf_clear(&b);
        pack(&b, &format_tar, false, items, n);
        /* The first header of a block, two blocks an entry, then zeros to the last one. */
        size_t end = (2 + 2 * n) * 512;
        size_t padded = (end + 1024 + 10239) / 10240 * 10240;
        assert_int_equal(b.size, padded);
        for (size_t i = end; i < padded; i++)
            assert_int_equal(b.data[i], 0);
    }
    buf_free(&b);
}

static void test_a_plain_second_costs_no_extended_header(void **state)
{
    const struct item whole = FILE_AT("f", 077777777777, 0), part = FILE_AT("f", 1, 1);
    struct buf b = {0};

    (void)state;
    pack(&b, &format_tar, false, &whole, 1);
    assert_int_equal(b.data[1024 + 156], '0');
    buf_clear(&b);
    pack(&b, &format_tar, false, &part, 1);
    assert_int_equal(b.data[1024 + 156], 'x');
    buf_free(&b);
}

static void test_other_things_are_not_packed(void **state)
{
    struct entry e = {.path = (char *)"fifo", .type = ENTRY_OTHER};
    struct format_write_options o = {.level = -1};
    struct format_block b = {.codec = NULL};
    struct wp_error err = {0};
    struct format_writer *w;

    (void)state;
    assert_int_equal(format_tar.open_writer(&w, &format_tar, &o, NULL), 0);
    assert_int_equal(w->ops->add_header(w, &b, &e, &err), -EINVAL);
    assert_non_null(strstr(err.message, "fifo"));
    format_block_free(&b);
    w->ops->free(w);
}

/* ---- The manifest on its own ------------------------------------------------------------- */

static void manifest_of(const struct wp_format *f, bool one_member, int expected)
{
    struct pool *pool = pool_new(1);
    struct format_open_options o = {.name = "archive", .pool = pool};
    struct buf b = {0}, path = {0}, text = {0};
    struct format_reader *r;
    const struct entry *e;
    struct shapes s;
    size_t count = 0;

    make_shapes(&s);
    pack(&b, f, one_member, s.items, s.count);
    assert_int_equal(formats_open_reader(&r, memory_file(b.data, b.size), &o, NULL), 0);
    assert_int_equal(r->ops->manifest(r, &path, &text, NULL), expected);
    if (expected) {
        assert_int_equal(path.size, strlen(MANIFEST));
        assert_memory_equal(path.data, MANIFEST, path.size);
        assert_int_equal(text.size, strlen(s.items[s.count - 1].content));
        assert_memory_equal(text.data, s.items[s.count - 1].content, text.size);
    }
    /* Reading in order is not disturbed. */
    while (r->ops->next(r, &e, NULL) == 1)
        assert_string_equal(e->path, s.items[count++].path);
    assert_int_equal(count, s.count);
    r->ops->free(r);
    pool_free(pool);
    buf_free(&b);
    buf_free(&path);
    buf_free(&text);
    free_shapes(&s);
}

static void test_the_manifest_is_found_without_reading_what_is_before_it(void **state)
{
    (void)state;
    manifest_of(&format_tar, false, 1);
    manifest_of(&format_tgz, false, 1);
    manifest_of(&format_tar_zst, false, 1);
    manifest_of(&format_tgz, true, 0);
}

static void test_a_pointer_to_something_else_is_ignored(void **state)
{
    struct format_open_options o = {.name = "archive"};
    const struct item items[] = {FILE_AT("a", 1, 1), FILE_AT("d/manifest.jsonl", 1, 1)};
    struct buf b = {0}, path = {0}, text = {0};
    struct wp_error err = {0};
    struct format_reader *r;
    const struct entry *e;

    (void)state;
    pack(&b, &format_tar, false, items, 2);
    assert_int_equal(formats_open_reader(&r, memory_file(b.data, b.size), &o, NULL), 0);
    assert_int_equal(r->ops->manifest(r, &path, &text, &err), 0);
    assert_int_equal(path.size + text.size, 0);
    assert_string_equal(err.message, "");
    assert_int_equal(r->ops->next(r, &e, &err), 1);
    assert_string_equal(e->path, "a");
    r->ops->free(r);
    buf_free(&b);
    buf_free(&path);
    buf_free(&text);
}

static void test_a_comment_of_others_is_no_mark(void **state)
{
    const struct item item = FILE_AT("f", 1, 0);
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    pack(&b, &format_tar, false, &item, 1);
    char *mark = memmem(b.data, b.size, "warmpack-", 9);
    memcpy(mark, "coldpack-", 9);
    read_bytes(&c, &b);
    assert_int_equal(c.count, 1);
    assert_false(c.mark);
    contents_clear(&c);
    buf_free(&b);
}

static void test_only_the_first_header_carries_the_mark(void **state)
{
    const struct item item = FILE_AT("f", 1, 0);
    struct contents c = {0};
    struct buf b = {0}, late = {0};

    /* The entry first, then the comment, as when one archive is put behind another. */
    (void)state;
    pack(&b, &format_tar, false, &item, 1);
    assert_int_equal(buf_add(&late, b.data + 1024, 1024), 0);
    assert_int_equal(buf_add(&late, b.data, 2048), 0);
    assert_int_equal(buf_add_zeros(&late, 1024), 0);
    read_bytes(&c, &late);
    assert_int_equal(c.count, 2);
    assert_false(c.mark);
    contents_clear(&c);
    buf_free(&b);
    buf_free(&late);
}

static void test_large_content_is_stepped_over_in_a_plain_file(void **state)
{
    struct format_open_options o = {.name = "archive"};
    const size_t size = 5 << 20;
    struct item items[] = {FILE_AT("a", 1, 0), FILE_AT("b", 1, 0), FILE_AT("c", 1, 0)};
    struct wp_error err = {0};
    struct format_reader *r;
    const struct entry *e;
    struct buf b = {0};
    const void *data;
    uint64_t offset;
    size_t n;
    char *large = malloc(size + 1);

    (void)state;
    memset(large, 'x', size);
    large[size] = '\0';
    items[0].content = items[1].content = large;
    pack(&b, &format_tar, false, items, 3);
    assert_int_equal(formats_open_reader(&r, memory_file(b.data, b.size), &o, NULL), 0);
    assert_int_equal(r->ops->next(r, &e, NULL), 1); /* nothing of it read */
    assert_int_equal(r->ops->next(r, &e, NULL), 1); /* the first run of it read */
    assert_string_equal(e->path, "b");
    assert_int_equal(r->ops->data(r, &data, &n, &offset, NULL), 1);
    assert_memory_equal(data, large, n);
    assert_int_equal(r->ops->next(r, &e, NULL), 1);
    assert_string_equal(e->path, "c");
    assert_int_equal(r->ops->data(r, &data, &n, &offset, NULL), 1);
    assert_memory_equal(data, "content", 7);
    assert_int_equal(r->ops->next(r, &e, NULL), 0);
    assert_int_equal(r->consumed, b.size);
    r->ops->free(r);
    /* Cut within what is stepped over. */
    assert_int_equal(formats_open_reader(&r, memory_file(b.data, 3 << 20), &o, NULL), 0);
    assert_int_equal(r->ops->next(r, &e, NULL), 1);
    assert_int_equal(r->ops->next(r, &e, &err), -EINVAL);
    assert_non_null(strstr(err.message, "it ends after 3145728 bytes"));
    r->ops->free(r);
    buf_free(&b);
    free(large);
}

int main(void)

{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shape_comes_back_from_tar),
        cmocka_unit_test(test_every_shape_comes_back_from_tgz),
        cmocka_unit_test(test_every_shape_comes_back_from_tgz_of_one_member),
        cmocka_unit_test(test_every_shape_comes_back_from_tar_zst),
        cmocka_unit_test(test_owners_come_back_whatever_their_number_and_name),
        cmocka_unit_test(test_any_size_and_time_fits_a_header),
        cmocka_unit_test(test_the_stream_is_padded_as_tar_pads_it),
        cmocka_unit_test(test_a_plain_second_costs_no_extended_header),
        cmocka_unit_test(test_other_things_are_not_packed),
        cmocka_unit_test(test_the_manifest_is_found_without_reading_what_is_before_it),
        cmocka_unit_test(test_a_pointer_to_something_else_is_ignored),
        cmocka_unit_test(test_a_comment_of_others_is_no_mark),
        cmocka_unit_test(test_only_the_first_header_carries_the_mark),
        cmocka_unit_test(test_large_content_is_stepped_over_in_a_plain_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
