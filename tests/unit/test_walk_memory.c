/* A walk that finds no more memory says so, and writes to none that it does not have. */

#include "tree_fixture.h"

#include <stdatomic.h>

#include "stream/pool.h"
#include "tree/walk.h"

enum { FILES = 300 };

static atomic_int growths = -1; /* until one fails; below 0: none does */

/* In place of libc's: what grows by doubling grows by this. */
void *reallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (atomic_fetch_sub(&growths, 1) == 0 || __builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, bytes);
}

/* Walks the scratch; the growth that has that NUMBER fails. */
static int walk_without(const struct scratch *s, int number, const struct walk_options *o)
{
    struct wp_error err = {0};
    struct walk w = {0};
    assert_int_equal(walk_add_root(&w, s->path, &err), 0);
    atomic_store(&growths, number);
    int r = walk_add(&w, 0, ".", "as", o, &err);
    atomic_store(&growths, -1);
    if (r < 0)
        assert_int_equal(err.code, -r);
    else
        assert_int_equal(w.count, FILES + 2);
    walk_free(&w);
    return r;
}

/* Fails every growth in its turn, until there are no more. Names of owners are left out: where one
 * cannot be remembered, it is asked for again. */
static void every_growth_may_fail(struct scratch *s, const struct walk_options *o)
{
    int r, failed = 0;
    make_dir(s->fd, "d", 0755);
    for (int i = 0; i < FILES; i++) {
        char path[100];
        snprintf(path, sizeof path, "d/f%d", i);
        make_file(s->fd, path, "");
    }
    while ((r = walk_without(s, failed, o)) < 0) {
        assert_int_equal(r, -ENOMEM);
        failed++;
    }
    assert_true(failed >= 4 && failed <= 1000);
}

static void a_walk_without_memory_says_so(void **state)
{
    every_growth_may_fail(*state, &(struct walk_options){.numeric_owner = true});
}

static void a_walk_through_links_without_memory_says_so(void **state)
{
    every_growth_may_fail(*state, &(struct walk_options){.follow = true, .numeric_owner = true});
}

static void a_walk_on_threads_without_memory_says_so(void **state)
{
    struct pool *pool = pool_new(3);
    assert_non_null(pool);
    every_growth_may_fail(*state, &(struct walk_options){.pool = pool, .numeric_owner = true});
    pool_free(pool);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_walk_without_memory_says_so),
        TEST(a_walk_through_links_without_memory_says_so),
        TEST(a_walk_on_threads_without_memory_says_so),
    };
    return cmocka_run_group_tests_name("walk_memory", tests, NULL, NULL);
}
