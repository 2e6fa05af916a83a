/* Names of what warmpack itself creates. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/own_names.h"

#define ID "0123456789abcdef"

static void knows_the_metadata_of_eggs_and_wheels(void **state)
{
    (void)state;
    assert_true(own_is_metadata("EGG-INFO", 8));
    assert_true(own_is_metadata("EGG-INFO/warmpack", 8));
    assert_true(own_is_metadata("a-1.dist-info", 13));
    assert_false(own_is_metadata("EGG-INFO2", 9));
    assert_false(own_is_metadata(".dist-info", 10));
    assert_false(own_is_metadata("a.dist-info2", 12));
    assert_false(own_is_metadata("", 0));
}

static void knows_staging_directories(void **state)
{
    (void)state;
    assert_true(own_is_staging(".warmpack-aZ09bc"));
    assert_false(own_is_staging(".warmpack-aZ09b"));
    assert_false(own_is_staging(".warmpack-aZ09bcd"));
    assert_false(own_is_staging(".warmpack-aZ09b."));
    assert_false(own_is_staging(".warmpack"));

    assert_true(own_is_forbidden(".warmpack-"));
    assert_true(own_is_forbidden("a/b/.warmpack-x/c"));
    assert_false(own_is_forbidden("a/.warmpack/c"));
    assert_false(own_is_forbidden("a/b.warmpack-x"));
    assert_false(own_is_forbidden(""));
    assert_true(own_is_forbidden("a/.warmpack.lock"));
    assert_true(own_is_forbidden(".warmpack.lock/b"));
    assert_false(own_is_forbidden("a/.warmpack.locked"));
    assert_true(own_is_forbidden("a/.warmpack.new." ID));
    assert_false(own_is_forbidden("a/.warmpack.news"));
}

static void knows_directories_of_its_own(void **state)
{
    (void)state;
    assert_true(own_holds(".warmpack"));
    assert_true(own_holds("app/.warmpack"));
    assert_true(own_holds("a/b/.warmpack/python/warmpack"));
    assert_true(own_holds("a/EGG-INFO/warmpack"));
    assert_true(own_holds("a-1.dist-info/warmpack/" ID));
    assert_false(own_holds(""));
    assert_false(own_holds("warmpack"));
    assert_false(own_holds("EGG-INFO"));
    assert_false(own_holds("EGG-INFO/x/warmpack"));
    assert_false(own_holds(".warmpack2/a.warmpack/.warm"));
}

static void knows_what_types_its_files_have(void **state)
{
    (void)state;
    assert_int_equal(own_type("app", ".warmpack"), S_IFDIR);
    assert_int_equal(own_type("app", ".warmpack-aZ09bc"), S_IFDIR);
    assert_int_equal(own_type("app", ".warmpack.lock"), S_IFREG);
    assert_int_equal(own_type("x/EGG-INFO", "warmpack"), S_IFDIR);
    assert_int_equal(own_type("a-1.dist-info", "warmpack"), S_IFDIR);
    assert_int_equal(own_type("EGG-INFO/x", "warmpack"), 0);
    assert_int_equal(own_type("app", "warmpack"), 0);
    assert_int_equal(own_type("app", ".warmpack-kept"), 0);
    assert_int_equal(own_type("app", ".warmpack.locked"), 0);
    assert_int_equal(own_type("app", ".warmpack.new." ID), S_IFREG);
    assert_int_equal(own_type("app", ".warmpack.new." ID ".link"), S_IFLNK);
    assert_int_equal(own_type("app", ".warmpack.new." ID "0"), 0);
    assert_int_equal(own_type("app", ".warmpack.new.x"), 0);
}

static void finds_its_directory_in_an_archive(void **state)
{
    (void)state;
    assert_int_equal(own_home_at(".warmpack/" ID), 0);
    assert_int_equal(own_home_at("app/.warmpack/" ID "/cache/x"), 4);
    assert_int_equal(own_home_at("EGG-INFO/warmpack/" ID), 0);
    assert_int_equal(own_home_at("a-1.dist-info/warmpack/" ID), 0);
    assert_int_equal(own_home_at("a/b/.warmpack/" ID), -1);
    assert_int_equal(own_home_at("app/warmpack/" ID), -1);
    assert_int_equal(own_home_at("app/.warmpack"), -1);
    assert_int_equal(own_home_at("k.py"), -1);
}

static void tells_manifests_from_other_files(void **state)
{
    static const char *const others[] = {
        "app/.warmpack/" ID "/state.jsonl",     "app/.warmpack/" ID "/manifest.jsonl/x",
        "app/.warmpack/" ID "0/manifest.jsonl", "app/.warmpack/0123456789ABCDEF/manifest.jsonl",
        "app/.warmpack/manifest.jsonl",         "a/b/.warmpack/" ID "/manifest.jsonl",
        "app/warmpack/" ID "/manifest.jsonl"};

    (void)state;
    assert_true(own_is_manifest(".warmpack/" ID "/manifest.jsonl"));
    assert_true(own_is_manifest("app/.warmpack/" ID "/manifest.jsonl"));
    assert_true(own_is_manifest("EGG-INFO/warmpack/" ID "/manifest.jsonl"));
    assert_true(own_is_manifest("a-1.dist-info/warmpack/" ID "/manifest.jsonl"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(own_is_manifest(others[i]));
}

static void finds_where_a_home_begins_at_any_depth(void **state)
{
    (void)state;
    assert_int_equal(own_home_prefix(".warmpack/" ID), 0);
    assert_int_equal(own_home_prefix("app/.warmpack/" ID), 3);
    assert_int_equal(own_home_prefix("a/b/.warmpack/" ID), 3);
    assert_int_equal(own_home_prefix("EGG-INFO/warmpack/" ID), 0);
    assert_int_equal(own_home_prefix("lib/site/a-1.dist-info/warmpack/" ID), 8);
    assert_int_equal(own_home_prefix("app/.warmpack/" ID "/cache"), -1);
    assert_int_equal(own_home_prefix("app/.warmpack/" ID "0"), -1);
    assert_int_equal(own_home_prefix("app/x.warmpack/" ID), -1);
    assert_int_equal(own_home_prefix("app/warmpack/" ID), -1);
    assert_int_equal(own_home_prefix("warmpack/" ID), -1);
    assert_int_equal(own_home_prefix(ID), -1);
    assert_int_equal(own_home_prefix(""), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_metadata_of_eggs_and_wheels),
        cmocka_unit_test(knows_staging_directories),
        cmocka_unit_test(knows_directories_of_its_own),
        cmocka_unit_test(knows_what_types_its_files_have),
        cmocka_unit_test(finds_its_directory_in_an_archive),
        cmocka_unit_test(tells_manifests_from_other_files),
        cmocka_unit_test(finds_where_a_home_begins_at_any_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
