/* Following links among the entries of an archive. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manifest/links.h"

static struct entry file(const char *path)
{
    return (struct entry){.path = (char *)path};
}

static struct entry dir(const char *path)
{
    return (struct entry){.path = (char *)path, .type = ENTRY_DIR};
}

static struct entry link_to(enum entry_type type, const char *path, const char *target)
{
    return (struct entry){.path = (char *)path, .target = (char *)target, .type = type};
}

struct archive {
    struct entry entries[64];
    const char *end;     /* the entry at which the way ends, though it is a link */
    const char *way[64]; /* what was asked for and found */
    size_t steps;
};

static const struct entry *look_up(void *ctx, const char *path, bool *is_end)
{
    struct archive *a = ctx;

    assert_false(*is_end);
    for (const struct entry *e = a->entries; e->path; e++) {
        if (strcmp(e->path, path) != 0)
            continue;
        *is_end = a->end && strcmp(a->end, path) == 0;
        a->way[a->steps++] = e->path;
        return e;
    }
    return NULL;
}

static int follow(struct archive *a, const char *path, const char **to)
{
    const struct entry *e = a->entries;
    int r = links_follow(look_up, a, path, &e);

    assert_true((r == 0) == (e != NULL));
    *to = e ? e->path : NULL;
    return r;
}

static void assert_leads_to(struct archive *a, const char *path, const char *expected)
{
    const char *to;

    assert_int_equal(follow(a, path, &to), 0);
    assert_string_equal(to, expected);
}

static void assert_fails(struct archive *a, const char *path, int status)
{
    const char *to;

    assert_int_equal(follow(a, path, &to), status);
}

static void what_is_no_link_leads_to_itself(void **state)
{
    struct archive a = {.entries = {file("a/k.py"), dir("a")}};

    (void)state;
    assert_leads_to(&a, "a/k.py", "a/k.py");
    assert_leads_to(&a, "a", "a");
    assert_fails(&a, "a/l.py", -ENOENT);
}

static void a_symlink_leads_on_from_its_own_directory(void **state)
{
    struct archive a = {.entries = {link_to(ENTRY_SYMLINK, "a/b/k.py", "../c/l.py"),
                                    link_to(ENTRY_SYMLINK, "a/c/l.py", "./m.py"), file("a/c/m.py"),
                                    file("c/l.py")}};

    (void)state;
    assert_leads_to(&a, "a/b/k.py", "a/c/m.py");
    assert_int_equal(a.steps, 3);
    assert_string_equal(a.way[1], "a/c/l.py");
}

static void a_hard_link_leads_on_from_the_top(void **state)
{
    struct archive a = {.entries = {link_to(ENTRY_HARDLINK, "a/b/k.py", "c/l.py"), file("c/l.py"),
                                    file("a/b/c/l.py")}};

    (void)state;
    assert_leads_to(&a, "a/b/k.py", "c/l.py");
}

static void links_out_of_the_archive_are_told_from_missing_entries(void **state)
{
    struct archive a = {.entries = {link_to(ENTRY_SYMLINK, "above", "../k.py"),
                                    link_to(ENTRY_SYMLINK, "absolute", "/k.py"),
                                    link_to(ENTRY_SYMLINK, "a/dangling", "none.py"),
                                    link_to(ENTRY_HARDLINK, "hard", "none.py"), file("k.py")}};

    (void)state;
    assert_fails(&a, "above", -EXDEV);
    assert_fails(&a, "absolute", -EXDEV);
    assert_fails(&a, "a/dangling", -EXDEV);
    assert_fails(&a, "hard", -EXDEV);
}

static void a_link_leads_through_directories_that_are_links(void **state)
{
    struct archive a = {.entries = {link_to(ENTRY_SYMLINK, "a/k.py", "now/k.py"),
                                    link_to(ENTRY_SYMLINK, "a/now", "../v2"), file("v2/k.py"),
                                    link_to(ENTRY_SYMLINK, "a/out", "/v2"),
                                    link_to(ENTRY_SYMLINK, "a/l.py", "out/k.py"),
                                    link_to(ENTRY_SYMLINK, "a/m.py", "deep/k.py"),
                                    link_to(ENTRY_SYMLINK, "a/deep", "deep/er")}};

    (void)state;
    assert_leads_to(&a, "a/k.py", "v2/k.py");
    a.steps = 0;
    assert_fails(&a, "a/l.py", -EXDEV);
    a.steps = 0;
    assert_fails(&a, "a/m.py", -ELOOP);
}

static void circles_end(void **state)
{
    struct archive a = {.entries = {link_to(ENTRY_SYMLINK, "a", "b"),
                                    link_to(ENTRY_HARDLINK, "b", "a"),
                                    link_to(ENTRY_SYMLINK, "self", "self")}};

    (void)state;
    assert_fails(&a, "a", -ELOOP);
    a.steps = 0;
    assert_fails(&a, "self", -ELOOP);
}

static void a_source_in_a_zip_leads_to_the_zip(void **state)
{
    struct archive a = {.entries = {link_to(ENTRY_SYMLINK, "a/lib.zip", "real.zip"),
                                    file("a/real.zip"), dir("b.zip"), file("c.zip"),
                                    file("c.zip/k.py")}};

    (void)state;
    assert_leads_to(&a, "a/lib.zip/pkg/k.py", "a/real.zip");
    assert_leads_to(&a, "c.zip/k.py", "c.zip/k.py"); /* it has an entry of its own */
    assert_fails(&a, "b.zip/k.py", -ENOENT);
    assert_fails(&a, "none.zip/k.py", -ENOENT);
}

static void the_way_ends_where_the_caller_says_so(void **state)
{
    struct archive a = {
        .entries = {link_to(ENTRY_SYMLINK, "a", "b"), link_to(ENTRY_SYMLINK, "b", "c"), file("c")},
        .end = "b"};

    (void)state;
    assert_leads_to(&a, "a", "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_link_leads_to_itself),
        cmocka_unit_test(a_symlink_leads_on_from_its_own_directory),
        cmocka_unit_test(a_hard_link_leads_on_from_the_top),
        cmocka_unit_test(links_out_of_the_archive_are_told_from_missing_entries),
        cmocka_unit_test(a_link_leads_through_directories_that_are_links),
        cmocka_unit_test(circles_end),
        cmocka_unit_test(a_source_in_a_zip_leads_to_the_zip),
        cmocka_unit_test(the_way_ends_where_the_caller_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
