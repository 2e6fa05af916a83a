/* Planning of roots: by which paths Python will know the directory that is unpacked to. */

#include <unistd.h>

#include "numba/caches.h"
#include "tree_fixture.h"
#include "unpack/job.h"

/* Plans for DIR in the scratch directory, whose own path is written before each of WANT. */
static void expect(const struct scratch *s, const char *dir, const char *const *given,
                   const char *const *want)
{
    struct wp_extract_options o = {.runtime_roots = given};
    char name[128], path[128];
    struct unpack unpack = {.o = &o, .dir = name};

    snprintf(name, sizeof name, "%s/%s", s->path, dir);
    for (int times = 0; times < 2; times++) { /* the second list takes the place of the first */
        size_t n = 0;

        assert_int_equal(unpack_plan_roots(&unpack, NULL), 0);
        for (; want[n]; n++) {
            snprintf(path, sizeof path, "%s%s", given ? "" : s->path, want[n]);
            assert_string_equal(unpack.roots[n], path);
        }
        assert_null(unpack.roots[n]);
    }
    caches_free_bases(unpack.roots);
}

static void a_directory_has_one_path(void **state)
{
    make_dir(((struct scratch *)*state)->fd, "app", 0755);
    expect(*state, "app", NULL, (const char *const[]){"/app", NULL});
    expect(*state, "./app/../app/", NULL, (const char *const[]){"/app", NULL});
}

static void through_a_symlink_python_may_see_either_path(void **state)
{
    const struct scratch *s = *state;

    make_dir(s->fd, "releases", 0755);
    make_dir(s->fd, "releases/7", 0755);
    assert_int_equal(symlinkat("releases/7", s->fd, "current"), 0);
    expect(s, "current", NULL, (const char *const[]){"/current", "/releases/7", NULL});
}

/* In an image that is built elsewhere, for instance: nothing need be there. */
static void roots_that_are_given_are_the_only_ones(void **state)
{
    const char *const given[] = {"/srv/app/", "/srv/./app", "/opt/app", NULL};

    expect(*state, "current", given, (const char *const[]){"/srv/app", "/opt/app", NULL});
}

static void a_directory_that_is_not_there_has_none(void **state)
{
    const struct scratch *s = *state;
    struct wp_extract_options o = {0};
    struct wp_error err = {0};
    char name[128];
    struct unpack unpack = {.o = &o, .dir = name};

    snprintf(name, sizeof name, "%s/nowhere", s->path);
    assert_int_equal(unpack_plan_roots(&unpack, &err), -ENOENT);
    assert_null(unpack.roots);
    assert_non_null(strstr(err.message, "cannot be found"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_has_one_path),
        cmocka_unit_test(through_a_symlink_python_may_see_either_path),
        cmocka_unit_test(roots_that_are_given_are_the_only_ones),
        cmocka_unit_test(a_directory_that_is_not_there_has_none),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
