/* Finding a format by name, by suffix, and by what an archive begins with. */

#include "codec/codec.h"
#include "tar_fixture.h"

static void test_formats_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(wp_format_by_name("tgz"), &format_tgz);
    assert_ptr_equal(wp_format_by_name("tar.gz"), &format_tgz);
    assert_ptr_equal(wp_format_by_name("tar"), &format_tar);
    assert_ptr_equal(wp_format_by_name("tar.zst"), &format_tar_zst);
    assert_ptr_equal(wp_format_by_name("tzst"), &format_tar_zst);
    assert_string_equal(wp_format_name(wp_format_by_name("txz")), "tar.xz");
    assert_ptr_equal(wp_format_by_name("zip"), &format_zip);
    assert_null(wp_format_by_name("cpio"));
    assert_null(wp_format_by_name(""));
}

static void test_the_suffix_chooses_the_format(void **state)
{
    (void)state;
    assert_ptr_equal(wp_format_by_suffix("/srv/app.tgz"), &format_tgz);
    assert_ptr_equal(wp_format_by_suffix("app-1.0.tar.gz"), &format_tgz);
    assert_ptr_equal(wp_format_by_suffix("a.tar"), &format_tar);
    assert_ptr_equal(wp_format_by_suffix("a.tar.zst"), &format_tar_zst);
    assert_ptr_equal(wp_format_by_suffix("a.tzst"), &format_tar_zst);
    assert_string_equal(wp_format_name(wp_format_by_suffix("a.tbz2")), "tar.bz2");
    assert_string_equal(wp_format_name(wp_format_by_suffix("a-1.0-py3.11.egg")), "egg");
    assert_string_equal(wp_format_name(wp_format_by_suffix("a-1.0-py3-none-any.whl")), "whl");
    assert_string_equal(wp_format_name(wp_format_by_suffix("a.oci.tar")), "oci");
    assert_null(wp_format_by_suffix("tar"));
    assert_null(wp_format_by_suffix(".tar")); /* a hidden file of that name */
    assert_null(wp_format_by_suffix("a.gz"));
    assert_null(wp_format_by_suffix("a.tar/b"));
}

static void test_every_format_has_a_name_and_can_be_listed(void **state)
{
    size_t n = 0;

    (void)state;
    for (const struct wp_format *f; (f = wp_format_at(n)); n++)
        assert_ptr_equal(wp_format_by_name(wp_format_name(f)), f);
    assert_int_equal(n, 9);
    assert_null(wp_format_at(n + 1));
    assert_null(wp_format_at(SIZE_MAX));
}

static void test_levels_are_those_of_the_codec(void **state)
{
    int min, max;

    (void)state;
    wp_format_levels(&format_tgz, &min, &max);
    assert_int_equal(min, codec_gzip.min_level);
    assert_int_equal(max, codec_gzip.max_level);
    assert_int_equal(min, codec_gzip_one.min_level);
    assert_int_equal(max, codec_gzip_one.max_level);
    wp_format_levels(&format_tar_zst, &min, &max);
    assert_int_equal(min, codec_zstd.min_level);
    assert_int_equal(max, codec_zstd.max_level);
    wp_format_levels(&format_tar, &min, &max);
    assert_int_equal(min, 0);
    assert_int_equal(max, 0);
}

static void test_a_level_out_of_range_is_refused(void **state)
{
    struct format_write_options o = {0};
    struct format_writer *w;
    struct wp_error err = {0};

    (void)state;
    o.level = format_tgz.max_level + 1;
    assert_int_equal(format_tgz.open_writer(&w, &format_tgz, &o, &err), -EINVAL);
    assert_non_null(strstr(err.message, "level"));
    o.level = format_tgz.max_level;
    assert_int_equal(format_tgz.open_writer(&w, &format_tgz, &o, &err), 0);
    w->ops->free(w);
    o.level = 1;
    assert_int_equal(format_tar.open_writer(&w, &format_tar, &o, &err), -EINVAL);
}

static size_t block_size_for(const struct wp_format *f, uint64_t content)
{
    struct format_write_options o = {.level = -1, .content = content};
    struct format_writer *w;
    size_t size;

    assert_int_equal(f->open_writer(&w, f, &o, NULL), 0);
    size = w->block_size;
    w->ops->free(w);
    return size;
}

static void test_large_archives_have_larger_frames(void **state)
{
    (void)state;
    assert_int_equal(block_size_for(&format_tar_zst, 0), 8 << 20);
    assert_int_equal(block_size_for(&format_tar_zst, CODEC_LARGE - 1), 8 << 20);
    assert_int_equal(block_size_for(&format_tar_zst, CODEC_LARGE), 12 << 20);
    assert_int_equal(block_size_for(&format_tgz, CODEC_LARGE), block_size_for(&format_tgz, 0));
    assert_int_equal(block_size_for(&format_tar, CODEC_LARGE), block_size_for(&format_tar, 0));
}

static void test_what_is_only_read_is_not_written(void **state)
{
    const struct wp_format *f = wp_format_by_name("tar.xz");
    struct format_write_options o = {.level = -1};
    struct format_writer *w;
    struct wp_error err = {0};

    (void)state;
    assert_false(wp_format_writes(f));
    assert_true(wp_format_writes(&format_tgz));
    assert_int_equal(f->open_writer(&w, f, &o, &err), -EINVAL);
    assert_non_null(strstr(err.message, "tar.xz"));
}

/* ---- By content -------------------------------------------------------------------------- */

static void refused(const void *data, size_t n, const char *why)
{
    struct contents c = {0};

    assert_true(read_all(&c, memory_file(data, n), NULL) < 0);
    if (!strstr(c.err.message, why))
        fail_msg("%s", c.err.message);
    contents_clear(&c);
}

static void test_what_is_no_archive_is_refused(void **state)
{
    char zeros[1024] = "", text[1024];

    (void)state;
    memset(text, 'a', sizeof(text));
    refused("", 0, "it is empty");
    refused("x", 1, "not an archive");
    refused(text, sizeof(text), "not an archive");
    refused(zeros, 511, "not an archive");
    refused("PK\3\4", 4, "its end record is missing");
    refused("BZh9", 4, "archive");
    refused("\x1f\x8b\x08", 3, "archive");
}

static void test_an_archive_of_nothing_but_zeros_is_an_empty_one(void **state)
{
    char zeros[10240] = "";
    struct contents c = {0};

    (void)state;
    assert_int_equal(read_all(&c, memory_file(zeros, sizeof(zeros)), NULL), 0);
    assert_int_equal(c.count, 0);
    assert_false(c.mark);
    contents_clear(&c);
}

/* COMMAND turns a tar on its input into another one. */
static void comes_through(const char *command, const char *wrong)
{
    const struct item items[] = {FILE_AT("one", 1, 1), FILE_AT("two", -1, 500000000)};
    char *dir = new_dir(), *path, *cut = NULL;
    struct contents c = {0};
    struct buf b = {0};

    pack(&b, &format_tar, false, items, 2);
    assert_true(asprintf(&path, "%s/tar", dir) > 0 && asprintf(&cut, "%s/cut", dir) > 0);
    write_file(path, &b);
    run("%s < %s > %s.packed && mv %s.packed %s", command, path, path, path, path);
    run("head -c -9 %s > %s", path, cut);
    assert_int_equal(read_all(&c, open(path, O_RDONLY | O_CLOEXEC), NULL), 0);
    assert_int_equal(c.count, 2);
    assert_string_equal(c.entries[1].path, "two");
    assert_int_equal(c.entries[1].mtime.tv_sec, -1);
    assert_true(c.mark);
    contents_clear(&c);
    assert_true(read_all(&c, open(cut, O_RDONLY | O_CLOEXEC), NULL) < 0);
    if (!strstr(c.err.message, wrong))
        fail_msg("%s", c.err.message);
    contents_clear(&c);
    remove_dir(dir);
    free(path);
    free(cut);
    buf_free(&b);
}

static void test_every_compression_is_recognised(void **state)
{
    (void)state;
    comes_through("gzip", "");
    comes_through("bzip2", "damaged");
    comes_through("xz", "damaged");
    if (have("zstd"))
        comes_through("zstd -q", "");
}

static void test_a_pipe_is_read_as_a_file_is(void **state)
{
    static const struct wp_format *const all[] = {&format_tar, &format_tgz, &format_tar_zst};
    const struct item item = FILE_AT("one", 1, 1);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct contents c = {0};
        struct buf b = {0};
        int ends[2];

        pack(&b, all[i], false, &item, 1);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_true(b.size < 65536);
        assert_int_equal(write(ends[1], b.data, b.size), (ssize_t)b.size);
        close(ends[1]);
        assert_int_equal(read_all(&c, ends[0], NULL), 0);
        assert_int_equal(c.count, 1);
        assert_true(c.mark);
        contents_clear(&c);
        buf_free(&b);
    }
}

static void test_the_descriptor_is_closed_also_on_failure(void **state)
{
    struct format_open_options o = {.name = "archive"};
    struct format_reader *r;
    int fd = memory_file("nothing", 7);

    (void)state;
    assert_int_equal(formats_open_reader(&r, fd, &o, NULL), -EINVAL);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    fd = memory_file("", 0);
    assert_int_equal(formats_open_reader(&r, fd, &o, NULL), -EINVAL);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_a_directory_is_no_archive(void **state)
{
    struct format_open_options o = {.name = "archive"};
    struct format_reader *r;
    struct wp_error err = {0};

    (void)state;
    assert_int_equal(formats_open_reader(&r, open("/", O_RDONLY | O_CLOEXEC), &o, &err), -EISDIR);
    assert_non_null(strstr(err.message, "archive"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_are_found_by_name),
        cmocka_unit_test(test_the_suffix_chooses_the_format),
        cmocka_unit_test(test_every_format_has_a_name_and_can_be_listed),
        cmocka_unit_test(test_levels_are_those_of_the_codec),
        cmocka_unit_test(test_a_level_out_of_range_is_refused),
        cmocka_unit_test(test_large_archives_have_larger_frames),
        cmocka_unit_test(test_what_is_only_read_is_not_written),
        cmocka_unit_test(test_what_is_no_archive_is_refused),
        cmocka_unit_test(test_an_archive_of_nothing_but_zeros_is_an_empty_one),
        cmocka_unit_test(test_every_compression_is_recognised),
        cmocka_unit_test(test_a_pipe_is_read_as_a_file_is),
        cmocka_unit_test(test_the_descriptor_is_closed_also_on_failure),
        cmocka_unit_test(test_a_directory_is_no_archive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
