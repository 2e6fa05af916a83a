/* Where Numba looks: names as Python computes them, and whether a user could write there as the
 * kernel decides it. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"
#include "numba/places.h"

/* ---- Names ------------------------------------------------------------------------------- */

/* printf %s "$DIR" | sha1sum */
static const struct {
    const char *dir, *name;
} known[] = {
    {"/srv/app/pkg", "pkg_5ee4fea991c2f1b535ad2a09500252f706322cdb"},
    {"/", "_42099b4af021e53fd8fd4e056c2568d7c2e3ffa8"},
    {"/opt/gr\xc3\xb6\xc3\x9f"
     "e",
     "gr\xc3\xb6\xc3\x9f"
     "e_a674d02668ade2fcb62fb3ec894637dd538ed7b1"},
};

static void hashes_known_directories(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        _cleanup_free_ char *name = places_hash_name(known[i].dir);
        assert_string_equal(name, known[i].name);
    }
}

static const char *const directories[] = {
    "/srv/app/pkg", "/", "//", "//srv", "/srv/a b/'q'\"", "/\xf0\x9f\x90\x8d", "/a/\xe2\x82\xac/b",
};
enum { DIRECTORY_COUNT = sizeof(directories) / sizeof(*directories) };

/* The lines of numba/core/caching.py, get_suitable_cache_subpath, on the directory. */
static const char hash_script[] =
    "import hashlib, os, sys\n"
    "for d in sys.argv[1:]:\n"
    "    print(os.path.split(d)[-1] + '_' + hashlib.sha1(d.encode()).hexdigest())\n";

static void hashes_as_python_does(void **state)
{
    (void)state;
    const char *args[DIRECTORY_COUNT + 4] = {"/usr/bin/python3", "-c", hash_script};
    char line[4096];
    int pipes[2];
    for (size_t i = 0; i < DIRECTORY_COUNT; i++)
        args[3 + i] = directories[i];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        setenv("PYTHONUTF8", "1", 1);
        dup2(pipes[1], STDOUT_FILENO);
        execv(args[0], (char **)args);
        _exit(127);
    }
    close(pipes[1]);
    FILE *f = fdopen(pipes[0], "r");
    for (size_t i = 0; i < DIRECTORY_COUNT; i++) {
        _cleanup_free_ char *name = places_hash_name(directories[i]);
        assert_non_null(fgets(line, sizeof(line), f));
        line[strcspn(line, "\n")] = '\0';
        assert_string_equal(name, line);
    }
    int status;
    fclose(f);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void directories_that_are_not_utf8_have_no_name(void **state)
{
    (void)state;
    assert_null(places_hash_name("/srv/\xff"));
    assert_int_equal(errno, EILSEQ);
    assert_null(places_hash_name("/srv/\xed\xa0\x80"));
    assert_int_equal(errno, EILSEQ);
}

#define HASH "0123456789abcdef0123456789abcdef01234567"

static void tells_hashed_names_apart(void **state)
{
    (void)state;
    size_t base = 99;
    assert_true(places_is_hash_name("pkg_" HASH, &base));
    assert_int_equal(base, 3);
    assert_true(places_is_hash_name("my_pkg_" HASH, &base));
    assert_int_equal(base, 6);
    assert_true(places_is_hash_name("_" HASH, &base));
    assert_int_equal(base, 0);
    assert_false(places_is_hash_name(HASH, &base));
    assert_false(places_is_hash_name("pkg-" HASH, &base));
    assert_false(places_is_hash_name("pkg_" HASH "0", &base));
    assert_false(places_is_hash_name("pkg_0123456789ABCDEF0123456789abcdef01234567", &base));
    assert_false(places_is_hash_name("pkg_", &base));
    assert_false(places_is_hash_name("", &base));
}

/* ---- Users ------------------------------------------------------------------------------- */

static void finds_users_by_name_and_number(void **state)
{
    (void)state;
    struct places_user u;
    struct passwd *pw = getpwnam("nobody");
    char number[32];
    assert_non_null(pw);
    assert_int_equal(places_user(&u, "nobody", NULL), 0);
    assert_int_equal(u.uid, pw->pw_uid);
    assert_int_equal(u.gid, pw->pw_gid);
    assert_string_equal(u.home, pw->pw_dir);
    assert_string_equal(u.name, "nobody");
    assert_true(u.group_count >= 1);
    snprintf(number, sizeof(number), "%u", (unsigned)u.uid);
    places_user_clear(&u);
    assert_int_equal(places_user(&u, number, NULL), 0);
    assert_string_equal(u.name, "nobody");
    places_user_clear(&u);
}

static void a_number_without_an_entry_is_a_user(void **state)
{
    (void)state;
    struct places_user u;
    assert_int_equal(places_user(&u, "3987654321", NULL), 0);
    assert_int_equal(u.uid, 3987654321);
    assert_int_equal(u.gid, 0);
    assert_string_equal(u.home, "/");
    assert_null(u.name);
    places_user_clear(&u);
}

static void a_group_behind_a_colon_is_the_only_one(void **state)
{
    (void)state;
    struct places_user u;
    const struct group *gr = getgrnam("daemon");
    assert_non_null(gr);
    assert_int_equal(places_user(&u, "nobody:daemon", NULL), 0);
    assert_string_equal(u.name, "nobody");
    assert_int_equal(u.gid, gr->gr_gid);
    assert_int_equal(u.group_count, 0);
    assert_true(u.has_group);
    places_user_clear(&u);
    assert_int_equal(places_user(&u, "3987654321:4000000001", NULL), 0);
    assert_int_equal(u.uid, 3987654321);
    assert_int_equal(u.gid, 4000000001);
    assert_string_equal(u.home, "/");
    places_user_clear(&u);
    assert_int_equal(places_user(&u, "nobody:", NULL), 0); /* those of a login, as in chown */
    assert_true(u.group_count >= 1);
    assert_false(u.has_group);
    places_user_clear(&u);
}

static void refuses_groups_that_are_not_there(void **state)
{
    (void)state;
    static const char *const none[] = {"nobody:no-such-group-here", "nobody:-1",
                                       "nobody:4294967295", "nobody:0:0", "3987654321:1x"};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        struct places_user u;
        struct wp_error err = {0};
        assert_int_equal(places_user(&u, none[i], &err), -ENOENT);
        assert_non_null(strstr(err.message, "no such group"));
        assert_null(u.home);
    }
}

static void refuses_users_that_are_not_there(void **state)
{
    (void)state;
    static const char *const none[] = {"no-such-user-here",    "",           "-1",
                                       "4294967295",           "4294967296", "1x",
                                       "18446744073709551616", ":0",         "no-such-user-here:0"};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        struct places_user u;
        struct wp_error err = {0};
        assert_int_equal(places_user(&u, none[i], &err), -ENOENT);
        assert_non_null(strstr(err.message, "no such user"));
        assert_null(u.home);
    }
}

static void set_or_unset(const char *name, const char *value)
{
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

/* The root by Numba's own appdirs, whose module is loaded without the rest of Numba. */
static const char user_wide_script[] =
    "import importlib.util as u, os\n"
    "p = os.path.dirname(u.find_spec('numba').origin) + '/misc/appdirs.py'\n"
    "s = u.spec_from_file_location('appdirs', p)\n"
    "m = u.module_from_spec(s)\n"
    "s.loader.exec_module(m)\n"
    "d = m.AppDirs(appname='numba', appauthor=False).user_cache_dir\n"
    "print(d if os.path.isabs(d) else os.getcwd() + '/' + d)\n";

static void the_caller_s_user_wide_root_is_numba_s(void **state)
{
    (void)state;
    static const char *const cases[][2] = {/* HOME, XDG_CACHE_HOME */
                                           {"/home/x", NULL},   {"/home/x/", NULL}, {"/", NULL},
                                           {"", NULL},          {"rel", NULL},      {NULL, NULL},
                                           {"/home/x", "/xdg"}, {"/home/x", ""},    {"/h", "r/"}};
    const char *old_home = getenv("HOME");
    _cleanup_free_ char *home = old_home ? strdup(old_home) : NULL;
    char command[2048], line[4096];
    snprintf(command, sizeof(command), "/usr/bin/python3 -B -c \"%s\"", user_wide_script);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct places_user u;
        set_or_unset("HOME", cases[i][0]);
        set_or_unset("XDG_CACHE_HOME", cases[i][1]);
        assert_int_equal(places_user(&u, NULL, NULL), 0);
        assert_int_equal(u.uid, geteuid());
        _cleanup_free_ char *root = places_user_wide(&u, true);
        FILE *f = popen(command, "r");
        assert_non_null(f);
        assert_non_null(fgets(line, sizeof(line), f));
        assert_int_equal(pclose(f), 0);
        line[strcspn(line, "\n")] = '\0';
        assert_string_equal(root, line);
        places_user_clear(&u);
    }
    set_or_unset("HOME", home);
    set_or_unset("XDG_CACHE_HOME", NULL);
}

static void another_user_s_root_is_in_their_home(void **state)
{
    (void)state;
    char home[] = "/home/x";
    struct places_user u = {.uid = 1234, .home = home};
    set_or_unset("XDG_CACHE_HOME", "/xdg");
    _cleanup_free_ char *root = places_user_wide(&u, false);
    set_or_unset("XDG_CACHE_HOME", NULL);
    assert_string_equal(root, "/home/x/.cache/numba");
}

/* ---- Writability, compared with the kernel's ---------------------------------------------- */

/* The tree that the verdicts are about. Owners are used where the test runs as root. */
static const struct {
    const char *path;
    const char *link; /* a symlink to this instead of a directory; "": a file */
    mode_t mode;
    uid_t uid;
    gid_t gid;
} tree[] = {
    {"open", NULL, 0777, 0, 0},
    {"sticky", NULL, 01777, 0, 0},
    {"root", NULL, 0755, 0, 0},
    {"root/open", NULL, 0777, 0, 0},
    {"closed", NULL, 0700, 0, 0},
    {"closed/open", NULL, 0777, 0, 0},
    {"own", NULL, 0700, 4001, 0},
    {"own-not", NULL, 0077, 4001, 4002}, /* the owner's class decides, though others may */
    {"own-search", NULL, 0300, 4001, 0},
    {"own-no-search", NULL, 0600, 4001, 0},
    {"group", NULL, 0770, 0, 4002},
    {"group-not", NULL, 0707, 0, 4002},
    {"extra", NULL, 0070, 0, 4003},
    {"search", NULL, 0711, 0, 0},
    {"search/open", NULL, 0777, 0, 0},
    {"file", "", 0777, 0, 0},
    {"to-open", "open", 0, 0, 0},
    {"to-closed", "closed/open", 0, 0, 0},
    {"to-abs", "@/root/open", 0, 0, 0}, /* @: the tree's own path */
    {"to-up", "root/../open", 0, 0, 0},
    {"dangling", "nowhere", 0, 0, 0},
    {"into-missing", "open/nowhere", 0, 0, 0},
    {"loop", "loop", 0, 0, 0},
    {"chain", "to-abs", 0, 0, 0},
    {"closed/to-open", "../open", 0, 0, 0},
    {"open/to-dot", ".", 0, 0, 0},
};

static const char *const targets[] = {
    "open",
    "open/a",
    "open/a/b/c",
    "open/",
    "open//a/",
    "sticky",
    "sticky/a",
    "root",
    "root/a",
    "root/a/b",
    "root/open",
    "root/open/a",
    "closed",
    "closed/a",
    "closed/open",
    "closed/open/a",
    "own",
    "own/a/b",
    "own-not",
    "own-not/a",
    "own-search/a",
    "own-no-search/a",
    "own-no-search",
    "group",
    "group/a",
    "group-not",
    "group-not/a",
    "extra",
    "extra/a/b",
    "search",
    "search/a",
    "search/open",
    "search/open/a",
    "file",
    "file/a",
    "file/a/b",
    "to-open",
    "to-open/",
    "to-open/a/b",
    "to-closed",
    "to-closed/a",
    "to-abs",
    "to-abs/a",
    "to-up/a",
    "dangling",
    "dangling/a",
    "dangling/a/b",
    "into-missing",
    "into-missing/a",
    "loop",
    "loop/a",
    "chain/a",
    "closed/to-open",
    "closed/to-open/a",
    "open/to-dot/a",
    "root/../open/a",
    "open/../root/a",
    "open/./a",
};
enum { TARGET_COUNT = sizeof(targets) / sizeof(*targets) };

static void plant(const char *base)
{
    assert_int_equal(chmod(base, 0755), 0);
    for (size_t i = 0; i < sizeof(tree) / sizeof(*tree); i++) {
        _cleanup_free_ char *path = path_join(base, tree[i].path);
        char link[256];
        if (tree[i].link && tree[i].link[0]) {
            bool absolute = tree[i].link[0] == '@';
            snprintf(link, sizeof(link), "%s%s", absolute ? base : "", tree[i].link + absolute);
            assert_int_equal(symlink(link, path), 0);
            continue;
        }
        if (tree[i].link)
            close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0700));
        else
            assert_int_equal(mkdir(path, 0700), 0);
        if (geteuid() == 0)
            assert_int_equal(chown(path, tree[i].uid, tree[i].gid), 0);
    }
    /* Modes last, so that a user who is not root can make all of it. */
    for (size_t i = sizeof(tree) / sizeof(*tree); i-- > 0;) {
        _cleanup_free_ char *path = path_join(base, tree[i].path);
        if (!tree[i].link || !tree[i].link[0])
            assert_int_equal(chmod(path, tree[i].mode), 0);
    }
}

/* Makes missing directories and then a file, as os.makedirs and tempfile do, and removes all. */
static bool try_to_make(const char *dir)
{
    char made[4096], path[4096];
    size_t n = strlen(dir);
    snprintf(path, sizeof(path), "%s", dir);
    size_t first = n + 1; /* where the first directory that was made ends */
    for (size_t i = 1; i <= n; i++) {
        if (dir[i] != '/' && dir[i] != '\0')
            continue;
        path[i] = '\0';
        if (mkdir(path, 0777) == 0 && first > n)
            first = i;
        path[i] = dir[i];
    }
    snprintf(made, sizeof(made), "%s/made", dir);
    int fd = open(made, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        unlink(made);
    }
    for (size_t i = n; i > 0 && i >= first; i--)
        if (dir[i] == '/' || dir[i] == '\0') {
            path[i] = '\0';
            rmdir(path);
        }
    return fd >= 0;
}

/* What the kernel says to U, for each target: 'y' or 'n'. */
static void ask_kernel(const char *base, const struct places_user *u, char answers[TARGET_COUNT])
{
    int pipes[2], status;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        umask(022);
        if (geteuid() == 0 && u->uid != 0 &&
            (setgroups(u->group_count, u->groups) < 0 || setgid(u->gid) < 0 || setuid(u->uid) < 0))
            _exit(2);
        for (size_t i = 0; i < TARGET_COUNT; i++) {
            _cleanup_free_ char *dir = path_join(base, targets[i]);
            answers[i] = try_to_make(dir) ? 'y' : 'n';
        }
        _exit(write(pipes[1], answers, TARGET_COUNT) != TARGET_COUNT);
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], answers, TARGET_COUNT), TARGET_COUNT);
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void assert_verdicts_are_the_kernel_s(const char *base, const struct places_user *u)
{
    char answers[TARGET_COUNT];
    int yes = 0;
    ask_kernel(base, u, answers);
    for (size_t i = 0; i < TARGET_COUNT; i++) {
        _cleanup_free_ char *dir = path_join(base, targets[i]);
        int r = places_writable(dir, u);
        if ((r == 0) != (answers[i] == 'y'))
            fail_msg("user %u, %s: %s, but the kernel says %c", (unsigned)u->uid, targets[i],
                     strerror(r), answers[i]);
        yes += r == 0;
    }
    assert_true(yes > 5 && yes < TARGET_COUNT);
}

static void verdicts_are_the_kernel_s(void **state)
{
    (void)state;
    char base[] = "/tmp/warmpack-test-XXXXXX", command[256];
    gid_t groups[] = {4003, 4004};
    struct places_user caller;
    const struct places_user others[] = {
        {.uid = 4001, .gid = 4001}, {.uid = 4001, .gid = 4002, .groups = groups, .group_count = 2},
        {.uid = 4005, .gid = 4002}, {.uid = 4005, .gid = 4005, .groups = groups, .group_count = 2},
        {.uid = 4005, .gid = 4005},
    };
    umask(022);
    assert_non_null(mkdtemp(base));
    plant(base);
    assert_int_equal(places_user(&caller, NULL, NULL), 0);
    assert_verdicts_are_the_kernel_s(base, &caller);
    /* Only root can become somebody else to try. */
    for (size_t i = 0; geteuid() == 0 && i < sizeof(others) / sizeof(*others); i++)
        assert_verdicts_are_the_kernel_s(base, &others[i]);
    places_user_clear(&caller);
    snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", base, base);
    assert_int_equal(system(command), 0);
}

static void verdicts_name_their_reason(void **state)
{
    (void)state;
    struct places_user nobody = {.uid = 65534, .gid = 65534}, root = {0};
    char name[300];
    memset(name, 'x', sizeof(name));
    memcpy(name, "/tmp/", 5);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(places_writable("/usr/bin", &nobody), EACCES);
    assert_int_equal(places_writable("/usr/bin/new/new", &nobody), EACCES);
    assert_int_equal(places_writable("/etc/passwd/new", &nobody), ENOTDIR);
    assert_int_equal(places_writable("/etc/passwd", &root), ENOTDIR);
    assert_int_equal(places_writable(name, &nobody), ENAMETOOLONG);
    assert_int_equal(places_writable("", &nobody), ENOENT);
}

static void relative_directories_stand_in_the_working_directory(void **state)
{
    (void)state;
    struct places_user nobody = {.uid = 65534, .gid = 65534};
    _cleanup_free_ char *cwd = getcwd(NULL, 0);
    char dir[] = "/tmp/warmpack-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0777), 0);
    assert_int_equal(chdir(dir), 0);
    _cleanup_free_ char *new = path_join(dir, "new");
    assert_int_equal(places_writable("new/new", &nobody), places_writable(new, &nobody));
    assert_int_equal(places_writable("new", &nobody), 0);
    /* Who runs Python comes from above, where this process has passed already. */
    _cleanup_free_ char *below = path_join(dir, "below");
    assert_int_equal(mkdir(below, 0777), 0);
    assert_int_equal(chmod(below, 0777), 0);
    assert_int_equal(chdir(below), 0);
    assert_int_equal(places_writable("new", &nobody), 0);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_int_equal(places_writable("new", &nobody), EACCES);
    assert_int_equal(places_writable(".", &nobody), EACCES);
    assert_int_equal(rmdir(below), 0);
    assert_int_equal(chdir("/usr/bin"), 0);
    assert_int_equal(places_writable("new", &nobody), EACCES);
    assert_int_equal(chdir(cwd), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_known_directories),
        cmocka_unit_test(hashes_as_python_does),
        cmocka_unit_test(directories_that_are_not_utf8_have_no_name),
        cmocka_unit_test(tells_hashed_names_apart),
        cmocka_unit_test(finds_users_by_name_and_number),
        cmocka_unit_test(a_number_without_an_entry_is_a_user),
        cmocka_unit_test(a_group_behind_a_colon_is_the_only_one),
        cmocka_unit_test(refuses_groups_that_are_not_there),
        cmocka_unit_test(refuses_users_that_are_not_there),
        cmocka_unit_test(the_caller_s_user_wide_root_is_numba_s),
        cmocka_unit_test(another_user_s_root_is_in_their_home),
        cmocka_unit_test(verdicts_are_the_kernel_s),
        cmocka_unit_test(verdicts_name_their_reason),
        cmocka_unit_test(relative_directories_stand_in_the_working_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
