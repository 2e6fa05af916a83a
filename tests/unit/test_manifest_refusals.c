/* Promises of warmpack-manifest(5): what is refused, with which words, and what is let pass. */

#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "manifest_fixture.h"
#include "stream/pool.h"

/* A manifest of these lines between a right first and last line. */
static struct buf sealed(const char *header, const char *lines, size_t entries)
{
    unsigned char digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    struct buf text = {0};

    assert_int_equal(buf_add_str(&text, header), 0);
    assert_int_equal(buf_add_str(&text, lines), 0);
    sha256_of(text.data, text.size, digest);
    hex_encode(digest, sizeof digest, hex);
    assert_int_equal(
        buf_printf(&text, "{\"end\": true, \"entries\": %zu, \"sha256\": \"%s\"}\n", entries, hex),
        0);
    return text;
}

static const char HEADER[] =
    "{\"format\": \"warmpack-manifest\", \"version\": 1, \"creator\": \"x\", \"root\": \"/r\"}\n";

static void expect_message(int result, const struct manifest *got, const struct wp_error *err,
                           const char *message)
{
    assert_int_equal(result, -EINVAL);
    assert_null(got->entries);
    if (!strstr(err->message, message) || strncmp(err->message, "m.jsonl: ", 9) != 0)
        fail_msg("\"%s\" is not in \"%s\"", message, err->message);
}

/* In the same words, wherever the text is. */
static void expect_refused(const struct buf *text, const char *message)
{
    struct manifest got;
    struct wp_error from_memory = {0}, from_file = {0};
    FILE *file = as_file(text);

    expect_message(manifest_read(&got, text->data, text->size, "m.jsonl", NULL, &from_memory), &got,
                   &from_memory, message);
    expect_message(manifest_read_file(&got, fileno(file), text->size, "m.jsonl", NULL, &from_file),
                   &got, &from_file, message);
    assert_string_equal(from_memory.message, from_file.message);
    fclose(file);
}

#define FILE_LINE(path)                                                                            \
    "{\"path\": \"" path "\", \"type\": \"file\", \"mode\": \"0644\", \"uid\": 0, \"gid\": 0, "    \
    "\"size\": 1, \"mtime\": \"1.000000000\"}\n"
#define ENTRY_LINE(rest) "{\"path\": \"a\", " rest "}\n"
#define OWNED "\"uid\": 0, \"gid\": 0, \"mtime\": \"1.000000000\""
#define CACHE_LINE(path) "{\"cache\": \"" path "\", \"source\": \"\"}\n"
#define BARE_INDEX_LINE(path) "{\"index\": \"" path "\", \"valid\": true}\n"
#define INDEX_LINE(stamp) "{\"index\": \"i\", \"valid\": true, \"stamp\": " stamp "}\n"

static void a_bad_line_is_refused_and_named(void **state)
{
    static const struct {
        const char *lines, *message;
    } BAD[] = {
        {"x\n", "line 2: not JSON"},
        {"\n", "line 2: not JSON"},
        {"[1]\n", "line 2: not a JSON object"},
        {"{}}\n", "line 2: not JSON"},
        {"{\"a\": 1, \"a\": 1}\n", "line 2: a member stands there twice"},
        {"{\"a\": \"\xff\"}\n", "line 2: not UTF-8"},
        {FILE_LINE("a") FILE_LINE("b\\u0000c"), "line 3: not JSON"},
        {FILE_LINE("a") FILE_LINE("a"), "line 3: stands there twice: a"},
        {FILE_LINE("b") FILE_LINE("a\\n"), "line 3: out of order: a\\n"},
        {FILE_LINE("a") FILE_LINE("a/../b"), "line 3: \"path\" is no clean path"},
        {FILE_LINE(".."), "no clean path"},
        {FILE_LINE("/a"), "no clean path"},
        {FILE_LINE(""), "no clean path"},
        {FILE_LINE("a/"), "no clean path"},
        {FILE_LINE("a//b"), "no clean path"},
        {FILE_LINE("./a"), "no clean path"},
        {FILE_LINE("a/."), "no clean path"},
        {"{\"path_base64\": \"Li4=\"}\n", "no clean path"},
        {"{\"path_base64\": \"YQBi\"}\n", "\"path\" is not base 64"},
        {"{\"path_base64\": \"YR==\"}\n", "\"path\" is not base 64"},
        {"{\"path_base64\": \"YQ==YQ==\"}\n", "\"path\" is not base 64"},
        {"{\"path_base64\": \"YQ\"}\n", "\"path\" is not base 64"},
        {"{\"path_base64\": \"Y===\"}\n", "\"path\" is not base 64"},
        {"{\"path_base64\": \"Y Q=\"}\n", "\"path\" is not base 64"},
        {"{\"path_base64\": 5}\n", "\"path\" is not a string"},
        {"{\"path\": \"a\", \"path_base64\": \"YQ==\"}\n", "\"path\" stands there twice"},
        {"{\"path\": [\"a\"]}\n", "\"path\" is not a string"},
        {"{\"path\": \"a\", \"cache\": \"a\"}\n", "lines of their own"},
        {ENTRY_LINE("\"mode\": \"0644\", " OWNED), "\"type\" is missing"},
        {ENTRY_LINE("\"type\": \"fifo\", \"mode\": \"0644\", " OWNED), "\"type\" has a value"},
        {ENTRY_LINE("\"type\": 1, \"mode\": \"0644\", " OWNED), "\"type\" is not a string"},
        {ENTRY_LINE("\"type\": \"dir\", " OWNED), "\"mode\" is missing"},
        {ENTRY_LINE("\"type\": \"dir\", \"mode\": \"644\", " OWNED), "\"mode\" is not four"},
        {ENTRY_LINE("\"type\": \"dir\", \"mode\": \"00644\", " OWNED), "\"mode\" is not four"},
        {ENTRY_LINE("\"type\": \"dir\", \"mode\": \"0649\", " OWNED), "\"mode\" is not four"},
        {ENTRY_LINE("\"type\": \"dir\", \"mode\": 420, " OWNED), "\"mode\" is not a string"},
        {ENTRY_LINE("\"type\": \"file\", \"mode\": \"0644\", " OWNED), "\"size\" is missing"},
        {ENTRY_LINE("\"type\": \"file\", \"mode\": \"0644\", \"size\": -1, " OWNED),
         "\"size\" is out of range"},
        {ENTRY_LINE("\"type\": \"file\", \"mode\": \"0644\", \"size\": 1.0, " OWNED),
         "\"size\" is not a whole number"},
        {ENTRY_LINE("\"type\": \"file\", \"mode\": \"0644\", \"size\": \"1\", " OWNED),
         "\"size\" is not a whole number"},
        {ENTRY_LINE(
             "\"type\": \"file\", \"mode\": \"0644\", \"size\": 9223372036854775808, " OWNED),
         "line 2: not JSON"},
        {ENTRY_LINE(
             "\"type\": \"file\", \"mode\": \"0644\", \"size\": 1, \"sha256\": \"00\", " OWNED),
         "\"sha256\" is not 64"},
        {ENTRY_LINE("\"type\": \"dir\", \"mode\": \"0644\", \"uid\": 4294967296, \"gid\": 0"),
         "\"uid\" is out of range"},
        {ENTRY_LINE("\"type\": \"dir\", \"mode\": \"0644\", \"uid\": 0, \"gid\": 0, \"user\": 0"),
         "\"user\" is not a string"},
        {ENTRY_LINE(
             "\"type\": \"dir\", \"mode\": \"0644\", \"uid\": 0, \"gid\": 0, \"mtime\": 1.5"),
         "\"mtime\" is not a string"},
        {ENTRY_LINE("\"type\": \"dir\", \"mode\": \"0644\", \"uid\": 0, \"gid\": 0, "
                    "\"mtime\": \"1.5\""),
         "\"mtime\" is not a time"},
        {ENTRY_LINE("\"type\": \"symlink\", \"mode\": \"0777\", " OWNED), "\"target\" is missing"},
        {ENTRY_LINE("\"type\": \"symlink\", \"mode\": \"0777\", \"target\": \"\", " OWNED),
         "\"target\" is empty"},
        {ENTRY_LINE("\"type\": \"hardlink\", \"mode\": \"0777\", \"target\": \"../b\", " OWNED),
         "\"target\" is no clean path"},
        {"{\"cache\": \"a\"}\n", "\"source\" is missing"},
        {"{\"cache\": \"../a\", \"source\": \"\"}\n", "\"cache\" is no clean path"},
        {"{\"cache\": \"\", \"source\": \"\"}\n", "\"cache\" is no clean path"},
        {"{\"cache\": \"a\", \"source\": \"/\"}\n", "\"source\" is no clean path"},
        {"{\"cache\": \"a\", \"source\": \"\", \"place\": \"moon\"}\n", "\"place\" has a value"},
        {"{\"cache\": \"b\", \"source\": \"\"}\n{\"cache\": \"a\", \"source\": \"\"}\n",
         "line 3: out of order: a"},
        {"{\"index\": \"a\"}\n", "\"valid\" is missing"},
        {"{\"index\": \"a\", \"valid\": 1}\n", "\"valid\" is neither true nor false"},
        {"{\"index\": \"a\", \"valid\": true, \"source\": \"\"}\n", "\"source\" is no clean path"},
        {"{\"index\": \"a\", \"valid\": true, \"cpus\": 0}\n", "\"cpus\" is not an array"},
        {"{\"index\": \"a\", \"valid\": true, \"cpus\": [32]}\n", "no number of a CPU"},
        {"{\"index\": \"a\", \"valid\": true, \"cpus\": [-1]}\n", "no number of a CPU"},
        {"{\"index\": \"a\", \"valid\": true, \"cpus\": [\"0\"]}\n", "no number of a CPU"},
        {"{\"index\": \"a\", \"valid\": true}\n{\"index\": \"a\", \"valid\": true}\n",
         "line 3: stands there twice: a"},
        {INDEX_LINE("5"), "\"stamp\" is not an object"},
        {INDEX_LINE("{}"), "\"kind\" is missing"},
        {INDEX_LINE("{\"kind\": \"mtime\", \"mtime\": \"1\", \"size\": 1}"),
         "\"mtime\" of the stamp"},
        {INDEX_LINE("{\"kind\": \"mtime\", \"size\": 1}"), "\"mtime\" of the stamp"},
        {INDEX_LINE("{\"kind\": \"mtime\", \"mtime\": 1e999, \"size\": 1}"), "not JSON"},
        {INDEX_LINE("{\"kind\": \"mtime\", \"mtime\": 1.5}"), "\"size\" is missing"},
        {INDEX_LINE("{\"kind\": \"seconds\", \"mtime\": 1.0, \"size\": 1}"),
         "\"mtime\" of the stamp"},
        {INDEX_LINE("{\"kind\": \"content\"}"), "\"sha256\" is missing"},
        {INDEX_LINE("{\"kind\": \"content\", \"sha256\": \"zz\"}"), "\"sha256\" is not 64"},
        {"{\"end\": false}\n", "line 2: a first or last line in the middle"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(BAD); i++) {
        _cleanup_buf_ struct buf text = sealed(HEADER, BAD[i].lines, 1);

        expect_refused(&text, BAD[i].message);
    }
}

static void a_bad_first_line_is_refused(void **state)
{
#define START "{\"format\": \"warmpack-manifest\", \"version\": "
#define CPU_START START "1, \"creator\": \"x\", \"root\": \"/r\", \"cpu\": \"t c \", \"needs\": "
    static const struct {
        const char *header, *message;
    } BAD[] = {
        {"{\"path\": \"a\"}\n", "line 1: not the first line"},
        {"{\"format\": \"tar\", \"version\": 1}\n", "line 1: not the first line"},
        {START "2, \"creator\": \"x\", \"root\": \"/r\"}\n", "version 2 is not known here"},
        {START "\"1\", \"creator\": \"x\", \"root\": \"/r\"}\n", "\"version\" is not a whole"},
        {START "1, \"root\": \"/r\"}\n", "\"creator\" is missing"},
        {START "1, \"creator\": \"x\"}\n", "\"root\" is missing"},
        {START "1, \"creator\": \"x\", \"root\": \"r\"}\n", "a root is not absolute"},
        {START "1, \"creator\": \"x\", \"roots\": []}\n", "\"roots\" is not a list"},
        {START "1, \"creator\": \"x\", \"roots\": \"/r\"}\n", "\"roots\" is not a list"},
        {START "1, \"creator\": \"x\", \"roots\": [\"/r\", 1]}\n", "\"roots\" is not a string"},
        {START "1, \"creator\": \"x\", \"roots\": [\"/r\"], \"root\": \"/r\"}\n", "twice"},
        {START "1, \"creator\": \"x\", \"root\": \"/r\", \"env\": 1}\n",
         "\"env\" is not an object"},
        {START "1, \"creator\": \"x\", \"root\": \"/r\", \"env\": {\"A\": 1}}\n",
         "is not a string"},
        {START "1, \"creator\": \"x\", \"root\": \"/r\", \"env\": {\"A=\": \"\"}}\n",
         "without a name"},
        {START "1, \"creator\": \"x\", \"root\": \"/r\", \"env\": {\"\": \"\"}}\n",
         "without a name"},
        {CPU_START "{}}\n", "\"needs\" is no array"},
        {CPU_START "[[], []]}\n", "\"needs\" is no array with a list for each CPU"},
        {CPU_START "[\"avx\"]}\n", "no list of features"},
        {CPU_START "[[1]]}\n", "no feature's name"},
        {CPU_START "[[\"avx,fma\"]]}\n", "no feature's name"},
        {CPU_START "[[\"\"]]}\n", "no feature's name"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(BAD); i++) {
        _cleanup_buf_ struct buf text = sealed(BAD[i].header, "", 0);

        expect_refused(&text, BAD[i].message);
    }
    expect_refused(&(struct buf){(unsigned char *)"", 0, 0}, "the manifest is empty");
}

static void a_wrong_count_is_refused(void **state)
{
    _cleanup_buf_ struct buf text = sealed(HEADER, FILE_LINE("a"), 2);

    (void)state;
    expect_refused(&text, "the manifest has 1 entries, but says 2");
}

static void a_line_that_is_too_long_is_refused(void **state)
{
    size_t n = (1 << 20) + 1;
    _cleanup_free_ char *line = malloc(n + 1);
    _cleanup_buf_ struct buf text = {0};

    (void)state;
    memset(line, ' ', n);
    memcpy(line, "{}", 2);
    line[n - 1] = '\n';
    line[n] = '\0';
    text = sealed(HEADER, line, 0);
    expect_refused(&text, "line 2: longer than");
    line[n - 2] = '\n'; /* a byte less is right */
    line[n - 1] = '\0';
    buf_free(&text);
    text = sealed(HEADER, line, 0);
    {
        _cleanup_(manifest_clear) struct manifest got = {0};

        assert_int_equal(manifest_read(&got, text.data, text.size, "m", NULL, NULL), 0);
    }
}

static void deep_nesting_is_refused(void **state)
{
    size_t n = 500000;
    _cleanup_free_ char *line = malloc(n + 8);
    _cleanup_buf_ struct buf text = {0};

    (void)state;
    memcpy(line, "{\"a\": ", 6);
    memset(line + 6, '[', n);
    memcpy(line + 6 + n, "\n", 2);
    text = sealed(HEADER, line, 0);
    expect_refused(&text, "line 2: not JSON");
}

static void a_manifest_cut_anywhere_is_refused(void **state)
{
    struct manifest m = sample();
    _cleanup_buf_ struct buf text = written(&m);

    (void)state;
    for (size_t n = 0; n < text.size; n++) {
        /* An exact copy, so that a sanitizer sees a byte read too far. */
        _cleanup_free_ char *part = malloc(n + !n);
        struct manifest got;
        struct wp_error err = {0};

        memcpy(part, text.data, n);
        assert_int_equal(manifest_read(&got, part, n, "m", NULL, &err), -EINVAL);
        assert_int_not_equal(err.message[0], '\0');
    }
}

static void a_manifest_changed_anywhere_is_refused(void **state)
{
    struct manifest m = sample();
    _cleanup_buf_ struct buf text = written(&m);

    (void)state;
    for (size_t i = 0; i < text.size; i++) {
        struct manifest got;

        text.data[i] ^= 1;
        if (manifest_read(&got, text.data, text.size, "m", NULL, NULL) != -EINVAL)
            fail_msg("byte %zu may change", i);
        text.data[i] ^= 1;
    }
}

/* Reading cuts a large manifest into pieces: lines with half a megabyte between them are in
 * different ones. */
static void disorder_between_distant_lines_is_found(void **state)
{
    static const char *const RIGHT[][2] = {
        {FILE_LINE("a"), FILE_LINE("b")},
        {CACHE_LINE("a"), CACHE_LINE("b")},
        {BARE_INDEX_LINE("a"), BARE_INDEX_LINE("b")},
    };
    _cleanup_free_ char *far = malloc(500001);
    struct pool *pool = pool_new(2);

    (void)state;
    memset(far, ' ', 500000);
    far[0] = '{';
    memcpy(far + 499998, "}\n", 3);
    for (size_t i = 0; i < COUNT(RIGHT); i++) {
        for (int k = 0; k < 4; k++) {
            _cleanup_buf_ struct buf lines = {0}, text = {0};
            _cleanup_(manifest_clear) struct manifest got = {0};
            struct wp_error err = {0};
            int r;

            buf_printf(&lines, "%s%s%s", RIGHT[i][k & 1], far, RIGHT[i][k >> 1]);
            text = sealed(HEADER, (char *)lines.data, i == 0 ? 2 : 0);
            r = manifest_read(&got, text.data, text.size, "m", pool, &err);
            assert_int_equal(r, k == 2 ? 0 : -EINVAL);
            assert_string_equal(err.message, k == 2   ? ""
                                             : k == 1 ? "m: line 4: out of order"
                                                      : "m: line 4: stands there twice");
        }
    }
    pool_free(pool);
}

static void what_is_not_known_is_ignored(void **state)
{
    static const char LINES[] =
        "{\"later\": {\"path\": \"..\"}}\n"
        "{\"path\": \"a\", \"type\": \"file\", \"mode\": \"0644\", \"uid\": 0, \"gid\": 0, "
        "\"size\": 1, \"mtime\": \"1.000000000\", \"xattrs\": {\"a\": [1]}}\n"
        "{}\n"
        "{\"cache\": \"c\", \"source\": \"\"}\n"
        "{\"index\": \"i\", \"valid\": true, \"numba\": \"0.99\", "
        "\"stamp\": {\"kind\": \"inode\", \"inode\": 7}}\r\n";
    _cleanup_buf_ struct buf text = sealed(HEADER, LINES, 1);
    _cleanup_(manifest_clear) struct manifest got = {0};
    struct wp_error err = {0};

    (void)state;
    buf_add_str(&text, "{\"signature\": {\"algorithm\": \"ed25519\"}}\n{\"signature\": {}}\n");
    if (manifest_read(&got, text.data, text.size, "m", NULL, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(got.entry_count, 1);
    assert_int_equal(got.cache_count, 1);
    assert_string_equal(got.caches[0].source, "");
    assert_int_equal(got.caches[0].kind, MANIFEST_CACHE_DIR);
    assert_int_equal(got.index_count, 1);
    assert_int_equal(got.indexes[0].stamp.kind, WP_STAMP_UNKNOWN);
}

static void only_a_signature_may_follow_the_end(void **state)
{
    static const char *const BEHIND[] = {"{}\n", "{\"signature\": 1}\n", "x\n",
                                         "\n",   "{\"signature\": {}}",  FILE_LINE("b")};

    (void)state;
    for (size_t i = 0; i < COUNT(BEHIND); i++) {
        _cleanup_buf_ struct buf text = sealed(HEADER, FILE_LINE("a"), 1);

        buf_add_str(&text, BEHIND[i]);
        expect_refused(&text, "");
    }
}

/* A sanitizer keeps freed memory, has a copy of what is used, and looks at each access. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MOST_MORE = 1 << 20 /* KiB */, SLOWER = 10 };
#else
enum { MOST_MORE = 64 << 10, SLOWER = 1 };
#endif

/* As many signatures as a megabyte and a half holds, behind an end line with a wrong count: each
 * must be looked at once. Looking at all that stands before each would take minutes. */
static void many_signatures_are_read_in_the_time_of_few(void **state)
{
    static const char SIGNATURE[] = "{\"signature\": {}}\n";
    enum { MANY = 80000, SECONDS = 15 * SLOWER };
    _cleanup_buf_ struct buf text = {0};
    clock_t begin = clock();

    (void)state;
    buf_add_str(&text, HEADER);
    buf_add_str(&text, "{\"end\": true, \"entries\": -1}\n");
    for (int i = 0; i < MANY; i++)
        assert_int_equal(buf_add(&text, SIGNATURE, sizeof SIGNATURE - 1), 0);
    expect_refused(&text, "line 2: \"entries\" is out of range");
    assert_true(clock() - begin < (clock_t)SECONDS * CLOCKS_PER_SEC);
}

static long most_memory(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

static void a_line_without_end_is_not_brought_into_memory(void **state)
{
    static const char END[] = "\n{\"end\": true, \"entries\": 0, \"sha256\": \""
                              "0000000000000000000000000000000000000000000000000000000000000000"
                              "\"}\n";
    const off_t size = 512 << 20;
    struct manifest got;
    struct wp_error err = {0};
    int fd = memfd_create("manifest", MFD_CLOEXEC);
    long before;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, HEADER, sizeof HEADER - 1, 0), sizeof HEADER - 1);
    assert_int_equal(pwrite(fd, END, sizeof END - 1, size), sizeof END - 1);
    before = most_memory();
    expect_message(
        manifest_read_file(&got, fd, (size_t)size + sizeof END - 1, "m.jsonl", NULL, &err), &got,
        &err, "line 2: longer than 1048576 bytes");
    assert_true(most_memory() - before < MOST_MORE);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_line_is_refused_and_named),
        cmocka_unit_test(a_bad_first_line_is_refused),
        cmocka_unit_test(a_wrong_count_is_refused),
        cmocka_unit_test(a_line_that_is_too_long_is_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_manifest_cut_anywhere_is_refused),
        cmocka_unit_test(a_manifest_changed_anywhere_is_refused),
        cmocka_unit_test(disorder_between_distant_lines_is_found),
        cmocka_unit_test(what_is_not_known_is_ignored),
        cmocka_unit_test(only_a_signature_may_follow_the_end),
        cmocka_unit_test(many_signatures_are_read_in_the_time_of_few),
        cmocka_unit_test(a_line_without_end_is_not_brought_into_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
