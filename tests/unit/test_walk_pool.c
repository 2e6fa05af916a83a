/* A walk whose directories are listed by several threads finds what one thread finds, and says it
 * in the same order. */

#include "tree_fixture.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "stream/pool.h"
#include "tree/walk.h"

/* Reports and their severities, a line each: "W text". */
static void hear(void *ctx, enum wp_severity severity, const char *text)
{
    buf_printf(ctx, "%c %s\n", "DNWCF"[severity], text);
}

/* Walks DIR with that many threads (0: without a pool). All that can be seen of it, into SEEN: what
 * was said, the items as they were found, and the error. */
static int look(const char *dir, unsigned threads, struct buf *seen)
{
    struct wp_context context = {.message = hear, .user_data = seen};
    struct walk_options o = {.context = &context, .pool = threads ? pool_new(threads) : NULL};
    struct wp_error err = {0};
    struct walk w = {0};
    int r = walk_add_root(&w, dir, &err);
    if (r == 0)
        r = walk_add(&w, 0, "d", "as", &o, &err);
    for (size_t i = 0; i < w.count; i++) {
        const struct entry *e = &w.items[i].entry;
        buf_printf(seen, "%d %s %s %s %s %s\n", e->type, e->path, w.items[i].name,
                   e->target ? e->target : "", e->uname, e->gname);
    }
    buf_printf(seen, "%zu %d %s\n", w.count, r, err.message);
    walk_free(&w);
    pool_free(o.pool);
    return buf_terminate(seen) < 0 ? -ENOMEM : r;
}

/* What one to five threads see is what is seen without a pool. 0, or a negative number. */
static int compare_threads(const char *dir, int expected)
{
    _cleanup_buf_ struct buf alone = {0};
    if (look(dir, 0, &alone) != expected)
        return -100;
    for (unsigned threads = 1; threads <= 5; threads++) {
        _cleanup_buf_ struct buf seen = {0};
        if (look(dir, threads, &seen) != expected || seen.size != alone.size ||
            memcmp(seen.data, alone.data, seen.size) != 0)
            return -(int)threads;
    }
    return 0;
}

static void make_many(int dir, const char *within, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char path[100];
        snprintf(path, sizeof path, "%s/f%u", within, i);
        make_file(dir, path, "");
    }
}

static void threads_change_nothing(void **state)
{
    struct scratch *s = *state;
    make_dir(s->fd, "d", 0755);
    for (int i = 0; i < 60; i++) {
        char path[100];
        snprintf(path, sizeof path, "d/%d", i);
        make_dir(s->fd, path, 0755);
        make_many(s->fd, path, (unsigned)i % 7);
        snprintf(path, sizeof path, "d/%d/link", i);
        assert_int_equal(symlinkat("f0", s->fd, path), 0);
        snprintf(path, sizeof path, "d/%d/fifo", i);
        assert_int_equal(mkfifoat(s->fd, path, 0600), 0);
        snprintf(path, sizeof path, "d/%d/deeper", i);
        make_dir(s->fd, path, 0700);
        make_many(s->fd, path, 3);
    }
    assert_int_equal(compare_threads(s->path, 0), 0);
}

/* One listing holds a bounded number of them, and the next one goes on. */
static void a_large_directory_is_listed_whole(void **state)
{
    struct scratch *s = *state;
    _cleanup_buf_ struct buf seen = {0};
    make_dir(s->fd, "d", 0755);
    make_dir(s->fd, "d/large", 0755);
    make_many(s->fd, "d/large", 9000);
    make_dir(s->fd, "d/other", 0755);
    make_many(s->fd, "d/other", 10);
    assert_int_equal(compare_threads(s->path, 0), 0);
    assert_int_equal(look(s->path, 2, &seen), 0);
    assert_non_null(strstr((char *)seen.data, "\n9013 0 \n"));
}

static int compare_denied(void *arg)
{
    return compare_threads(arg, -EACCES);
}

static void the_first_error_is_told(void **state)
{
    struct scratch *s = *state;
    if (geteuid() != 0)
        skip();
    make_dir(s->fd, "d", 0755);
    for (int i = 0; i < 40; i++) {
        char path[100];
        snprintf(path, sizeof path, "d/%d", i);
        make_dir(s->fd, path, i % 4 ? 0755 : 0700);
        if (i % 4)
            make_many(s->fd, path, 20);
    }
    assert_int_equal(as_user(compare_denied, s->path), 0);
}

/* Said while nothing but the top has been listed. */
static void remove_b(void *ctx, enum wp_severity severity, const char *text)
{
    const struct scratch *s = ctx;
    if (severity == WP_WARNING)
        assert_int_equal(beneath_remove(s->fd, "b"), 0);
    else
        assert_non_null(strstr(text, "/b: directory removed before it was read"));
}

static void a_directory_that_vanishes_is_left_out(void **state)
{
    struct scratch *s = *state;
    struct wp_context context = {.message = remove_b, .user_data = s};
    struct walk_options o = {.context = &context, .pool = pool_new(2)};
    struct wp_error err = {0};
    struct walk w = {0};
    make_dir(s->fd, "a", 0755);
    make_dir(s->fd, "b", 0755);
    assert_int_equal(mkfifoat(s->fd, "fifo", 0600), 0);
    assert_int_equal(walk_add_root(&w, s->path, &err), 0);
    assert_int_equal(walk_add(&w, 0, ".", NULL, &o, &err), 0);
    assert_int_equal(walk_finish(&w, &err), 0);
    assert_int_equal(w.count, 1);
    assert_string_equal(w.items[0].entry.path, "a");
    walk_free(&w);
    pool_free(o.pool);
}

static volatile sig_atomic_t interrupted;

static void interrupt(void *ctx, enum wp_severity severity, const char *text)
{
    (void)ctx;
    (void)severity;
    (void)text;
    interrupted = 1;
}

static void interruption_ends_all_threads(void **state)
{
    struct scratch *s = *state;
    struct wp_context context = {.message = interrupt, .interrupted = &interrupted};
    struct walk_options o = {.context = &context, .pool = pool_new(3)};
    struct wp_error err = {0};
    struct walk w = {0};
    assert_int_equal(mkfifoat(s->fd, "fifo", 0600), 0);
    make_dir(s->fd, "d", 0755);
    make_many(s->fd, "d", 3);
    assert_int_equal(walk_add_root(&w, s->path, &err), 0);
    assert_int_equal(walk_add(&w, 0, ".", NULL, &o, &err), -EINTR);
    assert_null(strchr(w.items[w.count - 1].entry.path, '/'));
    walk_free(&w);
    pool_free(o.pool);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(threads_change_nothing),        TEST(a_large_directory_is_listed_whole),
        TEST(the_first_error_is_told),       TEST(a_directory_that_vanishes_is_left_out),
        TEST(interruption_ends_all_threads),
    };
    return cmocka_run_group_tests_name("walk_pool", tests, NULL, NULL);
}
