/* The manifests in a tree: which are found, what they call its files, and what is believed of them.
 */

#include "tree_fixture.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "commit/staging.h"
#include "numba/places.h"
#include "stream/pool.h"
#include "trees/trees.h"

/* Records own their strings elsewhere; here they are literals that nobody frees. */
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wincompatible-pointer-types-discards-qualifiers"
#else
#pragma GCC diagnostic ignored "-Wdiscarded-qualifiers"
#endif

#define ID "/0123456789abcdef"

static struct entry entries[] = {
    {.path = "app", .type = ENTRY_DIR, .mode = 0755},
    {.path = "app/k.py", .type = ENTRY_FILE, .mode = 0644, .size = 6, .has_sha256 = true},
    {.path = "app/pkg/m.py", .type = ENTRY_FILE, .mode = 0644, .size = 6, .has_sha256 = true},
};
static struct manifest_cache caches[] = {
    {"app/.caches/pkg_0", "app/pkg", MANIFEST_CACHE_INSIDE},
};
static struct manifest_index indexes[] = {
    {.index = "app/.caches/pkg_0/m.f-1.py311.nbi",
     .source = "app/pkg/m.py",
     .stamp = {WP_STAMP_MTIME, 1795339396.0, 6, {0}},
     .has_stamp = true,
     .valid = true},
};

static int take(void *out, const void *data, size_t n, struct wp_error *err)
{
    return buf_add(out, data, n) < 0 ? error_nomem(err) : 0;
}

static void put(int at, const char *dir, const char *name, const void *data, size_t n)
{
    _cleanup_free_ char *path = path_join(dir, name);
    _cleanup_close_ int fd = -1;

    assert_int_equal(beneath_mkdirs(at, dir, 0755), 0);
    fd = beneath_open(at, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
}

static void put_manifest(int at, const char *home)
{
    struct manifest m = {.creator = "warmpack 0",
                         .roots = (char *[]){"/srv/build"},
                         .root_count = 1,
                         .home = "app/.warmpack" ID,
                         .entries = entries,
                         .entry_count = 3,
                         .caches = caches,
                         .cache_count = 1,
                         .indexes = indexes,
                         .index_count = 1};
    struct pool *pool = pool_new(1);
    struct buf text = {0};

    assert_int_equal(manifest_write(&m, pool, take, &text, NULL), 0);
    put(at, home, MANIFEST_NAME, text.data, text.size);
    buf_free(&text);
    pool_free(pool);
}

static void put_state(int at, const char *home, const char *root, const char *cache_root)
{
    struct manifest_state state = {.action = "extract",
                                   .roots = (char *[]){(char *)root},
                                   .root_count = 1,
                                   .layout = "cache-dir",
                                   .cache_root = (char *)cache_root};
    struct buf text = {0};

    assert_int_equal(manifest_state_write(&state, &text), 0);
    put(at, home, STATE_NAME, text.data, text.size);
    buf_free(&text);
}

static struct trees trees_of(const struct scratch *s)
{
    return (struct trees){.dir = s->path, .fd = s->fd};
}

static void finds_them_at_any_depth(void **state)
{
    const struct scratch *s = *state;
    struct trees trees = trees_of(s);

    put_manifest(s->fd, "app/.warmpack" ID);
    put_manifest(s->fd, "env/lib/site-packages/k-1.dist-info/warmpack" ID);
    put_manifest(s->fd, "app/__pycache__/.warmpack" ID);      /* Python's own */
    put_manifest(s->fd, ".warmpack-abcdef/new/.warmpack" ID); /* staged by another run */
    put_manifest(s->fd, "app/.warmpack/not-an-id");
    assert_int_equal(symlinkat("app", s->fd, "link"), 0);
    assert_int_equal(trees_find(&trees, NULL, NULL), 0);
    assert_int_equal(trees.count, 2);
    assert_string_equal(trees.list[0].home, "app/.warmpack" ID);
    assert_string_equal(trees.list[0].base, "app");
    assert_false(trees.list[0].info);
    assert_string_equal(trees.list[1].base, "env/lib/site-packages");
    assert_true(trees.list[1].info);
    trees_clear(&trees);
}

static void one_that_is_damaged_is_passed_over(void **state)
{
    const struct scratch *s = *state;
    struct trees trees = trees_of(s);
    struct wp_error err = {0};

    put(s->fd, "bad/.warmpack" ID, MANIFEST_NAME, "{", 1);
    assert_true(trees_find(&trees, NULL, &err) < 0);
    assert_non_null(strstr(err.message, "bad/.warmpack"));
    trees_clear(&trees);
    put_manifest(s->fd, "app/.warmpack" ID);
    assert_int_equal(trees_find(&trees, NULL, NULL), 0);
    assert_int_equal(trees.count, 1);
    assert_int_equal(trees.damaged_count, 1);
    trees_clear(&trees);
}

static void where_there_is_none_that_is_told(void **state)
{
    struct trees trees = trees_of(*state);
    struct wp_error err = {0};

    assert_int_equal(trees_find(&trees, NULL, &err), -ENOENT);
    assert_non_null(strstr(err.message, "no manifest"));
    trees_clear(&trees);
}

static void assert_path(const struct tree_manifest *t, const char *archived, const char *expected)
{
    bool gone;
    _cleanup_free_ char *path = tree_path(t, archived, &gone);

    assert_int_equal(gone, !expected);
    if (expected)
        assert_string_equal(path, expected);
    else
        assert_null(path);
}

static void names_of_the_archive_become_paths_of_the_tree(void **state)
{
    struct tree_manifest t = {.base = "deep/app", .strip = 1, .foreign = -1};
    bool gone;
    _cleanup_free_ char *dir = tree_dir_path(&t, "app", &gone);

    (void)state;
    assert_path(&t, "app/k.py", "deep/app/k.py");
    assert_string_equal(dir, "deep/app");
    assert_path(&t, "app", NULL); /* no file is called like the directory */
    t.strip = 2;
    assert_path(&t, "app", NULL);
    t = (struct tree_manifest){.base = "site", .info = true, .foreign = -1};
    assert_path(&t, "k-1.data/purelib/k.py", "site/k.py");
    assert_path(&t, "k-1.data/scripts/run", NULL);
    assert_path(&t, "k/k.py", "site/k/k.py");
}

static void a_cache_root_in_the_tree_has_moved_with_it(void **state)
{
    const struct scratch *s = *state;
    struct trees trees = trees_of(s);
    _cleanup_free_ char *here = path_join(s->path, "app/.caches");

    put_manifest(s->fd, "app/.warmpack" ID);
    put_state(s->fd, "app/.warmpack" ID, "/before", "/before/app/.caches");
    assert_int_equal(trees_find(&trees, NULL, NULL), 0);
    assert_int_equal(trees.count, 1);
    assert_string_equal(trees.list[0].old_bases[0], "/before/app");
    assert_string_equal(trees.list[0].old_root, here);
    assert_int_equal(tree_find_insides(&trees.list[0]), 0);
    assert_string_equal(trees.list[0].insides.v[0], "app/.caches");
    trees_clear(&trees);
}

static bool is_of_no_source(void *ctx, const char *archived, const struct wp_stamp *stamp)
{
    (void)ctx;
    (void)archived;
    (void)stamp;
    return false;
}

static int trusts(const struct trees *trees, const char *root, const char *cache_dir)
{
    const struct tree_trust trust = {
        .trees = trees, .t = &trees->list[0], .is_of_source = is_of_no_source};
    char *roots[] = {(char *)root, NULL};

    return tree_trusts_old_root(&trust, roots, cache_dir, NULL, NULL);
}

/* "0.56.4", then ((1795339396.0, 6), {}) as Numba pickles it. */
static const char index_text[] =
    "\x80\x04\x95\x0a\0\0\0\0\0\0\0\x8c\x06"
    "0.56.4\x94."
    "\x80\x04\x95\x12\0\0\0\0\0\0\0GA\xda\xc0\xad!\0\0\0K\x06\x86\x94}\x94\x86\x94.";

static void a_cache_root_elsewhere_is_believed_where_caches_of_the_tree_lie(void **state)
{
    const struct scratch *s = *state;
    struct trees trees = trees_of(s);
    _cleanup_free_ char *there = path_join(s->path, "elsewhere");
    _cleanup_free_ char *tree = path_join(s->path, "tree");
    _cleanup_free_ char *pkg = path_join(tree, "app/pkg");
    _cleanup_free_ char *name = places_hash_name(pkg);
    _cleanup_free_ char *hashed = path_join("elsewhere", name);
    _cleanup_close_ int fd = -1;

    put_manifest(s->fd, "tree/app/.warmpack" ID);
    put_state(s->fd, "tree/app/.warmpack" ID, tree, there);
    fd = openat(s->fd, "tree", O_RDONLY | O_DIRECTORY);
    trees = (struct trees){.dir = tree, .fd = fd};
    assert_int_equal(trees_find(&trees, NULL, NULL), 0);
    assert_int_equal(tree_find_dirs(&trees.list[0]), 0);
    assert_int_equal(trusts(&trees, tree, NULL), TREE_ROOT_AWAY);
    put(s->fd, "elsewhere/other_0", "m.f-1.py311.nbi", index_text, sizeof index_text - 1);
    assert_int_equal(trusts(&trees, tree, NULL), 0);
    assert_int_equal(trusts(&trees, tree, there), 0);
    put(s->fd, hashed, "m.f-1.py311.nbi", index_text, sizeof index_text - 1);
    assert_int_equal(trusts(&trees, tree, NULL), 1);
    /* A state that somebody else has put there. */
    trees.list[0].state_uid = geteuid() + 1;
    assert_int_equal(trusts(&trees, tree, NULL), 0);
    assert_int_equal(trusts(&trees, tree, there), 1);
    trees_clear(&trees);
}

static void a_tree_that_stays_where_it_was_packed_has_no_other_root(void **state)
{
    const struct scratch *s = *state;
    struct trees trees = trees_of(s);
    char *here[] = {"/srv/build", NULL}, *moved[] = {"/opt", NULL};

    put_manifest(s->fd, "app/.warmpack" ID);
    assert_int_equal(trees_find(&trees, NULL, NULL), 0);
    assert_int_equal(trees_find_packed_roots(&trees, here), 0);
    assert_null(trees_packed_root(&trees, "app/k.py"));
    assert_int_equal(trees_find_packed_roots(&trees, moved), 0);
    assert_string_equal(trees_packed_root(&trees, "app/k.py"), "/srv/build/app/");
    assert_null(trees_packed_root(&trees, "other.py"));
    trees_clear(&trees);
}

static void a_job_that_is_to_stop_looks_for_nothing_more_to_be_swept(void **state)
{
    const struct scratch *s = *state;
    volatile sig_atomic_t interrupted = 1;
    const struct wp_context context = {.interrupted = &interrupted};
    struct stat st;

    put_manifest(s->fd, "app/.warmpack" ID);
    put(s->fd, "app/.warmpack" ID, OWN_LOCK, "", 0);
    trees_sweep_all(&context, s->path, s->fd, NULL, NULL);
    assert_int_equal(beneath_look(s->fd, "app/.warmpack" ID "/" OWN_LOCK, &st), 1);
    interrupted = 0;
    trees_sweep_all(&context, s->path, s->fd, NULL, NULL);
    assert_int_equal(beneath_look(s->fd, "app/.warmpack" ID "/" OWN_LOCK, &st), 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(finds_them_at_any_depth),
        test(one_that_is_damaged_is_passed_over),
        test(where_there_is_none_that_is_told),
        cmocka_unit_test(names_of_the_archive_become_paths_of_the_tree),
        test(a_cache_root_in_the_tree_has_moved_with_it),
        test(a_cache_root_elsewhere_is_believed_where_caches_of_the_tree_lie),
        test(a_tree_that_stays_where_it_was_packed_has_no_other_root),
        test(a_job_that_is_to_stop_looks_for_nothing_more_to_be_swept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
