/* Users and groups out of files, for the program that may ask nobody else. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/account.h"
#include "base/cleanup.h"

static char *file_with(const char *text, size_t n)
{
    char *path = strdup("/tmp/warmpack-account-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
    return path;
}

static void drop(char **path)
{
    unlink(*path);
    free(*path);
}

static const char users[] = "root:x:0:0:root:/root:/bin/sh\n"
                            "# a comment\n"
                            "\n"
                            "not a line at all\n"
                            "bad:x:number:0::/:\n"
                            "+nis::::::\n"
                            "-other:x:12:12::/:/bin/sh\n"
                            "app:x:1001:1002:App,,,:/srv/app:/usr/sbin/nologin\n"
                            "last:x:1003:1003::/home/last:/bin/sh"; /* no newline */

static void users_are_found_by_name_and_by_number(void **state)
{
    _cleanup_(drop) char *path = file_with(users, sizeof users - 1);
    struct account a;

    (void)state;
    assert_int_equal(account_file_find(path, &a, false, "app", 0), 1);
    assert_int_equal(a.id, 1001);
    assert_int_equal(a.gid, 1002);
    assert_string_equal(a.home, "/srv/app");
    account_clear(&a);
    assert_int_equal(account_file_find(path, &a, false, NULL, 1003), 1);
    assert_string_equal(a.name, "last");
    account_clear(&a);
    assert_int_equal(account_file_find(path, &a, false, NULL, 0), 1);
    assert_string_equal(a.name, "root");
    account_clear(&a);
}

static void lines_that_are_no_entries_are_nobody(void **state)
{
    _cleanup_(drop) char *path = file_with(users, sizeof users - 1);
    static const char *const names[] = {"bad", "+nis", "-other", "# a comment", "", "ap"};
    struct account a;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(account_file_find(path, &a, false, names[i], 0), 0);
    assert_int_equal(account_file_find(path, &a, false, NULL, 12), 0);
    assert_int_equal(account_file_find("/nonexistent/passwd", &a, false, "root", 0), 0);
    assert_int_equal(account_file_find("/nonexistent/group", &a, true, NULL, 0), 0);
}

static void groups_are_found_however_long_their_lines(void **state)
{
    _cleanup_buf_ struct buf text = {0};
    struct account a;
    gid_t *list;
    size_t count;

    (void)state;
    assert_int_equal(buf_printf(&text, "root:x:0:\ncrowd:x:50:"), 0);
    for (int i = 0; i < 4000; i++)
        assert_int_equal(buf_printf(&text, "user%d,", i), 0);
    assert_int_equal(buf_printf(&text, "app\nempty:x:51:\nown:x:1002:app\nmore:x:52:other,app\n"),
                     0);
    _cleanup_(drop) char *path = file_with((const char *)text.data, text.size);

    assert_int_equal(account_file_find(path, &a, true, "crowd", 0), 1);
    assert_int_equal(a.id, 50);
    account_clear(&a);
    assert_int_equal(account_file_find(path, &a, true, NULL, 52), 1);
    assert_string_equal(a.name, "more");
    account_clear(&a);

    assert_int_equal(account_file_groups(path, "app", 1002, &list, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(list[0], 1002);
    assert_int_equal(list[1], 50);
    assert_int_equal(list[2], 52);
    free(list);
}

static void the_system_and_its_files_agree_on_root(void **state)
{
    struct account a, b;

    (void)state;
    assert_int_equal(account_find(&a, false, "root", 1), 1);
    assert_int_equal(account_file_find("/etc/passwd", &b, false, NULL, 0), 1);
    assert_int_equal(a.id, 0);
    assert_string_equal(a.name, b.name);
    assert_string_equal(a.home, b.home);
    account_clear(&a);
    account_clear(&b);
    assert_int_equal(account_find(&a, true, NULL, 0), 1);
    assert_string_equal(a.name, "root");
    account_clear(&a);
    assert_int_equal(account_find(&a, false, "no such user", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_found_by_name_and_by_number),
        cmocka_unit_test(lines_that_are_no_entries_are_nobody),
        cmocka_unit_test(groups_are_found_however_long_their_lines),
        cmocka_unit_test(the_system_and_its_files_agree_on_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
