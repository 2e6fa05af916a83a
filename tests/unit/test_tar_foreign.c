/* Tars as other programs write them: without an end, directories from before these had a type,
 * devices; and the manifest of one of ours, found from its end. */

#include "codec/codec.h"
#include "tar/tar_header.h"
#include "tar/tar_look_back.h"
#include "tar_fixture.h"

/* Adds a header, and CONTENT where that is not NULL; SIZE is what the header says. */
static void add(struct buf *b, char type, const char *name, uint64_t size, const char *content)
{
    struct tar_header h = {.type = type};
    size_t n = content ? strlen(content) : 0;

    memcpy(h.name, name, strlen(name));
    memcpy(h.magic, "ustar", 6);
    memcpy(h.version, "00", 2);
    tar_put_number(h.mode, sizeof(h.mode), 0644);
    tar_put_number(h.uid, sizeof(h.uid), 0);
    tar_put_number(h.gid, sizeof(h.gid), 0);
    tar_put_number(h.size, sizeof(h.size), (int64_t)size);
    tar_put_number(h.mtime, sizeof(h.mtime), 1);
    tar_put_number(h.devmajor, sizeof(h.devmajor), 8);
    tar_put_number(h.devminor, sizeof(h.devminor), 17);
    if (type == TAR_HARDLINK)
        memcpy(h.linkname, "a.py", 4);
    tar_put_checksum(&h);
    buf_add(b, &h, sizeof(h));
    buf_add(b, content, n);
    buf_add_zeros(b, tar_padding(n));
}

static void add_file(struct buf *b, const char *name, const char *content)
{
    add(b, TAR_FILE, name, strlen(content), content);
}

static void note_warning(void *ctx, enum wp_severity severity, const char *text)
{
    if (severity == WP_WARNING)
        snprintf(ctx, 512, "%s", text);
}

static int read_and_listen(struct contents *c, const struct buf *b, char warning[512])
{
    const struct wp_context rep = {.message = note_warning, .user_data = warning};

    warning[0] = '\0';
    return read_all(c, memory_file(b->data, b->size), &rep);
}

/* ---- Without an end ---------------------------------------------------------------------- */

static void an_archive_may_end_where_an_entry_ends(void **state)
{
    struct contents c = {0};
    struct buf b = {0};
    char warning[512];

    (void)state;
    add_file(&b, "a.py", "x = 1\n");
    add(&b, TAR_DIR, "d/", 0, NULL);
    assert_int_equal(read_and_listen(&c, &b, warning), 0);
    assert_int_equal(c.count, 2);
    assert_non_null(strstr(warning, "no blocks of zeros end the archive, after 1536 bytes"));
    contents_clear(&c);
    for (size_t n = 1; n < b.size; n++) { /* within one it is cut */
        if (n == 1024)
            continue;
        struct buf part = {.data = b.data, .size = n};

        assert_true(read_and_listen(&c, &part, warning) < 0);
        contents_clear(&c);
    }
    buf_free(&b);
}

static void an_extended_header_at_the_end_lacks_its_entry(void **state)
{
    struct contents c = {0};
    struct buf b = {0};
    char warning[512];

    (void)state;
    add_file(&b, "a.py", "x = 1\n");
    add(&b, TAR_PAX, "PaxHeader", 13, "13 path=b.py\n");
    assert_true(read_and_listen(&c, &b, warning) < 0);
    assert_non_null(strstr(c.err.message, "truncated"));
    contents_clear(&c);
    buf_free(&b);
}

static void what_is_too_short_for_a_header_is_no_tar(void **state)
{
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    buf_add_str(&b, "x = 1\n");
    struct format_block block = {.plain = b};
    assert_int_equal(codec_gzip.pack(&block, 1, NULL), 0);
    assert_true(read_all(&c, memory_file(block.packed.data, block.packed.size), NULL) < 0);
    assert_non_null(strstr(c.err.message, "not a tar archive: it ends after 6 bytes"));
    contents_clear(&c);
    format_block_free(&block); /* and the bytes of B */
}

/* ---- Sizes of what has no content -------------------------------------------------------- */

static void the_next_entry_is_found(char type, const char *name, const char *content, size_t size)
{
    struct contents c = {0};
    struct buf b = {0};

    add_file(&b, "a.py", "x = 1\n");
    add(&b, type, name, size, content);
    add_file(&b, "b.py", "x = 2\n");
    buf_add_zeros(&b, 1024);
    read_bytes(&c, &b);
    assert_int_equal(c.count, 3);
    assert_int_equal(c.entries[1].type, type == TAR_HARDLINK ? ENTRY_HARDLINK : ENTRY_DIR);
    assert_int_equal(c.data[1].size, 0);
    assert_string_equal(c.entries[2].path, "b.py");
    contents_clear(&c);
    buf_free(&b);
}

static void a_directory_of_an_old_tar_has_no_content(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        the_next_entry_is_found(old ? TAR_FILE_V7 : TAR_FILE, "d/", NULL, 1);
        the_next_entry_is_found(old ? TAR_FILE_V7 : TAR_FILE, "d/", NULL, 512);
        the_next_entry_is_found(old ? TAR_FILE_V7 : TAR_FILE, "d/", NULL, 100000);
    }
    the_next_entry_is_found(TAR_DIR, "d/", NULL, 4096);
    the_next_entry_is_found(TAR_HARDLINK, "link", NULL, 6);
}

/* POSIX lets a hard link have content; some have written such directories. */
static void content_that_is_there_all_the_same_is_stepped_over(void **state)
{
    char *text = malloc(2001);

    (void)state;
    memset(text, 'x', 2000);
    text[2000] = '\0';
    the_next_entry_is_found(TAR_HARDLINK, "link", "x = 1\n", 6);
    the_next_entry_is_found(TAR_HARDLINK, "link", text, 2000);
    the_next_entry_is_found(TAR_FILE_V7, "d/", text, 2000);
    text[512] = '\0';
    the_next_entry_is_found(TAR_FILE_V7, "d/", text, 512);
    free(text);
}

static void the_header_behind_a_file_is_never_stepped_over(void **state)
{
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    add(&b, TAR_FILE_V7, "d/", 100, NULL);
    add_file(&b, "a.py", "x = 1\n");
    add_file(&b, "b.py", "x = 2\n");
    buf_add_zeros(&b, 1024);
    b.data[1536] ^= 1; /* of b.py's header */
    assert_true(read_all(&c, memory_file(b.data, b.size), NULL) < 0);
    assert_non_null(strstr(c.err.message, "no valid header at byte 1536"));
    contents_clear(&c);
    buf_free(&b);
}

/* ---- Devices ----------------------------------------------------------------------------- */

static void devices_come_with_their_type_and_numbers(void **state)
{
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    add(&b, TAR_FIFO, "fifo", 0, NULL);
    add(&b, TAR_CHAR, "null", 0, NULL);
    add(&b, TAR_BLOCKDEV, "disk", 0, NULL);
    buf_add_zeros(&b, 1024);
    read_bytes(&c, &b);
    assert_int_equal(c.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(c.entries[i].type, ENTRY_OTHER);
        assert_int_equal(c.entries[i].special, "pcb"[i]);
        assert_int_equal(c.entries[i].device.major, 8);
        assert_int_equal(c.entries[i].device.minor, 17);
    }
    contents_clear(&c);
    buf_free(&b);
}

/* ---- The last entry, from the end -------------------------------------------------------- */

static int look_back(const struct buf *b, uint64_t *offset)
{
    int fd = memory_file(b->data, b->size);
    int r = tar_look_back(fd, 1 << 20, offset);

    close(fd);
    return r;
}

static void the_last_entry_is_found_from_the_end(void **state)
{
    static const size_t sizes[] = {1, 511, 512, 513, 130000, 131072, 300000};
    char *text = malloc(300001);

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (int extended = 0; extended < 3; extended++) {
            struct buf b = {0};
            uint64_t offset = 0, expected;

            memset(text, 'm', sizes[i]);
            text[sizes[i]] = '\0';
            add_file(&b, "a.py", "x = 1\n");
            expected = b.size;
            if (extended > 0)
                add(&b, TAR_PAX, "PaxHeader", 12, "12 mtime=1.5");
            if (extended > 1)
                add(&b, TAR_LONG_NAME, "././@LongLink", 4, "name");
            add_file(&b, "manifest", text);
            buf_add_zeros(&b, 1024 + 512 * i);
            assert_int_equal(look_back(&b, &offset), 1);
            assert_int_equal(offset, expected);
            buf_free(&b);
        }
    free(text);
}

static void what_does_not_end_like_a_tar_has_no_last_entry(void **state)
{
    struct buf b = {0};
    uint64_t offset;

    (void)state;
    add_file(&b, "a.py", "x = 1\n");
    assert_int_equal(look_back(&b, &offset), 0); /* no zeros */
    buf_add_zeros(&b, 512);
    assert_int_equal(look_back(&b, &offset), 0); /* too few */
    buf_add_zeros(&b, 512);
    assert_int_equal(look_back(&b, &offset), 1);
    buf_add_str(&b, "x");
    assert_int_equal(look_back(&b, &offset), 0); /* no whole blocks */
    buf_add_zeros(&b, 511 + 1024);
    assert_int_equal(look_back(&b, &offset), 0); /* another content than the header says */
    buf_clear(&b);
    buf_add_zeros(&b, 10240);
    assert_int_equal(look_back(&b, &offset), 0); /* nothing but zeros */
    b.size = 0;
    assert_int_equal(look_back(&b, &offset), 0);
    buf_free(&b);
}

/* More than one may want to look at: the text of a manifest is far smaller. */
static void not_all_of_a_large_file_is_looked_at(void **state)
{
    struct buf b = {0};
    uint64_t offset;

    (void)state;
    add_file(&b, "a.py", "x = 1\n");
    for (int i = 0; i < 70000; i++)
        buf_add_str(&b, "thirty-two bytes of the content.");
    buf_add_zeros(&b, 1024);
    assert_int_equal(look_back(&b, &offset), 0);
    buf_free(&b);
}

/* What jobs ask for the manifest alone: 1 where it is found. */
static int find_manifest(const struct buf *b)
{
    struct format_open_options o = {.name = "archive"};
    struct buf path = {0}, text = {0};
    struct format_reader *r;
    int found;

    assert_int_equal(formats_open_reader(&r, memory_file(b->data, b->size), &o, NULL), 0);
    found = r->ops->manifest(r, &path, &text, NULL);
    r->ops->free(r);
    buf_free(&path);
    buf_free(&text);
    return found;
}

/* Looking back, the last one of them would be met, reading in order the first. */
static void joined_archives_have_no_manifest(void **state)
{
    struct item items[] = {FILE_AT("z/a", 1, 1), FILE_AT(MANIFEST, 1, 0)};
    struct contents c = {0};
    struct buf b = {0};

    (void)state;
    items[1].content = "{}\n"; /* what could be one */
    pack(&b, &format_tar, false, items, 2);
    assert_int_equal(find_manifest(&b), 1);
    assert_int_equal(buf_reserve(&b, b.size), 0);
    assert_int_equal(buf_add(&b, b.data, b.size), 0);
    assert_int_equal(find_manifest(&b), 0);
    assert_true(read_all(&c, memory_file(b.data, b.size), NULL) < 0);
    assert_non_null(strstr(c.err.message, "joined"));
    contents_clear(&c);
    buf_free(&b);
}

static void a_manifest_that_says_another_place_is_refused(void **state)
{
    static const char text[] = TAR_OFFSET_COMMENT;
    struct item items[] = {FILE_AT("z/a", 1, 1), FILE_AT(MANIFEST, 1, 0)};
    struct contents c = {0};
    struct buf b = {0};
    char *at;

    (void)state;
    items[1].content = "{}\n"; /* what could be one */
    pack(&b, &format_tar, false, items, 2);
    at = memmem(b.data, b.size, text, sizeof(text) - 1);
    assert_non_null(at);
    at[sizeof(text) - 1] = '9';
    assert_int_equal(find_manifest(&b), 0);
    assert_true(read_all(&c, memory_file(b.data, b.size), NULL) < 0);
    assert_non_null(strstr(c.err.message, "says that its manifest begins"));
    contents_clear(&c);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_archive_may_end_where_an_entry_ends),
        cmocka_unit_test(an_extended_header_at_the_end_lacks_its_entry),
        cmocka_unit_test(what_is_too_short_for_a_header_is_no_tar),
        cmocka_unit_test(a_directory_of_an_old_tar_has_no_content),
        cmocka_unit_test(content_that_is_there_all_the_same_is_stepped_over),
        cmocka_unit_test(the_header_behind_a_file_is_never_stepped_over),
        cmocka_unit_test(devices_come_with_their_type_and_numbers),
        cmocka_unit_test(the_last_entry_is_found_from_the_end),
        cmocka_unit_test(what_does_not_end_like_a_tar_has_no_last_entry),
        cmocka_unit_test(not_all_of_a_large_file_is_looked_at),
        cmocka_unit_test(joined_archives_have_no_manifest),
        cmocka_unit_test(a_manifest_that_says_another_place_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
