/* Promises of warmpack-manifest(5): what is written, and that it is read again. */

#include "manifest_fixture.h"
#include "stream/pool.h"

static void assert_same_text(const char *a, const char *b)
{
    assert_int_equal(!a, !b);
    if (a)
        assert_string_equal(a, b);
}

static void assert_same_entry(const struct entry *a, const struct entry *b)
{
    assert_string_equal(a->path, b->path);
    assert_same_text(a->target, b->target);
    assert_same_text(a->uname, b->uname);
    assert_same_text(a->gname, b->gname);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_true(a->size == b->size);
    assert_true(a->mtime.tv_sec == b->mtime.tv_sec);
    assert_int_equal(a->mtime.tv_nsec, b->mtime.tv_nsec);
    assert_int_equal(a->has_sha256, b->has_sha256);
    assert_memory_equal(a->sha256, b->sha256, sizeof a->sha256);
}

static void assert_same(const struct manifest *a, const struct manifest *b)
{
    assert_string_equal(a->creator, b->creator);
    assert_int_equal(a->root_count, b->root_count);
    for (size_t i = 0; i < a->root_count; i++)
        assert_string_equal(a->roots[i], b->roots[i]);
    assert_int_equal(a->env_count, b->env_count);
    for (size_t i = 0; i < a->env_count; i++)
        assert_string_equal(a->env[i], b->env[i]);
    assert_int_equal(a->cpu_count, b->cpu_count);
    for (size_t i = 0; i < a->cpu_count; i++)
        assert_string_equal(a->cpus[i], b->cpus[i]);
    for (size_t i = 0; i < a->cpu_count; i++)
        assert_same_text(a->needs[i], b->needs[i]);
    assert_int_equal(a->entry_count, b->entry_count);
    for (size_t i = 0; i < a->entry_count; i++)
        assert_same_entry(&a->entries[i], &b->entries[i]);
    assert_int_equal(a->cache_count, b->cache_count);
    for (size_t i = 0; i < a->cache_count; i++) {
        assert_string_equal(a->caches[i].cache, b->caches[i].cache);
        assert_string_equal(a->caches[i].source, b->caches[i].source);
        assert_int_equal(a->caches[i].kind, b->caches[i].kind);
    }
    assert_int_equal(a->index_count, b->index_count);
    for (size_t i = 0; i < a->index_count; i++) {
        const struct manifest_index *x = &a->indexes[i], *y = &b->indexes[i];

        assert_string_equal(x->index, y->index);
        assert_same_text(x->source, y->source);
        assert_int_equal(x->valid, y->valid);
        assert_int_equal(x->has_cpus, y->has_cpus);
        assert_int_equal(x->cpus, y->cpus);
        assert_int_equal(x->has_stamp, y->has_stamp);
        assert_int_equal(x->stamp.kind, y->stamp.kind);
        assert_true(x->stamp.mtime == y->stamp.mtime);
        assert_true(x->stamp.size == y->stamp.size);
        assert_memory_equal(x->stamp.sha256, y->stamp.sha256, sizeof x->stamp.sha256);
    }
}

/* ---- Writing ------------------------------------------------------------------------------ */

static void the_text_is_the_documented_one(void **state)
{
    static const char WANT[] =
        "{\"format\": \"warmpack-manifest\", \"version\": 1, \"creator\": \"warmpack 0.1.0\", "
        "\"root\": \"/srv/build\", \"env\": {\"NUMBA_OPT\": \"3\"}, "
        "\"cpu\": \"x86_64-pc-linux-gnu generic \", \"needs\": [[\"cx8\", \"sse2\"]]}\n"
        "{\"path\": \"app\", \"type\": \"dir\", \"mode\": \"0755\", \"uid\": 0, \"gid\": 0, "
        "\"mtime\": \"1795339396.000000000\"}\n"
        "{\"path\": \"app/k.py\", \"type\": \"file\", \"mode\": \"0644\", \"uid\": 0, \"gid\": 0, "
        "\"user\": \"root\", \"group\": \"root\", \"size\": 661, "
        "\"mtime\": \"1795339396.456441290\", \"sha256\": \"abcd00000000000000000000000000000000"
        "0000000000000000000000000001\"}\n"
        "{\"path\": \"app/link\", \"type\": \"symlink\", \"target_base64\": \"Li4vLi4vZXRjL/8=\", "
        "\"mode\": \"0777\", \"uid\": 0, \"gid\": 0, "
        "\"mtime\": \"-9223372036854775807.999999999\"}\n"
        "{\"cache\": \"app/.numba_cache/app_0\", \"source\": \"app\", \"place\": \"inside\"}\n"
        "{\"index\": \"a.nbi\", \"source\": \"app/k.py\", \"stamp\": {\"kind\": \"mtime\", "
        "\"mtime\": 1795339396.4564414, \"size\": 661}, \"valid\": true, \"cpus\": []}\n"
        "{\"index\": \"b.nbi\", \"source\": \"app/k.py\", \"stamp\": {\"kind\": \"seconds\", "
        "\"mtime\": -1795339396, \"size\": 0}, \"valid\": false}\n"
        "{\"index\": \"c.nbi\", \"source_base64\": \"YXBwL+kucHk=\", \"stamp\": {\"kind\": "
        "\"content\", \"sha256\": \"01000000000000000000000000000000000000000000000000000000000000"
        "ff\"}, \"valid\": true, \"cpus\": [0, 2]}\n"
        "{\"index\": \"d.nbi\", \"stamp\": {\"kind\": \"unknown\"}, \"valid\": false}\n"
        "{\"index\": \"e.nbi\", \"valid\": false}\n"
        "{\"end\": true, \"entries\": 3, \"sha256\": \"";
    struct entry entries[] = {sample_entries[0], sample_entries[4], sample_entries[5]};
    struct manifest m = sample();
    _cleanup_buf_ struct buf text = {0};

    (void)state;
    m.root_count = m.env_count = m.cpu_count = m.cache_count = 1;
    m.entries = entries;
    m.entry_count = COUNT(entries);
    text = written(&m);
    assert_int_equal(text.size, sizeof WANT - 1 + 64 + 3);
    assert_memory_equal(text.data, WANT, sizeof WANT - 1);
    assert_memory_equal(text.data + text.size - 3, "\"}\n", 3);
}

/* json.dumps of what json.loads read is the line again: escapes, separators, the order of members
 * and floats are all as Python has them. */
static void python_reads_the_same_names_times_and_digest(void **state)
{
    static const char SCRIPT[] =
        "import base64, hashlib, json, sys\n"
        "text = open(sys.argv[1], \"rb\").read()\n"
        "lines = text.split(b\"\\n\")\n"
        "assert lines.pop() == b\"\"\n"
        "objects = [json.loads(line) for line in lines]\n"
        "for line, o in zip(lines, objects):\n"
        "    assert json.dumps(o, ensure_ascii=False).encode() == line, line\n"
        "body = text[:-len(lines[-1]) - 1]\n"
        "assert objects[-1][\"sha256\"] == hashlib.sha256(body).hexdigest()\n"
        "def name(o, k):\n"
        "    return o[k].encode() if k in o else base64.b64decode(o[k + \"_base64\"], None, True)\n"
        "entries = [o for o in objects if \"path\" in o or \"path_base64\" in o]\n"
        "got = b\"\".join(name(o, \"path\") + b\"\\0\"\n"
        "    + str(int(o[\"mtime\"].replace(\".\", \"\"))).encode() + b\"\\0\" for o in entries)\n"
        "assert got == open(sys.argv[2], \"rb\").read(), got\n"
        "assert objects[-1][\"entries\"] == len(entries)\n";
    char text_path[] = "/tmp/test_manifest.XXXXXX", names_path[] = "/tmp/test_manifest.XXXXXX";
    struct manifest m = sample();
    _cleanup_buf_ struct buf text = written(&m), names = {0};

    (void)state;
    for (size_t i = 0; i < m.entry_count; i++) {
        const struct timespec *t = &m.entries[i].mtime;
        __int128 ns = (__int128)t->tv_sec * 1000000000 + t->tv_nsec;
        bool negative = ns < 0;
        unsigned __int128 left = (unsigned __int128)(negative ? -ns : ns);
        char digits[48] = {0}, *p = digits + sizeof digits - 1;

        do
            *--p = (char)('0' + (int)(left % 10));
        while (left /= 10);
        if (negative)
            *--p = '-';
        assert_int_equal(buf_add(&names, m.entries[i].path, strlen(m.entries[i].path) + 1), 0);
        assert_int_equal(buf_add(&names, p, strlen(p) + 1), 0);
    }
    save(text_path, text.data, text.size);
    save(names_path, names.data, names.size);
    run_python(SCRIPT, text_path, names_path);
    unlink(text_path);
    unlink(names_path);
}

static void two_writings_are_the_same_bytes(void **state)
{
    struct manifest m = sample();
    _cleanup_buf_ struct buf once = written(&m), twice = written(&m);

    (void)state;
    assert_int_equal(twice.size, once.size);
    assert_memory_equal(twice.data, once.data, once.size);
}

/* Takes runs of text, which together are held nowhere. */
static int take_run(void *ctx, const void *data, size_t n, struct wp_error *err)
{
    size_t *most = ctx;

    (void)data;
    (void)err;
    *most = n > *most ? n : *most;
    return 0;
}

static void the_text_is_given_away_in_runs(void **state)
{
    _cleanup_(large_clear) struct manifest m = large(4000);
    _cleanup_buf_ struct buf all = written(&m);
    struct wp_error err = {0};
    size_t most = 0;

    (void)state;
    assert_int_equal(write_with(2, &m, take_run, &most, &err), 0);
    assert_true(all.size > 512 << 10);
    assert_true(most < 256 << 10);
}

static void the_text_does_not_depend_on_the_number_of_threads(void **state)
{
    _cleanup_(large_clear) struct manifest m = large(4000);
    _cleanup_buf_ struct buf two = written(&m);

    (void)state;
    for (unsigned threads = 1; threads <= 5; threads += 2) {
        _cleanup_buf_ struct buf text = {0};
        struct wp_error err = {0};

        assert_int_equal(write_with(threads, &m, add_text, &text, &err), 0);
        assert_int_equal(text.size, two.size);
        assert_memory_equal(text.data, two.data, two.size);
    }
}

static int refuse_run(void *ctx, const void *data, size_t n, struct wp_error *err)
{
    (void)ctx;
    (void)data;
    (void)n;
    return error_set(err, ENOSPC, "a", "full");
}

static void who_takes_the_text_can_end_the_writing(void **state)
{
    struct manifest m = sample();
    struct wp_error err = {0};

    (void)state;
    assert_int_equal(write_with(2, &m, refuse_run, NULL, &err), -ENOSPC);
}

static void numbers_that_json_lacks_become_an_unknown_stamp(void **state)
{
    static const struct wp_stamp STAMPS[] = {
        {WP_STAMP_MTIME, __builtin_nan(""), 1, {0}},
        {WP_STAMP_MTIME, -__builtin_inf(), 1, {0}},
        {WP_STAMP_SECONDS, __builtin_inf(), 1, {0}},
        {WP_STAMP_SECONDS, 1e300, 1, {0}},
        {WP_STAMP_SECONDS, 0.5, 1, {0}},
        {WP_STAMP_MTIME, 1, UINT64_MAX, {0}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(STAMPS); i++) {
        struct manifest_index index = {"i", "s", STAMPS[i], true, true};
        struct manifest m = {
            .roots = sample_roots, .root_count = 1, .indexes = &index, .index_count = 1};
        _cleanup_buf_ struct buf text = written(&m);
        _cleanup_(manifest_clear) struct manifest got = {0};

        assert_int_equal(manifest_read(&got, text.data, text.size, "m", NULL, NULL), 0);
        assert_int_equal(got.indexes[0].stamp.kind, WP_STAMP_UNKNOWN);
    }
}

static void expect_unwritable(const struct manifest *m, const char *message)
{
    _cleanup_buf_ struct buf out = {0};
    struct wp_error err = {0};

    assert_int_equal(write_with(2, m, add_text, &out, &err), -EINVAL);
    if (!strstr(err.message, message))
        fail_msg("\"%s\" is not in \"%s\"", message, err.message);
}

static void writing_refuses_what_reading_would_refuse(void **state)
{
    struct entry two[] = {{.path = "b", .type = ENTRY_DIR}, {.path = "a", .type = ENTRY_DIR}};
    struct manifest_cache cache = {"c", "../x", MANIFEST_CACHE_DIR};
    struct manifest_index index = {.index = "c", .source = "/x"};
    struct manifest m = {.roots = sample_roots, .root_count = 1, .entries = two, .entry_count = 2};

    (void)state;
    expect_unwritable(&m, "a: stands in the manifest out of order, behind b");
    two[1].path = "b";
    expect_unwritable(&m, "b: stands in the manifest twice");
    two[1].path = "b/../c";
    expect_unwritable(&m, "b/../c: cannot stand");
    two[1].path = "b/";
    expect_unwritable(&m, "b/: cannot stand");
    two[1] = (struct entry){.path = "c", .type = ENTRY_OTHER};
    expect_unwritable(&m, "no file");
    two[1] = (struct entry){.path = "c", .type = ENTRY_SYMLINK};
    expect_unwritable(&m, "no target");
    two[1] = (struct entry){.path = "c", .type = ENTRY_HARDLINK, .target = "/etc/passwd"};
    expect_unwritable(&m, "target");
    two[1] = (struct entry){.path = "c", .type = ENTRY_FILE, .size = UINT64_MAX};
    expect_unwritable(&m, "too large");
    m.entry_count = 0;
    m.caches = &cache;
    m.cache_count = 1;
    expect_unwritable(&m, "../x");
    m.cache_count = 0;
    m.indexes = &index;
    m.index_count = 1;
    expect_unwritable(&m, "/x");
    m.index_count = 0;
    m.root_count = 0;
    expect_unwritable(&m, "directory that was packed");
}

/* ---- Reading ------------------------------------------------------------------------------ */

static void what_was_written_is_read_again(void **state)
{
    struct manifest m = sample();
    _cleanup_buf_ struct buf text = written(&m);
    _cleanup_(manifest_clear) struct manifest got = {0};
    struct wp_error err = {0};
    const unsigned char *end = memrchr(text.data, '\n', text.size - 1);
    unsigned char digest[SHA256_SIZE];

    (void)state;
    if (manifest_read(&got, text.data, text.size, "m", NULL, &err) < 0)
        fail_msg("%s", err.message);
    assert_same(&m, &got);
    sha256_of(text.data, (size_t)(end + 1 - text.data), digest);
    assert_memory_equal(digest, got.digest, sizeof digest);
    for (size_t i = 0; i < m.entry_count; i++)
        assert_ptr_equal(manifest_find(&got, m.entries[i].path), &got.entries[i]);
    assert_null(manifest_find(&got, "app/k"));
    assert_null(manifest_find(&(struct manifest){0}, "app"));
}

static void a_large_one_is_read_alike_by_any_number_of_threads(void **state)
{
    _cleanup_(large_clear) struct manifest m = large(3000);
    _cleanup_buf_ struct buf text = written(&m);

    (void)state;
    for (unsigned threads = 0; threads <= 3; threads++) {
        struct pool *pool = threads ? pool_new(threads) : NULL;
        _cleanup_(manifest_clear) struct manifest got = {0};
        struct wp_error err = {0};

        if (manifest_read(&got, text.data, text.size, "m", pool, &err) < 0)
            fail_msg("%s", err.message);
        assert_same(&m, &got);
        pool_free(pool);
    }
}

static void a_large_one_is_read_alike_from_a_file_and_from_memory_that_is_given(void **state)
{
    _cleanup_(large_clear) struct manifest m = large(9000);
    _cleanup_buf_ struct buf text = written(&m);
    FILE *file = as_file(&text);

    (void)state;
    for (unsigned threads = 0; threads <= 3; threads++) {
        struct pool *pool = threads ? pool_new(threads) : NULL;
        _cleanup_(manifest_clear) struct manifest got = {0}, again = {0};
        _cleanup_buf_ struct buf given = {0};
        struct wp_error err = {0};

        assert_int_equal(buf_add(&given, text.data, text.size), 0);
        if (manifest_read_file(&got, fileno(file), text.size, "m", pool, &err) < 0 ||
            manifest_read_once(&again, &given, "m", pool, &err) < 0)
            fail_msg("%s", err.message);
        assert_same(&m, &got);
        assert_same(&m, &again);
        assert_int_equal(given.size, 0);
        pool_free(pool);
    }
    fclose(file);
}

static void a_file_that_is_cut_while_it_is_read_is_refused(void **state)
{
    _cleanup_(large_clear) struct manifest m = large(9000);
    _cleanup_buf_ struct buf text = written(&m);
    FILE *file = as_file(&text);
    struct manifest got = {0};
    struct wp_error err = {0};

    (void)state;
    assert_int_equal(ftruncate(fileno(file), (off_t)text.size / 2), 0);
    assert_int_equal(manifest_read_file(&got, fileno(file), text.size, "m", NULL, &err), -EINVAL);
    assert_string_equal(err.message, "m: changed while it was read");
    fclose(file);
}

/* ---- State -------------------------------------------------------------------------------- */

static char *state_roots[] = {"/opt/app", "/opt/\xe9"};

static void the_last_line_of_the_state_holds(void **state)
{
    struct manifest_state first = {
        .action = "extract", .roots = state_roots, .root_count = 1, .layout = "in-tree"};
    struct manifest_state last = {.action = "restore",
                                  .roots = state_roots,
                                  .root_count = 2,
                                  .strip = 3,
                                  .layout = "cache-dir",
                                  .cache_root = "/c\xff",
                                  .options = "0a",
                                  .archive = "0b"};
    _cleanup_(manifest_state_clear) struct manifest_state got = {0}, one = {0};
    _cleanup_buf_ struct buf text = {0};

    (void)state;
    assert_int_equal(manifest_state_write(&(struct manifest_state){.action = "x"}, &text), -EINVAL);
    assert_int_equal(text.size, 0);
    assert_int_equal(manifest_state_write(&first, &text), 0);
    assert_int_equal(manifest_state_read(&one, text.data, text.size, "s", NULL), 0);
    assert_string_equal(one.action, "extract");
    assert_string_equal(one.roots[0], "/opt/app");
    assert_null(one.cache_root);
    assert_null(one.archive);
    assert_int_equal(manifest_state_write(&last, &text), 0);
    assert_int_equal(manifest_state_read(&got, text.data, text.size, "s", NULL), 0);
    assert_string_equal(got.action, "restore");
    assert_int_equal(got.root_count, 2);
    assert_string_equal(got.roots[1], "/opt/\xe9");
    assert_int_equal(got.strip, 3);
    assert_string_equal(got.layout, "cache-dir");
    assert_string_equal(got.cache_root, "/c\xff");
    assert_string_equal(got.options, "0a");
    assert_string_equal(got.archive, "0b");
}

static void a_bad_state_is_refused(void **state)
{
    static const struct {
        const char *text, *message;
    } BAD[] = {
        {"", "s: the state is empty"},
        {"{\"version\": 1}", "s: the last line is truncated"},
        {"{}\n{\"version\": 2}\n", "s: line 2: version 2 is not known"},
        {"{\"version\": 1}\n", "s: line 1: \"action\" is missing"},
        {"{\"version\": 1, \"action\": \"a\"}\n", "\"root\" is missing"},
        {"{\"version\": 1, \"action\": \"a\", \"root\": \"/\"}\n", "\"layout\" is missing"},
        {"{\"version\": 1, \"action\": \"a\", \"root\": \"/\", \"strip\": -1}\n", "out of range"},
        {"{\"version\": 1, \"action\": \"a\", \"root\": \"/\", \"strip\": 4294967296}\n",
         "out of range"},
        {"x\n", "s: line 1: not JSON"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(BAD); i++) {
        struct manifest_state got;
        struct wp_error err = {0};

        assert_int_equal(manifest_state_read(&got, BAD[i].text, strlen(BAD[i].text), "s", &err),
                         -EINVAL);
        assert_null(got.action);
        if (!strstr(err.message, BAD[i].message))
            fail_msg("\"%s\" is not in \"%s\"", BAD[i].message, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_the_documented_one),
        cmocka_unit_test(python_reads_the_same_names_times_and_digest),
        cmocka_unit_test(two_writings_are_the_same_bytes),
        cmocka_unit_test(the_text_is_given_away_in_runs),
        cmocka_unit_test(the_text_does_not_depend_on_the_number_of_threads),
        cmocka_unit_test(who_takes_the_text_can_end_the_writing),
        cmocka_unit_test(writing_refuses_what_reading_would_refuse),
        cmocka_unit_test(numbers_that_json_lacks_become_an_unknown_stamp),
        cmocka_unit_test(what_was_written_is_read_again),
        cmocka_unit_test(a_large_one_is_read_alike_by_any_number_of_threads),
        cmocka_unit_test(a_large_one_is_read_alike_from_a_file_and_from_memory_that_is_given),
        cmocka_unit_test(a_file_that_is_cut_while_it_is_read_is_refused),
        cmocka_unit_test(the_last_line_of_the_state_holds),
        cmocka_unit_test(a_bad_state_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
