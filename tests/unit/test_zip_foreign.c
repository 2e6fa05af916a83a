/* Zips as other programs write them: names, times and types that they put into fields of their own,
 * and what stands around the archive. */

#include <inttypes.h>
#include <zlib.h>

#include "base/zip_format.h"
#include "tar_fixture.h"
#include "zip/zip_content.h"

/* An entry whose content is stored. */
struct foreign {
    const char *name, *content;
    uint32_t attributes;
    uint16_t date, method;
    const void *extra; /* of both headers, EXTRA_SIZE bytes */
    size_t extra_size;
    bool is_dos;
};

#define REGULAR (0100644u << 16)
enum { IN_2024 = 0x5821, IN_2040 = 60 << 9 | 6 << 5 | 15, IN_2106 = 126 << 9 | 2 << 5 | 7 };

static void put(struct buf *b, unsigned bytes, uint64_t v)
{
    unsigned char text[8];

    put_le(text, bytes, v);
    assert_int_equal(buf_add(b, text, bytes), 0);
}

/* What both headers have alike, from the flags on. */
static void put_common(struct buf *b, const struct foreign *f)
{
    const size_t n = strlen(f->content);

    put(b, 2, 0);
    put(b, 2, f->method);
    put(b, 2, 0);
    put(b, 2, f->date ? f->date : IN_2024);
    put(b, 4, crc32(0, (const Bytef *)f->content, (uInt)n));
    put(b, 4, n);
    put(b, 4, n);
    put(b, 2, strlen(f->name));
    put(b, 2, f->extra_size);
}

static void make_from(struct buf *b, size_t first, const struct foreign *items, size_t count)
{
    struct buf central = {0};
    size_t at;

    for (size_t i = 0; i < count; i++) {
        const struct foreign *f = &items[i];

        at = b->size - first;
        put(b, 4, ZIP_LOCAL);
        put(b, 2, 20);
        put_common(b, f);
        buf_add_str(b, f->name);
        buf_add(b, f->extra, f->extra_size);
        buf_add_str(b, f->content);
        put(&central, 4, ZIP_CENTRAL);
        put(&central, 2, (f->is_dos ? ZIP_HOST_FAT : ZIP_HOST_UNIX) << 8 | 20);
        put(&central, 2, 20);
        put_common(&central, f);
        put(&central, 6, 0);
        put(&central, 4, f->attributes ? f->attributes : f->is_dos ? 0x20 : REGULAR);
        put(&central, 4, at);
        buf_add_str(&central, f->name);
        buf_add(&central, f->extra, f->extra_size);
    }
    at = b->size - first;
    buf_add(b, central.data, central.size);
    put(b, 4, ZIP_END);
    put(b, 4, 0);
    put(b, 2, count);
    put(b, 2, count);
    put(b, 4, central.size);
    put(b, 4, at);
    put(b, 2, 0);
    buf_free(&central);
}

static void make(struct buf *b, const struct foreign *items, size_t count)
{
    buf_free(b);
    make_from(b, 0, items, count);
}

/* An archive of one entry called NAME, with these EXTRA fields. */
static void make_one(struct buf *b, const char *name, const struct buf *extra, uint16_t date)
{
    const struct foreign f = {.name = name,
                              .content = "x = 1\n",
                              .date = date,
                              .extra = extra->data,
                              .extra_size = extra->size,
                              .is_dos = true};

    make(b, &f, 1);
}

static void count_warning(void *ctx, enum wp_severity severity, const char *text)
{
    struct buf *all = ctx;

    if (severity == WP_WARNING)
        assert_int_equal(buf_printf(all, "%s\n", text), 0);
}

/* Reads B and notes warnings in WARNINGS, a C string. */
static int read_and_listen(struct contents *c, const struct buf *b, struct buf *warnings)
{
    struct wp_context context = {.message = count_warning, .user_data = warnings};
    int r = read_all(c, memory_file(b->data, b->size), &context);

    assert_int_equal(buf_terminate(warnings), 0);
    return r;
}

static void refused(const struct buf *b, const char *why)
{
    struct contents c = {0};

    assert_true(read_all(&c, memory_file(b->data, b->size), NULL) < 0);
    if (!strstr(c.err.message, why))
        fail_msg("%s", c.err.message);
    contents_clear(&c);
}

/* ---- Names ------------------------------------------------------------------------------- */

static void add_unicode_path(struct buf *extra, const char *stored, const char *name)
{
    put(extra, 2, ZIP_EXTRA_UNICODE_PATH);
    put(extra, 2, 5 + strlen(name));
    put(extra, 1, 1);
    put(extra, 4, crc32(0, (const Bytef *)stored, (uInt)strlen(stored)));
    buf_add_str(extra, name);
}

static void named(const char *stored, const struct buf *extra, const char *expected)
{
    struct contents c = {0};
    struct buf b = {0};

    make_one(&b, stored, extra, 0);
    read_bytes(&c, &b);
    assert_int_equal(c.count, 1);
    assert_string_equal(c.entries[0].path, expected);
    assert_int_equal(c.data[0].size, strlen("x = 1\n"));
    contents_clear(&c);
    buf_free(&b);
}

static void the_unicode_path_is_the_name_where_its_checksum_fits(void **state)
{
    struct buf extra = {0};

    (void)state;
    add_unicode_path(&extra, "m\201sli.py", "m\303\274sli.py");
    named("m\201sli.py", &extra, "m\303\274sli.py");
    named("renamed.py", &extra, "renamed.py"); /* since, by who did not know the field */
    buf_clear(&extra);
    add_unicode_path(&extra, "a\201\\b.py", "a\303\274\\b.py");
    named("a\201\\b.py", &extra, "a\303\274/b.py");
    buf_free(&extra);
}

static void a_unicode_path_that_is_none_does_not_count(void **state)
{
    struct buf extra = {0};

    (void)state;
    add_unicode_path(&extra, "m\201.py", "m\374.py"); /* no UTF-8 */
    named("m\201.py", &extra, "m\201.py");
    buf_clear(&extra);
    add_unicode_path(&extra, "m\201.py", ""); /* empty */
    named("m\201.py", &extra, "m\201.py");
    buf_clear(&extra);
    add_unicode_path(&extra, "m\201.py", "m\303\274.py");
    extra.data[4] = 2; /* a version to come */
    named("m\201.py", &extra, "m\201.py");
    buf_free(&extra);
}

/* Paths in the field are held to the same rules as others; the job that unpacks judges them. */
static void bytes_of_unknown_encoding_stay(void **state)
{
    (void)state;
    named("m\201sli.py", &(struct buf){0}, "m\201sli.py");
}

static void a_name_that_comes_again_is_told(void **state)
{
    static const struct foreign items[] = {
        {.name = "d/", .content = ""},         {.name = "d/a.py", .content = "1"},
        {.name = "d/", .content = ""},         {.name = "b.py", .content = "1"},
        {.name = "./d//a.py", .content = "2"}, {.name = "d/a.py", .content = "3"},
        {.name = "b.py", .content = "2"}};
    struct buf b = {0}, warnings = {0};
    struct contents c = {0};

    (void)state;
    make(&b, items, 4); /* directories may come again */
    assert_int_equal(read_and_listen(&c, &b, &warnings), 0);
    assert_string_equal((char *)warnings.data, "");
    contents_clear(&c);
    make(&b, items, 6);
    assert_int_equal(read_and_listen(&c, &b, &warnings), 0);
    assert_string_equal((char *)warnings.data,
                        "archive: d/a.py occurs more than once in it: the last entry counts\n");
    contents_clear(&c);
    buf_clear(&warnings);
    make(&b, items, 7);
    assert_int_equal(read_and_listen(&c, &b, &warnings), 0);
    assert_non_null(
        strstr((char *)warnings.data, "2 names occur more than once in it, among them "));
    assert_int_equal(c.count, 7);
    contents_clear(&c);
    buf_free(&warnings);
    buf_free(&b);
}

static void names_that_become_one_by_their_unicode_paths_are_told(void **state)
{
    struct buf b = {0}, warnings = {0}, first = {0}, second = {0};
    struct contents c = {0};

    (void)state;
    add_unicode_path(&first, "one.py", "same.py");
    add_unicode_path(&second, "two.py", "same.py");
    const struct foreign items[] = {
        {.name = "one.py", .content = "1", .extra = first.data, .extra_size = first.size},
        {.name = "two.py", .content = "2", .extra = second.data, .extra_size = second.size}};
    make(&b, items, 2);
    assert_int_equal(read_and_listen(&c, &b, &warnings), 0);
    assert_non_null(strstr((char *)warnings.data, "same.py occurs more than once"));
    contents_clear(&c);
    buf_free(&warnings);
    buf_free(&first);
    buf_free(&second);
    buf_free(&b);
}

/* ---- Times ------------------------------------------------------------------------------- */

static void a_32_bit_time_after_2038_is_told_by_the_dos_time(void **state)
{
    static const struct {
        int64_t time; /* of which the field has 32 bits */
        uint16_t date;
        int64_t expected;
    } times[] = {
        {1700000000, IN_2024, 1700000000},
        {2223374400, IN_2040, 2223374400},  /* 15 June 2040 */
        {4294980000, IN_2106, 4294980000},  /* 7 February 2106, and more than 32 bits */
        {-86400, 0x21, -86400},             /* before 1970: DOS times begin in 1980 */
        {-2147483648, 0x21, -2147483648},   /* 1901, not 2038 */
        {1700000000, IN_2040, 1700000000}}; /* they contradict one another: the exact one */
    static const uint16_t fields[] = {ZIP_EXTRA_TIME, ZIP_EXTRA_UNIX_OLD};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(times) / sizeof(times[0]); i++) {
        const bool is_old = i % 2;
        struct contents c = {0};
        struct buf extra = {0}, b = {0};

        put(&extra, 2, fields[is_old]);
        put(&extra, 2, is_old ? 8 : 5);
        put(&extra, is_old ? 4 : 1, 1);
        put(&extra, 4, (uint64_t)times[i / 2].time);
        make_one(&b, "a.py", &extra, times[i / 2].date);
        read_bytes(&c, &b);
        if (c.entries[0].mtime.tv_sec != times[i / 2].expected)
            fail_msg("%" PRIi64 " in %x gave %" PRIi64, times[i / 2].time, times[i / 2].date,
                     (int64_t)c.entries[0].mtime.tv_sec);
        contents_clear(&c);
        buf_free(&extra);
        buf_free(&b);
    }
}

/* ---- Types and methods ------------------------------------------------------------------- */

static void a_fifo_with_content_is_a_file(void **state)
{
    static const struct foreign items[] = {
        {.name = "-", .content = "all of the data\n", .attributes = 0010600u << 16},
        {.name = "fifo", .content = "", .attributes = 0010600u << 16},
        {.name = "null", .content = "", .attributes = 0020666u << 16}};
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    make(&b, items, 3);
    read_bytes(&c, &b);
    assert_int_equal(c.count, 3);
    assert_int_equal(c.entries[0].type, ENTRY_FILE);
    assert_int_equal(c.entries[0].mode, 0600);
    assert_int_equal(c.data[0].size, strlen(items[0].content));
    assert_int_equal(c.entries[1].type, ENTRY_OTHER);
    assert_int_equal(c.entries[2].type, ENTRY_OTHER);
    contents_clear(&c);
    buf_free(&b);
}

static void methods_that_nobody_reads_are_named(void **state)
{
    static const struct {
        uint16_t method;
        const char *name;
    } methods[] = {{1, "Shrink"}, {4, "Reduce"}, {6, "Implode"}, {9, "Deflate64"}};
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        struct foreign f = {.name = "a.py", .content = "x", .method = methods[i].method};

        make(&b, &f, 1);
        refused(&b, methods[i].name);
        f.attributes = 0120777u << 16; /* a symbolic link likewise */
        make(&b, &f, 1);
        refused(&b, methods[i].name);
    }
    buf_free(&b);
}

/* With no long field beside it, the largest number of 32 bits is a size like others. */
static void a_size_of_all_ones_is_a_size(void **state)
{
    struct zip_archive a = {.fd = -1};
    struct zip_entry e = {.limit = UINT64_C(1) << 40,
                          .size = ZIP_MAX32,
                          .packed_size = ZIP_MAX32,
                          .name_size = 1,
                          .crc = 7};
    const char *what = NULL;
    struct buf p = {0};
    size_t size;

    (void)state;
    assert_int_equal(buf_add(&a.names, "x", 2), 0);
    put(&p, 4, ZIP_LOCAL);
    put(&p, 8, 20);
    put(&p, 2, 0);
    put(&p, 4, e.crc);
    put(&p, 4, ZIP_MAX32);
    put(&p, 4, ZIP_MAX32);
    put(&p, 2, 1);
    put(&p, 2, 0);
    buf_add_str(&p, "x");
    assert_int_equal(zip_local_check(&a, &e, p.data, p.size, &size, &what), 0);
    e.size = 5; /* the directory says otherwise */
    assert_int_equal(zip_local_check(&a, &e, p.data, p.size, &size, &what), -EBADMSG);
    buf_free(&p);
    zip_archive_clear(&a);
}

/* ---- Around the archive ------------------------------------------------------------------ */

static const struct foreign plain[] = {{.name = "a.py", .content = "x = 1\n"},
                                       {.name = "b.py", .content = "x = 2\n"}};

static void bytes_behind_the_end_are_told(void **state)
{
    static const char *const behind[] = {"\n", "PK\5\6 and so on, which is no end record at all",
                                         "x"};
    struct contents c = {0};
    struct buf b = {0}, warnings = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        make(&b, plain, 2);
        buf_add_str(&b, behind[i]);
        buf_clear(&warnings);
        assert_int_equal(read_and_listen(&c, &b, &warnings), 0);
        assert_int_equal(c.count, 2);
        assert_non_null(strstr((char *)warnings.data, "follow the end of the archive are ignored"));
        contents_clear(&c);
    }
    buf_clear(&warnings);
    make(&b, plain, 2);
    buf_add_zeros(&b, 1000); /* padding */
    assert_int_equal(read_and_listen(&c, &b, &warnings), 0);
    assert_string_equal((char *)warnings.data, "");
    contents_clear(&c);
    buf_free(&warnings);
    buf_free(&b);
}

/* As behind a tar of ours: who reads on might see another archive. */
static void nothing_may_follow_an_archive_of_ours(void **state)
{
    static const char comment[] = "warmpack-manifest=0123456789abcdef";
    struct buf b = {0};

    (void)state;
    make(&b, plain, 2);
    put_le(b.data + b.size - 2, 2, strlen(comment));
    buf_add_str(&b, comment);
    buf_add_str(&b, "\n");
    refused(&b, "something follows the end of the archive, at byte");
    buf_free(&b);
}

/* An archive in a cut one is not taken for it. */
static void a_cut_archive_is_not_what_is_packed_in_it(void **state)
{
    struct buf inner = {0}, b = {0};

    (void)state;
    make(&inner, plain, 2);
    put(&b, 4, ZIP_LOCAL);
    put(&b, 2, 20);
    put(&b, 8, 0);
    put(&b, 4, crc32(0, inner.data, (uInt)inner.size));
    put(&b, 4, inner.size);
    put(&b, 4, inner.size);
    put(&b, 2, 5);
    put(&b, 2, 0);
    buf_add_str(&b, "i.zip");
    buf_add(&b, inner.data, inner.size);
    buf_add_str(&b, "PK\3\4 the next entry, which is cut");
    refused(&b, "does not end the file, or belongs to another archive");
    buf_free(&inner);
    buf_free(&b);
}

static void a_name_like_a_locator_is_a_name(void **state)
{
    static const struct foreign f = {.name = "PK\6\7aaaaaaaaaaaaa.py", .content = "x = 1\n"};
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    make(&b, &f, 1);
    read_bytes(&c, &b);
    assert_int_equal(c.count, 1);
    assert_string_equal(c.entries[0].path, f.name);
    contents_clear(&c);
    buf_free(&b);
}

/* FD's bytes through a pipe. */
static int through_a_pipe(const struct buf *b)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    if (fork() == 0) {
        for (size_t done = 0; done < b->size;) {
            ssize_t n = write(ends[1], b->data + done, b->size - done);

            if (n < 0)
                _exit(1);
            done += (size_t)n;
        }
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

static void a_zip_behind_a_program_is_read_from_a_pipe(void **state)
{
    enum { LONG = 700001 }; /* the first entry lies in a later read than the first */
    static const size_t programs[] = {23, 1, LONG};

    (void)state;
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        for (int shifted = 0; shifted < 2; shifted++) {
            struct contents c = {0};
            struct buf b = {0};

            buf_add_str(&b, "#");
            while (b.size < programs[i])
                buf_add_str(&b, "P");
            make_from(&b, shifted ? b.size : 0, plain, 2);
            if (read_all(&c, through_a_pipe(&b), NULL) < 0)
                fail_msg("%s", c.err.message);
            assert_int_equal(c.count, 2);
            contents_clear(&c);
            buf_free(&b);
        }
}

static void what_is_no_archive_is_refused_from_a_pipe(void **state)
{
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_add_str(&b, "No archive at all. ");
    assert_true(read_all(&c, through_a_pipe(&b), NULL) < 0);
    assert_non_null(strstr(c.err.message, "not an archive that can be read"));
    contents_clear(&c);
    buf_add_str(&b, "PK\3\4, but nothing else of a zip"); /* it is kept to its end, and no zip */
    assert_true(read_all(&c, through_a_pipe(&b), NULL) < 0);
    assert_non_null(strstr(c.err.message, "not an archive that can be read"));
    contents_clear(&c);
    buf_free(&b);
}

static void mark_is(const struct foreign *items, size_t n, const char *comment,
                    const char *expected)
{
    struct pool *pool = pool_new(1);
    struct format_open_options o = {.name = "archive", .pool = pool};
    struct format_reader *r;
    struct buf b = {0};

    make(&b, items, n);
    put_le(b.data + b.size - 2, 2, strlen(comment));
    buf_add_str(&b, comment);
    assert_int_equal(formats_open_reader(&r, memory_file(b.data, b.size), &o, NULL), 0);
    if (expected)
        assert_string_equal(r->mark, expected);
    else
        assert_null(r->mark);
    r->ops->free(r);
    pool_free(pool);
    buf_free(&b);
}

static void the_comment_names_the_manifest_by_its_id_or_its_path(void **state)
{
    static const struct foreign items[] = {
        {.name = "a/.warmpack/0123456789abcdef/manifest.jsonl", .content = "a"},
        {.name = "0123456789abcdef/manifest.jsonl", .content = "none of ours"},
        {.name = "b/.warmpack/fedcba9876543210/manifest.jsonl", .content = "b"}};

    (void)state;
    mark_is(items, 3, "warmpack-manifest=0123456789abcdef", items[0].name);
    mark_is(items, 3, "warmpack-manifest=fedcba9876543210", items[2].name);
    mark_is(items, 3, "warmpack-manifest=b/.warmpack/fedcba9876543210/manifest.jsonl",
            items[2].name);
    mark_is(items, 2, "warmpack-manifest=fedcba9876543210",
            ".warmpack/fedcba9876543210/manifest.jsonl"); /* the archive lacks it */
    mark_is(items, 3, "another comment", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_unicode_path_is_the_name_where_its_checksum_fits),
        cmocka_unit_test(a_unicode_path_that_is_none_does_not_count),
        cmocka_unit_test(bytes_of_unknown_encoding_stay),
        cmocka_unit_test(a_name_that_comes_again_is_told),
        cmocka_unit_test(names_that_become_one_by_their_unicode_paths_are_told),
        cmocka_unit_test(a_32_bit_time_after_2038_is_told_by_the_dos_time),
        cmocka_unit_test(a_fifo_with_content_is_a_file),
        cmocka_unit_test(methods_that_nobody_reads_are_named),
        cmocka_unit_test(a_size_of_all_ones_is_a_size),
        cmocka_unit_test(the_comment_names_the_manifest_by_its_id_or_its_path),
        cmocka_unit_test(bytes_behind_the_end_are_told),
        cmocka_unit_test(nothing_may_follow_an_archive_of_ours),
        cmocka_unit_test(a_cut_archive_is_not_what_is_packed_in_it),
        cmocka_unit_test(a_name_like_a_locator_is_a_name),
        cmocka_unit_test(a_zip_behind_a_program_is_read_from_a_pipe),
        cmocka_unit_test(what_is_no_archive_is_refused_from_a_pipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
