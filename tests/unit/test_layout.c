/* Which cache goes where: the kinds of places, and who wins where two want one. */

#include "staging_fixture.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "layout/layout.h"
#include "numba/places.h"

/* A tree "new" is staged onto directory "out" of the scratch directory. */
struct laying {
    struct staging *staging;
    struct verify verify;
    char *path; /* of "out" */
    char *roots[2];
    int out;
    struct layout l;
};

static bool is_any(void *ctx, const char *path)
{
    (void)ctx;
    (void)path;
    return true;
}

static void lay_begin(struct laying *w, const struct scratch *s, enum wp_layout kind,
                      const char *cache_dir)
{
    struct layout_options o = {.kind = kind, .cache_dir = cache_dir, .is_source = is_any};

    *w = (struct laying){.staging = begin(s, "out", none), .path = strdup(in_scratch(s, "out"))};
    assert_int_equal(verify_begin(&w->verify, NULL, &err), 0);
    w->roots[0] = w->path;
    w->out = open_dir(s, "out");
    o.verify = &w->verify;
    o.roots = w->roots;
    o.dir = o.dir_path = w->path;
    o.tree_fd = staging_tree(w->staging, 0);
    o.target_fd = w->out;
    o.staging = &w->staging;
    assert_int_equal(layout_begin(&w->l, &o, &err), 0);
}

static void lay_end(struct laying *w)
{
    layout_clear(&w->l);
    staging_free(w->staging);
    verify_end(&w->verify);
    close(w->out);
    free(w->path);
}

/* Directory DIR of sources in SOURCE has index "f-1" and its data, which say TEXT. */
static void add(struct laying *w, bool staged, enum layout_kind kind, const char *dir,
                const char *source, const char *text, bool valid)
{
    struct layout_record r = {.kind = kind,
                              .root = LAYOUT_TREE,
                              .staged = staged,
                              .fd = staged ? staging_tree(w->staging, 0) : w->out,
                              .dir = strdup(dir),
                              .source = strdup(source),
                              .inside = path_dir(dir)};
    static const char *const names[] = {"k.f-1.py311.nbi", "k.f-1.py311.1.nbc"};

    for (size_t i = 0; i < 2; i++) {
        _cleanup_free_ char *path = path_join(dir, names[i]);

        assert_int_equal(beneath_mkdirs(r.fd, dir, 0755), 0);
        put_file(r.fd, path, text);
        assert_int_equal(layout_add_file(&r, names[i], valid), 1);
    }
    assert_int_equal(layout_add_record(&w->l, &r), 0);
}

static void lay_and_commit(struct laying *w)
{
    if (layout_run(&w->l, &err) < 0 || staging_commit(w->staging, &err) < 0)
        fail_msg("%s", err.message);
    layout_finish(&w->l);
}

static void hashed_caches_go_beside_their_sources(void **state)
{
    struct laying w;

    lay_begin(&w, *state, WP_LAYOUT_AUTO, NULL);
    add(&w, true, LAYOUT_HASHED, "app/.warmpack/cache/pkg_0", "app/pkg", "new", true);
    lay_and_commit(&w);
    assert_int_equal(w.l.where, WP_LAYOUT_IN_TREE);
    assert_int_equal(w.l.renamed, 1);
    assert_int_equal(w.l.placed_count, 1);
    assert_string_equal(w.l.placed[0].shown, "app/pkg/__pycache__/k.f-1.py311.nbi");
    assert_tree(w.out, "app/ app/.warmpack/ app/.warmpack/cache/ app/pkg/ app/pkg/__pycache__/ "
                       "app/pkg/__pycache__/k.f-1.py311.1.nbc=new "
                       "app/pkg/__pycache__/k.f-1.py311.nbi=new");
    lay_end(&w);
}

static void a_cache_root_in_the_tree_is_named_for_the_path_of_the_tree(void **state)
{
    struct laying w;
    _cleanup_free_ char *source = NULL, *name = NULL, *expected = NULL;

    lay_begin(&w, *state, WP_LAYOUT_AUTO, NULL);
    source = path_join(w.path, "pkg");
    name = places_hash_name(source);
    add(&w, true, LAYOUT_INSIDE, "caches/pkg_0", "pkg", "new", true);
    lay_and_commit(&w);
    assert_int_equal(w.l.where, WP_LAYOUT_CACHE_DIR);
    assert_true(asprintf(&expected,
                         "caches/ caches/%s/ caches/%s/k.f-1.py311.1.nbc=new "
                         "caches/%s/k.f-1.py311.nbi=new",
                         name, name, name) > 0);
    assert_tree(w.out, expected);
    lay_end(&w);
}

static void of_two_for_one_place_the_valid_one_wins(void **state)
{
    struct laying w;

    lay_begin(&w, *state, WP_LAYOUT_IN_TREE, NULL);
    add(&w, true, LAYOUT_IN_TREE, "pkg/__pycache__", "pkg", "stale", false);
    add(&w, true, LAYOUT_HASHED, "caches/pkg_0", "pkg", "valid", true);
    lay_and_commit(&w);
    assert_int_equal(w.l.placed_count, 1);
    assert_tree(w.out, "caches/ pkg/ pkg/__pycache__/ pkg/__pycache__/k.f-1.py311.1.nbc=valid "
                       "pkg/__pycache__/k.f-1.py311.nbi=valid");
    lay_end(&w);
}

static void what_is_staged_wins_over_what_is_there(void **state)
{
    struct laying w;

    lay_begin(&w, *state, WP_LAYOUT_IN_TREE, NULL);
    add(&w, false, LAYOUT_IN_TREE, "pkg/__pycache__", "pkg", "there", true);
    add(&w, false, LAYOUT_IN_TREE, "other/__pycache__", "other", "there", true);
    add(&w, true, LAYOUT_HASHED, "caches/pkg_0", "pkg", "staged", true);
    lay_and_commit(&w);
    assert_int_equal(w.l.placed_count, 2);
    assert_tree(w.out, "caches/ other/ other/__pycache__/ "
                       "other/__pycache__/k.f-1.py311.1.nbc=there "
                       "other/__pycache__/k.f-1.py311.nbi=there pkg/ pkg/__pycache__/ "
                       "pkg/__pycache__/k.f-1.py311.1.nbc=staged "
                       "pkg/__pycache__/k.f-1.py311.nbi=staged");
    lay_end(&w);
}

/* Numbering starts again after an edit: an index that names one of them would load old code. */
static void data_of_an_earlier_build_goes(void **state)
{
    const struct scratch *s = *state;
    struct laying w;

    lay_begin(&w, s, WP_LAYOUT_IN_TREE, NULL);
    put_tree(w.out, "pkg/__pycache__/k.f-1.py311.2.nbc=old pkg/__pycache__/k.g-5.py311.1.nbc=g");
    add(&w, true, LAYOUT_HASHED, "caches/pkg_0", "pkg", "new", true);
    lay_and_commit(&w);
    assert_tree(w.out, "caches/ pkg/ pkg/__pycache__/ pkg/__pycache__/k.f-1.py311.1.nbc=new "
                       "pkg/__pycache__/k.f-1.py311.nbi=new pkg/__pycache__/k.g-5.py311.1.nbc=g");
    lay_end(&w);
}

static void a_cache_dir_that_is_not_named_is_refused(void **state)
{
    struct laying w;

    lay_begin(&w, *state, WP_LAYOUT_CACHE_DIR, NULL);
    add(&w, true, LAYOUT_IN_TREE, "pkg/__pycache__", "pkg", "new", true);
    assert_int_equal(layout_run(&w.l, &err), -EINVAL);
    assert_non_null(strstr(err.message, "--cache-dir"));
    lay_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(hashed_caches_go_beside_their_sources),
        test(a_cache_root_in_the_tree_is_named_for_the_path_of_the_tree),
        test(of_two_for_one_place_the_valid_one_wins),
        test(what_is_staged_wins_over_what_is_there),
        test(data_of_an_earlier_build_goes),
        test(a_cache_dir_that_is_not_named_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
